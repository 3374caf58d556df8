// Plain loops: the truth that every other kernel is held to, and what runs where no other does.
#include <cmath>
#include <cstring>

#include "ternary.h"

namespace tritcoder {
namespace {

float from_half(uint16_t h) {
    const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    uint32_t bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | (fraction << 13);
    } else if (exponent) {
        bits = sign | ((exponent + 112) << 23) | (fraction << 13);
    } else {
        const float small = float(fraction) * 5.9604644775390625e-08f;  // 2^-24
        std::memcpy(&bits, &small, 4);
        bits |= sign;
    }
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

uint16_t to_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return uint16_t(sign | 0x7e00 | ((bits >> 13) & 0x3ff));
    if (bits >= 0x477ff000) return uint16_t(sign | 0x7c00);
    if (bits < 0x38800000) {  // below the least normal half: the addition rounds to a multiple of 2^-24
        float magnitude;
        std::memcpy(&magnitude, &bits, 4);
        magnitude = magnitude + 0.5f;
        std::memcpy(&bits, &magnitude, 4);
        return uint16_t(sign | (bits - 0x3f000000));
    }
    const uint32_t odd = (bits >> 13) & 1;
    return uint16_t(sign | ((bits + 0xfff + odd - (112u << 23)) >> 13));
}

struct Lanes {
    float v[16];

    template <class F>
    static Lanes each(F f) {
        Lanes r;
        for (int l = 0; l < 16; ++l) r.v[l] = f(l);
        return r;
    }
    static Lanes zero() { return broadcast(0.0f); }
    static Lanes broadcast(float x) { return each([&](int) { return x; }); }
    static Lanes load(const float* p) { return each([&](int l) { return p[l]; }); }
    static Lanes load_f16(const uint16_t* p) { return each([&](int l) { return from_half(p[l]); }); }
    static Lanes load_i8(const int8_t* p) { return each([&](int l) { return float(p[l]); }); }
    static Lanes from_i32(const int32_t* p, int32_t shift) { return each([&](int l) { return float(p[l] - shift); }); }
    static Lanes first(int n, Lanes a, Lanes b) { return each([&](int l) { return l < n ? a.v[l] : b.v[l]; }); }
    static Lanes max(Lanes a, Lanes b) { return each([&](int l) { return a.v[l] > b.v[l] ? a.v[l] : b.v[l]; }); }
    static Lanes min(Lanes a, Lanes b) { return each([&](int l) { return a.v[l] < b.v[l] ? a.v[l] : b.v[l]; }); }
    friend Lanes operator+(Lanes a, Lanes b) { return each([&](int l) { return a.v[l] + b.v[l]; }); }
    friend Lanes operator-(Lanes a, Lanes b) { return each([&](int l) { return a.v[l] - b.v[l]; }); }
    friend Lanes operator*(Lanes a, Lanes b) { return each([&](int l) { return a.v[l] * b.v[l]; }); }
    friend Lanes operator/(Lanes a, Lanes b) { return each([&](int l) { return a.v[l] / b.v[l]; }); }
    Lanes sqrt() const { return each([&](int l) { return std::sqrt(v[l]); }); }
    Lanes abs() const { return each([&](int l) { return std::fabs(v[l]); }); }
    // For |x| < 2^22, which is all that is asked.
    Lanes rint() const { return each([&](int l) { return (v[l] + 12582912.0f) - 12582912.0f; }); }
    Lanes pow2() const {
        return each([&](int l) {
            const int32_t bits = int32_t(uint32_t(int32_t(v[l]) + 127) << 23);
            float f;
            std::memcpy(&f, &bits, 4);
            return f;
        });
    }
    void store(float* p) const { std::memcpy(p, v, sizeof v); }
    void store_f16(uint16_t* p) const {
        for (int l = 0; l < 16; ++l) p[l] = to_half(v[l]);
    }
    void store_i8(int8_t* p) const {
        for (int l = 0; l < 16; ++l) p[l] = int8_t(v[l]);
    }
};

#include "float_kernels.h"

void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    for (int r = 0; r < TILE_ROWS; ++r) sums[r] = 0;
    for (int k = 0; k < cols; k += STEP_COLS, tile += STEP_BYTES)
        for (int r = 0; r < TILE_ROWS; ++r)
            for (int b = 0; b < 4; ++b)
                for (int j = 0; j < 4; ++j) sums[r] += ((tile[4 * r + b] >> (2 * j)) & 3) * levels[k + 4 * j + b];
}

void ternary_many(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (int t = 0; t < n; ++t) ternary_one(tile, levels + t * stride, cols, sums + t * TILE_ROWS);
}

void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (int t = 0; t < n; ++t, levels += stride, sums += TILE_ROWS)
        for (int r = 0; r < TILE_ROWS; ++r) {
            int32_t sum = 0;
            for (int k = 0; k < cols; ++k) sum += tile[(k / 4) * STEP_BYTES + 4 * r + k % 4] * levels[k];
            sums[r] = sum;
        }
}

}  // namespace

const Kernels reference_kernels = TRITCODER_KERNELS("scalar");

}  // namespace tritcoder
