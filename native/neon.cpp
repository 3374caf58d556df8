// ARM NEON with the dot product instructions: one 16-byte vector is 4 rows of 4 bytes.
#include <arm_neon.h>

#include <cstring>
#include <type_traits>

#include "ternary.h"

namespace tritcoder {
namespace {

struct Lanes {
    float32x4_t v[4];

    template <class F>
    static Lanes each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static Lanes zero() { return broadcast(0.0f); }
    static Lanes broadcast(float x) { return each([&](int) { return vdupq_n_f32(x); }); }
    static Lanes load(const float* p) { return each([&](int i) { return vld1q_f32(p + 4 * i); }); }
    static Lanes load_f16(const uint16_t* p) {
        return each([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
    }
    static Lanes load_i8(const int8_t* p) {
        const int8x16_t bytes = vld1q_s8(p);
        const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
        return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                 vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
    }
    static Lanes from_i32(const int32_t* p, int32_t shift) {
        return each([&](int i) { return vcvtq_f32_s32(vsubq_s32(vld1q_s32(p + 4 * i), vdupq_n_s32(shift))); });
    }
    static Lanes first(int n, Lanes x, Lanes y) {
        static const int32_t at[4] = {0, 1, 2, 3};
        return each([&](int i) { return vbslq_f32(vcgtq_s32(vdupq_n_s32(n - 4 * i), vld1q_s32(at)), x.v[i], y.v[i]); });
    }
    // As on x86: the second where neither is greater, so also where one is not a number.
    static Lanes max(Lanes x, Lanes y) {
        return each([&](int i) { return vbslq_f32(vcgtq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
    }
    static Lanes min(Lanes x, Lanes y) {
        return each([&](int i) { return vbslq_f32(vcltq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
    }
    friend Lanes operator+(Lanes x, Lanes y) { return each([&](int i) { return vaddq_f32(x.v[i], y.v[i]); }); }
    friend Lanes operator-(Lanes x, Lanes y) { return each([&](int i) { return vsubq_f32(x.v[i], y.v[i]); }); }
    friend Lanes operator*(Lanes x, Lanes y) { return each([&](int i) { return vmulq_f32(x.v[i], y.v[i]); }); }
    friend Lanes operator/(Lanes x, Lanes y) { return each([&](int i) { return vdivq_f32(x.v[i], y.v[i]); }); }
    Lanes sqrt() const { return each([&](int i) { return vsqrtq_f32(v[i]); }); }
    Lanes abs() const { return each([&](int i) { return vabsq_f32(v[i]); }); }
    Lanes rint() const { return each([&](int i) { return vrndnq_f32(v[i]); }); }
    Lanes pow2() const {
        return each([&](int i) {
            return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(v[i]), vdupq_n_s32(127)), 23));
        });
    }
    void store(float* p) const {
        for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v[i]);
    }
    void store_f16(uint16_t* p) const {
        for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v[i])));
    }
    void store_i8(int8_t* p) const {
        const int16x8_t low = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[0])), vqmovn_s32(vcvtnq_s32_f32(v[1])));
        const int16x8_t high = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[2])), vqmovn_s32(vcvtnq_s32_f32(v[3])));
        vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
    }
};

#include "float_kernels.h"

inline int8x16_t four(const int8_t* levels) {
    int32_t word;
    std::memcpy(&word, levels, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

template <int J>
inline int8x16_t codes(uint8x16_t bytes) {
    if constexpr (J == 0) return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(3)));
    else if constexpr (J == 3) return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6));
    else return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 2 * J), vdupq_n_u8(3)));
}

// Four of a tile's sixteen vectors of rows at a time, for N tokens.
template <int N>
void ternary_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    for (int part = 0; part < 16; part += 4) {
        int32x4_t sum[N][4];
        for (auto& token : sum)
            for (auto& one : token) one = vdupq_n_s32(0);
        for (int k = 0; k < cols; k += STEP_COLS) {
            const uint8_t* step = tile + k / STEP_COLS * STEP_BYTES + 16 * part;
            const auto add = [&](auto j) {
                constexpr int J = decltype(j)::value;
                int8x16_t w[4];
                for (int v = 0; v < 4; ++v) w[v] = codes<J>(vld1q_u8(step + 16 * v));
                for (int n = 0; n < N; ++n) {
                    const int8x16_t a = four(levels + n * stride + k + 4 * J);
                    for (int v = 0; v < 4; ++v) sum[n][v] = vdotq_s32(sum[n][v], w[v], a);
                }
            };
            add(std::integral_constant<int, 0>());
            add(std::integral_constant<int, 1>());
            add(std::integral_constant<int, 2>());
            add(std::integral_constant<int, 3>());
        }
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < 4; ++v) vst1q_s32(sums + n * TILE_ROWS + 4 * (part + v), sum[n][v]);
    }
}

void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    ternary_strip<1>(tile, levels, 0, cols, sums);
}

void ternary_many(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (; n >= 4; n -= 4, levels += 4 * stride, sums += 4 * TILE_ROWS) ternary_strip<4>(tile, levels, stride, cols, sums);
    for (; n; --n, levels += stride, sums += TILE_ROWS) ternary_one(tile, levels, cols, sums);
}

// There is no product of unsigned and signed bytes here: 128 is taken off the weights, and its share added at the end.
void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (int t = 0; t < n; ++t, levels += stride, sums += TILE_ROWS) {
        int32_t shift = 0;
        for (int k = 0; k < cols; ++k) shift += levels[k];
        for (int part = 0; part < 16; part += 8) {
            int32x4_t sum[8];
            for (auto& one : sum) one = vdupq_n_s32(128 * shift);
            for (int k = 0; k < cols; k += HEAD_STEP_COLS) {
                const int8x16_t a = four(levels + k);
                for (int v = 0; v < 8; ++v) {
                    const uint8x16_t w = veorq_u8(vld1q_u8(tile + k * TILE_ROWS + 16 * (part + v)), vdupq_n_u8(0x80));
                    sum[v] = vdotq_s32(sum[v], vreinterpretq_s8_u8(w), a);
                }
            }
            for (int v = 0; v < 8; ++v) vst1q_s32(sums + 4 * (part + v), sum[v]);
        }
    }
}

}  // namespace

const Kernels neon_kernels = TRITCODER_KERNELS("neon");

}  // namespace tritcoder
