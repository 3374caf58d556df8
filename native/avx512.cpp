// AVX-512 with VNNI: one 64-byte vector is 16 rows of 4 bytes; vpdpbusd multiplies and adds 64 pairs at once.
#include <immintrin.h>

#include <cstring>

#include "ternary.h"

namespace tritcoder {
namespace {

struct Lanes {
    __m512 v;

    static Lanes zero() { return {_mm512_setzero_ps()}; }
    static Lanes broadcast(float x) { return {_mm512_set1_ps(x)}; }
    static Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
    static Lanes load_f16(const uint16_t* p) {
        return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
    }
    static Lanes load_i8(const int8_t* p) {
        return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
    }
    static Lanes from_i32(const int32_t* p, int32_t shift) {
        return {_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32(shift)))};
    }
    static Lanes first(int n, Lanes a, Lanes b) {
        const __mmask16 mask = n <= 0 ? 0 : n >= 16 ? 0xffff : __mmask16((1u << n) - 1);
        return {_mm512_mask_blend_ps(mask, b.v, a.v)};
    }
    static Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
    static Lanes min(Lanes a, Lanes b) { return {_mm512_min_ps(a.v, b.v)}; }
    friend Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
    friend Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
    friend Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
    friend Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
    Lanes sqrt() const { return {_mm512_sqrt_ps(v)}; }
    Lanes abs() const { return {_mm512_abs_ps(v)}; }
    Lanes rint() const { return {_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
    Lanes pow2() const {
        const __m512i n = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(127));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(n, 23))};
    }
    void store(float* p) const { _mm512_storeu_ps(p, v); }
    void store_f16(uint16_t* p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
    void store_i8(int8_t* p) const {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
    }
};

#include "float_kernels.h"

inline __m512i four(const int8_t* levels) {
    int32_t word;
    std::memcpy(&word, levels, 4);
    return _mm512_set1_epi32(word);
}

// Codes stay where they lie in their bytes: masked to bits 2j they count 4^j times, which is divided out once, at the end.
void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    __m512i sum[4][4];
    for (auto& group : sum)
        for (auto& part : group) part = _mm512_setzero_si512();
    const __m512i mask[4] = {_mm512_set1_epi8(0x03), _mm512_set1_epi8(0x0c), _mm512_set1_epi8(0x30),
                             _mm512_set1_epi8(char(0xc0))};
    for (int k = 0; k < cols; k += STEP_COLS, tile += STEP_BYTES) {
        const __m512i a[4] = {four(levels + k), four(levels + k + 4), four(levels + k + 8), four(levels + k + 12)};
        for (int g = 0; g < 4; ++g) {
            const __m512i w = _mm512_loadu_si512(tile + 64 * g);
            for (int j = 0; j < 4; ++j) sum[g][j] = _mm512_dpbusd_epi32(sum[g][j], _mm512_and_si512(w, mask[j]), a[j]);
        }
    }
    for (int g = 0; g < 4; ++g) {
        const __m512i low = _mm512_add_epi32(sum[g][0], _mm512_srai_epi32(sum[g][1], 2));
        const __m512i high = _mm512_add_epi32(_mm512_srai_epi32(sum[g][2], 4), _mm512_srai_epi32(sum[g][3], 6));
        _mm512_storeu_si512(sums + 16 * g, _mm512_add_epi32(low, high));
    }
}

template <int N>
void ternary_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    __m512i sum[N][4];
    for (auto& token : sum)
        for (auto& group : token) group = _mm512_setzero_si512();
    const __m512i mask = _mm512_set1_epi8(0x03);
    for (int k = 0; k < cols; k += STEP_COLS, tile += STEP_BYTES)
        for (int j = 0; j < 4; ++j) {
            __m512i w[4];
            for (int g = 0; g < 4; ++g)
                w[g] = _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(tile + 64 * g), unsigned(2 * j)), mask);
            for (int n = 0; n < N; ++n) {
                const __m512i a = four(levels + n * stride + k + 4 * j);
                for (int g = 0; g < 4; ++g) sum[n][g] = _mm512_dpbusd_epi32(sum[n][g], w[g], a);
            }
        }
    for (int n = 0; n < N; ++n)
        for (int g = 0; g < 4; ++g) _mm512_storeu_si512(sums + n * TILE_ROWS + 16 * g, sum[n][g]);
}

template <int N>
void head_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    __m512i sum[N][4];
    for (auto& token : sum)
        for (auto& group : token) group = _mm512_setzero_si512();
    for (int k = 0; k < cols; k += HEAD_STEP_COLS, tile += STEP_BYTES) {
        __m512i w[4];
        for (int g = 0; g < 4; ++g) w[g] = _mm512_loadu_si512(tile + 64 * g);
        for (int n = 0; n < N; ++n) {
            const __m512i a = four(levels + n * stride + k);
            for (int g = 0; g < 4; ++g) sum[n][g] = _mm512_dpbusd_epi32(sum[n][g], w[g], a);
        }
    }
    for (int n = 0; n < N; ++n)
        for (int g = 0; g < 4; ++g) _mm512_storeu_si512(sums + n * TILE_ROWS + 16 * g, sum[n][g]);
}

using Strip = void (*)(const uint8_t*, const int8_t*, ptrdiff_t, int, int32_t*);
constexpr int MAX_STRIP = 6;  // 24 sums, 4 weights and an activation fill the 32 registers

void in_strips(const Strip (&strips)[MAX_STRIP + 1], const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n,
               int cols, int32_t* sums) {
    while (n > 0) {
        const int rounds = (n + MAX_STRIP - 1) / MAX_STRIP, now = (n + rounds - 1) / rounds;
        strips[now](tile, levels, stride, cols, sums);
        levels += now * stride;
        sums += now * TILE_ROWS;
        n -= now;
    }
}

void ternary_many(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    static constexpr Strip strips[] = {nullptr,          ternary_strip<1>, ternary_strip<2>, ternary_strip<3>,
                                       ternary_strip<4>, ternary_strip<5>, ternary_strip<6>};
    in_strips(strips, tile, levels, stride, n, cols, sums);
}

void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    static constexpr Strip strips[] = {nullptr,       head_strip<1>, head_strip<2>, head_strip<3>,
                                       head_strip<4>, head_strip<5>, head_strip<6>};
    in_strips(strips, tile, levels, stride, n, cols, sums);
}

}  // namespace

const Kernels avx512_kernels = TRITCODER_KERNELS("avx512");

}  // namespace tritcoder
