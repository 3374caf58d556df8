// AVX2 with F16C: pairs of bytes are multiplied into 16 bits, which hold some such products of codes before they are widened.
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

inline void store(int32_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

// Sums of eight rows in 16 bits. A byte's first and third code are multiplied as they are, its second and fourth where they
// lie, counting four times: one shift for four products.
struct Rows {
    __m256i small = _mm256_setzero_si256(), small4 = small;

    void add(__m256i w, __m256i a0, __m256i a1, __m256i a2, __m256i a3) {
        const __m256i mask = _mm256_set1_epi8(0x03), mask4 = _mm256_set1_epi8(0x0c);
        small = _mm256_add_epi16(small, _mm256_maddubs_epi16(_mm256_and_si256(w, mask), a0));
        small4 = _mm256_add_epi16(small4, _mm256_maddubs_epi16(_mm256_and_si256(w, mask4), a1));
        w = _mm256_srli_epi16(w, 4);
        small = _mm256_add_epi16(small, _mm256_maddubs_epi16(_mm256_and_si256(w, mask), a2));
        small4 = _mm256_add_epi16(small4, _mm256_maddubs_epi16(_mm256_and_si256(w, mask4), a3));
#if defined(__GNUC__)
        asm("" : "+x"(small), "+x"(small4));  // or gcc 12 begins all vectors at once, and spills every sum
#endif
    }
    __m256i sum() const {
        return _mm256_madd_epi16(_mm256_add_epi16(small, _mm256_srai_epi16(small4, 2)), _mm256_set1_epi16(1));
    }
};

// In eight steps `small4` takes sixteen products of at most 4 * 2 * 2 * 128 in size; -16 * 2048 is the least it holds.
constexpr int COLS_IN_16_BITS = 8 * STEP_COLS;

// Half a tile for one token.
void ternary_half(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
    for (int from = 0; from < cols; from += COLS_IN_16_BITS) {
        const int until = from + COLS_IN_16_BITS < cols ? from + COLS_IN_16_BITS : cols;
        Rows r0, r1, r2, r3;
        for (int k = from; k < until; k += STEP_COLS, tile += STEP_BYTES) {
            const __m256i a0 = four(levels + k), a1 = four(levels + k + 4);
            const __m256i a2 = four(levels + k + 8), a3 = four(levels + k + 12);
            r0.add(load(tile), a0, a1, a2, a3);
            r1.add(load(tile + 32), a0, a1, a2, a3);
            r2.add(load(tile + 64), a0, a1, a2, a3);
            r3.add(load(tile + 96), a0, a1, a2, a3);
        }
        s0 = _mm256_add_epi32(s0, r0.sum());
        s1 = _mm256_add_epi32(s1, r1.sum());
        s2 = _mm256_add_epi32(s2, r2.sum());
        s3 = _mm256_add_epi32(s3, r3.sum());
    }
    store(sums, s0);
    store(sums + 8, s1);
    store(sums + 16, s2);
    store(sums + 24, s3);
}

void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    ternary_half(tile, levels, cols, sums);
    ternary_half(tile + 128, levels, cols, sums + 32);
}

// A product of two codes and two levels is at most 2 * 2 * 128 = 512 in size: 63 of them fit into 16 bits.
constexpr int MANY_COLS_IN_16_BITS = 15 * STEP_COLS;  // four products each
constexpr int STRIP = 3;                              // tokens; with two vectors of rows, six sums in 16 bits

void ternary_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    const __m256i mask = _mm256_set1_epi8(0x03), ones = _mm256_set1_epi16(1);
    for (int part = 0; part < 8; part += 2) {
        __m256i sum[STRIP][2];
        for (auto& token : sum) token[0] = token[1] = _mm256_setzero_si256();
        const uint8_t* step = tile + 32 * part;
        for (int from = 0; from < cols; from += MANY_COLS_IN_16_BITS) {
            const int until = from + MANY_COLS_IN_16_BITS < cols ? from + MANY_COLS_IN_16_BITS : cols;
            __m256i small[STRIP][2];
            for (auto& token : small) token[0] = token[1] = _mm256_setzero_si256();
            for (int k = from; k < until; k += STEP_COLS, step += STEP_BYTES)
                for (int j = 0; j < 4; ++j) {
                    const __m256i w0 = _mm256_and_si256(_mm256_srli_epi16(load(step), 2 * j), mask);
                    const __m256i w1 = _mm256_and_si256(_mm256_srli_epi16(load(step + 32), 2 * j), mask);
                    for (int n = 0; n < STRIP; ++n) {
                        const __m256i a = four(levels + n * stride + k + 4 * j);
                        small[n][0] = _mm256_add_epi16(small[n][0], _mm256_maddubs_epi16(w0, a));
                        small[n][1] = _mm256_add_epi16(small[n][1], _mm256_maddubs_epi16(w1, a));
                    }
                }
            for (int n = 0; n < STRIP; ++n)
                for (int v = 0; v < 2; ++v) sum[n][v] = _mm256_add_epi32(sum[n][v], _mm256_madd_epi16(small[n][v], ones));
        }
        for (int n = 0; n < STRIP; ++n)
            for (int v = 0; v < 2; ++v) store(sums + n * TILE_ROWS + 8 * (part + v), sum[n][v]);
    }
}

void ternary_many(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (; n >= STRIP; n -= STRIP, levels += STRIP * stride, sums += STRIP * TILE_ROWS)
        ternary_strip(tile, levels, stride, cols, sums);
    for (; n; --n, levels += stride, sums += TILE_ROWS) ternary_one(tile, levels, cols, sums);
}

// Weights of the head have eight bits, so 16-bit sums of products would overflow: both are widened first. V vectors of eight
// rows at a time, for N tokens.
template <int N, int V>
void head_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    for (int part = 0; part < 8; part += V) {
        __m256i low[N][V], high[N][V];
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v) low[n][v] = high[n][v] = _mm256_setzero_si256();
        const uint8_t* step = tile + 32 * part;
        for (int k = 0; k < cols; k += HEAD_STEP_COLS, step += STEP_BYTES) {
            __m256i a[N];
            for (int n = 0; n < N; ++n) {
                int32_t word;
                std::memcpy(&word, levels + n * stride + k, 4);
                a[n] = _mm256_cvtepi8_epi16(_mm_set1_epi32(word));
            }
            for (int v = 0; v < V; ++v) {
                const __m256i w = load(step + 32 * v);
                const __m256i first = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(w));
                const __m256i second = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(w, 1));
                for (int n = 0; n < N; ++n) {
                    low[n][v] = _mm256_add_epi32(low[n][v], _mm256_madd_epi16(first, a[n]));
                    high[n][v] = _mm256_add_epi32(high[n][v], _mm256_madd_epi16(second, a[n]));
                }
            }
        }
        // Each row's two halves lie side by side.
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v)
                store(sums + n * TILE_ROWS + 8 * (part + v),
                      _mm256_permute4x64_epi64(_mm256_hadd_epi32(low[n][v], high[n][v]), 0xd8));
    }
}

void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (; n >= 2; n -= 2, levels += 2 * stride, sums += 2 * TILE_ROWS) head_strip<2, 2>(tile, levels, stride, cols, sums);
    if (n) head_strip<1, 4>(tile, levels, stride, cols, sums);
}

}  // namespace

const Kernels avx2_kernels = TRITCODER_KERNELS("avx2");

}  // namespace tritcoder
