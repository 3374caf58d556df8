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

// sum += products of 64 unsigned bytes with 64 levels, in fours. gcc 12 copies every sum around the intrinsic, and then
// spills: a third of the speed of ternary_one.
inline void add_products(__m512i& sum, __m512i unsigned_bytes, __m512i levels) {
#if defined(__GNUC__)
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(levels));
#else
    sum = _mm512_dpbusd_epi32(sum, unsigned_bytes, levels);
#endif
}

// Four sums of a group of 16 rows, one for each place of a code in its byte.
struct Group {
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;

    void add(__m512i w, __m512i a0, __m512i a1, __m512i a2, __m512i a3) {
        add_products(s0, _mm512_and_si512(w, _mm512_set1_epi8(0x03)), a0);
        add_products(s1, _mm512_and_si512(w, _mm512_set1_epi8(0x0c)), a1);
        add_products(s2, _mm512_and_si512(w, _mm512_set1_epi8(0x30)), a2);
        add_products(s3, _mm512_and_si512(w, _mm512_set1_epi8(char(0xc0))), a3);
    }
    __m512i sum() const {
        const __m512i low = _mm512_add_epi32(s0, _mm512_srai_epi32(s1, 2));
        return _mm512_add_epi32(low, _mm512_add_epi32(_mm512_srai_epi32(s2, 4), _mm512_srai_epi32(s3, 6)));
    }
};

// Codes stay where they lie in their bytes: masked to bits 2j they count 4^j times, which is divided out once, at the end.
void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    Group g0, g1, g2, g3;
    for (int k = 0; k < cols; k += STEP_COLS, tile += STEP_BYTES) {
        const __m512i a0 = four(levels + k), a1 = four(levels + k + 4), a2 = four(levels + k + 8), a3 = four(levels + k + 12);
        g0.add(_mm512_loadu_si512(tile), a0, a1, a2, a3);
        g1.add(_mm512_loadu_si512(tile + 64), a0, a1, a2, a3);
        g2.add(_mm512_loadu_si512(tile + 128), a0, a1, a2, a3);
        g3.add(_mm512_loadu_si512(tile + 192), a0, a1, a2, a3);
    }
    _mm512_storeu_si512(sums, g0.sum());
    _mm512_storeu_si512(sums + 16, g1.sum());
    _mm512_storeu_si512(sums + 32, g2.sum());
    _mm512_storeu_si512(sums + 48, g3.sum());
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
constexpr int MAX_STRIP = 4;  // 16 sums, 4 weights and an activation: with more, gcc 12 spills

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
                                       ternary_strip<4>};
    in_strips(strips, tile, levels, stride, n, cols, sums);
}

void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    static constexpr Strip strips[] = {nullptr,       head_strip<1>, head_strip<2>, head_strip<3>,
                                       head_strip<4>};
    in_strips(strips, tile, levels, stride, n, cols, sums);
}

}  // namespace

const Kernels avx512_kernels = TRITCODER_KERNELS("avx512");

}  // namespace tritcoder
