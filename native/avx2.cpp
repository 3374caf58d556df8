// AVX2 with F16C: pairs of bytes are multiplied into 16 bits, which hold 64 such products of codes before they are widened.
#include <immintrin.h>

#include <cstring>

#include "ternary.h"

namespace tritcoder {
namespace {

struct Lanes {
    __m256 a, b;

    static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
    static Lanes broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
    static Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
    static Lanes load_f16(const uint16_t* p) {
        return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
    }
    static Lanes load_i8(const int8_t* p) {
        return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8))))};
    }
    static Lanes from_i32(const int32_t* p, int32_t shift) {
        const __m256i by = _mm256_set1_epi32(shift);
        const __m256i *x = reinterpret_cast<const __m256i*>(p), *y = reinterpret_cast<const __m256i*>(p + 8);
        return {_mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256(x), by)),
                _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256(y), by))};
    }
    static Lanes first(int n, Lanes x, Lanes y) {
        const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256 low = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), at));
        const __m256 high = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), at));
        return {_mm256_blendv_ps(y.a, x.a, low), _mm256_blendv_ps(y.b, x.b, high)};
    }
    static Lanes max(Lanes x, Lanes y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
    static Lanes min(Lanes x, Lanes y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
    friend Lanes operator+(Lanes x, Lanes y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
    friend Lanes operator-(Lanes x, Lanes y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
    friend Lanes operator*(Lanes x, Lanes y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
    friend Lanes operator/(Lanes x, Lanes y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
    Lanes sqrt() const { return {_mm256_sqrt_ps(a), _mm256_sqrt_ps(b)}; }
    Lanes abs() const {
        const __m256 sign = _mm256_set1_ps(-0.0f);
        return {_mm256_andnot_ps(sign, a), _mm256_andnot_ps(sign, b)};
    }
    Lanes rint() const {
        constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        return {_mm256_round_ps(a, nearest), _mm256_round_ps(b, nearest)};
    }
    Lanes pow2() const {
        const __m256i bias = _mm256_set1_epi32(127);
        return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(a), bias), 23)),
                _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(b), bias), 23))};
    }
    void store(float* p) const {
        _mm256_storeu_ps(p, a);
        _mm256_storeu_ps(p + 8, b);
    }
    void store_f16(uint16_t* p) const {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(b, _MM_FROUND_TO_NEAREST_INT));
    }
    void store_i8(int8_t* p) const {
        int32_t v[16];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(v), _mm256_cvtps_epi32(a));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(v + 8), _mm256_cvtps_epi32(b));
        for (int l = 0; l < 16; ++l) p[l] = int8_t(v[l]);
    }
};

#include "float_kernels.h"

inline __m256i four(const int8_t* levels) {
    int32_t word;
    std::memcpy(&word, levels, 4);
    return _mm256_set1_epi32(word);
}

inline __m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// A product of two codes and two levels is at most 4 * 128 = 512 in size: 63 of them fit into 16 bits.
constexpr int STEPS_IN_16_BITS = 15;  // of four products each

// 32 rows (half a tile, in four vectors) for N tokens.
template <int N>
void ternary_half(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    constexpr int V = N > 2 ? 2 : 4;  // vectors of eight rows at a time: what the registers hold
    const __m256i mask = _mm256_set1_epi8(0x03), ones = _mm256_set1_epi16(1);
    for (int part = 0; part < 4; part += V) {
        __m256i sum[N][V];
        for (auto& token : sum)
            for (auto& one : token) one = _mm256_setzero_si256();
        for (int from = 0; from < cols; from += STEPS_IN_16_BITS * STEP_COLS) {
            const int until = from + STEPS_IN_16_BITS * STEP_COLS < cols ? from + STEPS_IN_16_BITS * STEP_COLS : cols;
            __m256i small[N][V];
            for (auto& token : small)
                for (auto& one : token) one = _mm256_setzero_si256();
            for (int k = from; k < until; k += STEP_COLS) {
                const uint8_t* step = tile + k / STEP_COLS * STEP_BYTES + 32 * part;
                for (int j = 0; j < 4; ++j) {
                    __m256i w[V];
                    for (int v = 0; v < V; ++v) w[v] = _mm256_and_si256(_mm256_srli_epi16(load(step + 32 * v), 2 * j), mask);
                    for (int n = 0; n < N; ++n) {
                        const __m256i a = four(levels + n * stride + k + 4 * j);
                        for (int v = 0; v < V; ++v) small[n][v] = _mm256_add_epi16(small[n][v], _mm256_maddubs_epi16(w[v], a));
                    }
                }
            }
            for (int n = 0; n < N; ++n)
                for (int v = 0; v < V; ++v) sum[n][v] = _mm256_add_epi32(sum[n][v], _mm256_madd_epi16(small[n][v], ones));
        }
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v)
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + n * TILE_ROWS + 8 * (part + v)), sum[n][v]);
    }
}

void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    ternary_half<1>(tile, levels, 0, cols, sums);
    ternary_half<1>(tile + 128, levels, 0, cols, sums + 32);
}

void ternary_many(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (; n >= 3; n -= 3, levels += 3 * stride, sums += 3 * TILE_ROWS) {
        ternary_half<3>(tile, levels, stride, cols, sums);
        ternary_half<3>(tile + 128, levels, stride, cols, sums + 32);
    }
    for (; n; --n, levels += stride, sums += TILE_ROWS) ternary_one(tile, levels, cols, sums);
}

// Weights of the head have eight bits, so 16-bit sums of products would overflow: they are widened first.
void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (int t = 0; t < n; ++t, levels += stride, sums += TILE_ROWS)
        for (int part = 0; part < 8; part += 4) {
            __m256i low[4], high[4];
            for (int v = 0; v < 4; ++v) low[v] = high[v] = _mm256_setzero_si256();
            for (int k = 0; k < cols; k += HEAD_STEP_COLS) {
                int32_t word;
                std::memcpy(&word, levels + k, 4);
                const __m256i a = _mm256_cvtepi8_epi16(_mm_set1_epi32(word));
                for (int v = 0; v < 4; ++v) {
                    const __m256i w = load(tile + k * TILE_ROWS + 32 * (part + v));
                    low[v] = _mm256_add_epi32(
                        low[v], _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(w)), a));
                    high[v] = _mm256_add_epi32(
                        high[v], _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(w, 1)), a));
                }
            }
            // Each row's two halves lie side by side.
            for (int v = 0; v < 4; ++v) {
                const __m256i pairs = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low[v], high[v]), 0xd8);
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 8 * (part + v)), pairs);
            }
        }
}

}  // namespace

const Kernels avx2_kernels = TRITCODER_KERNELS("avx2");

}  // namespace tritcoder
