// Where trits lie and which functions read them: the one header that every kernel file shares.
//
// A tile is 64 rows of a matrix, in steps of 16 columns of 256 bytes: four groups of 16 rows, and in a group 16 rows of
// 4 bytes. Bits 2j, 2j+1 of byte b of a row hold the code `trit + 1` of column 16 step + 4 j + b. So four bytes of a row,
// masked to one j, meet four activations that lie side by side. (The same as in src/tritcoder/ternary/tiles.py.)
//
// A tile of the output head holds int8 weights plus 128, in steps of 4 columns: 64 rows of 4 bytes.
//
// docs/engine.md fixes every float operation; all kernels give the same bits.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)  // CMakeLists.txt tells other compilers
#endif

// A function that several kernel files share must not be compiled by itself in any of them, not even in a debug build: the
// linker keeps one copy for all, and that may use instructions that the processor lacks.
#if defined(_MSC_VER) && !defined(__clang__)
#define TRITCODER_INLINE __forceinline
#else
#define TRITCODER_INLINE __attribute__((always_inline)) inline
#endif

namespace tritcoder {

constexpr int TILE_ROWS = 64;
constexpr int STEP_COLS = 16;
constexpr int STEP_BYTES = 256;
constexpr int HEAD_STEP_COLS = 4;
constexpr int BLOCK_POSITIONS = 32;  // of the KV cache
constexpr int GROUP = 16;            // positions whose keys lie side by side
constexpr int MAX_QUERIES = 4;       // that are attended to together
constexpr int TOKEN_STRIP = 24;      // tokens whose sums a matrix product holds at once

static_assert(TILE_ROWS * STEP_COLS / 4 == STEP_BYTES, "two bits a weight");
static_assert(BLOCK_POSITIONS % GROUP == 0, "a block holds whole groups");

enum class Act { silu, relu2 };
enum class CacheType { float16, int8 };

// int8 levels of a vector, their scale, and their sum (which turns sums of codes into sums of trits).
struct Levels {
    int8_t* values;
    float scale;
    int32_t sum;
};

// Where the keys and values of one key head lie in a block of the cache.
//   keys     [group][head width][16 positions]     values   [position][head width]      float16 or int8
//   scales   [32] of keys, [32] of values; int8 only
struct HeadBlock {
    uint8_t* keys;
    uint8_t* values;
    float* key_scales;
    float* value_scales;
};

struct AttentionLayout {
    CacheType type;
    int width;  // of a head, filled up to a multiple of 16
    TRITCODER_INLINE size_t element_bytes() const { return type == CacheType::float16 ? 2 : 1; }
    TRITCODER_INLINE size_t half_bytes() const { return element_bytes() * size_t(BLOCK_POSITIONS) * size_t(width); }
    TRITCODER_INLINE size_t head_bytes() const {
        return 2 * half_bytes() + (type == CacheType::int8 ? 2 * BLOCK_POSITIONS * sizeof(float) : 0);
    }
    TRITCODER_INLINE HeadBlock at(uint8_t* head) const {
        uint8_t* scales = head + 2 * half_bytes();
        return {head, head + half_bytes(), reinterpret_cast<float*>(scales),
                reinterpret_cast<float*>(scales) + BLOCK_POSITIONS};
    }
};

// Up to MAX_QUERIES query vectors that look at one key head of one sequence.
struct Queries {
    int count;
    const float* vectors[MAX_QUERIES];  // filled up with zeros to the layout's width
    int lengths[MAX_QUERIES];           // positions each one sees; ascending
    float* out[MAX_QUERIES];            // layout's width each
    float* scores;                      // scratch: MAX_QUERIES * stride floats
    ptrdiff_t stride;                   // of scores; at least the longest length, up to a multiple of 16
};

struct Kernels {
    const char* name;
    // Sums of code * level of the 64 rows of a tile, for one token and for n tokens `stride` bytes apart.
    void (*ternary_one)(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums);
    void (*ternary_many)(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums);
    // Sums of (weight + 128) * level of the 64 rows of a tile of the head, for n tokens.
    void (*head)(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums);
    float (*dot)(const float* x, const float* y, int n);
    // out[t * out_stride] = dot(row, x + t * stride, cols) for n tokens.
    void (*dots)(const float* row, const float* x, ptrdiff_t stride, int n, int cols, float* out, ptrdiff_t out_stride);

    void (*norm)(const float* x, const float* weight, int n, float eps, float* out);
    void (*quantize)(const float* x, int n, Levels* out);
    // out[i] = (sums[i] - shift) * scale, or * (scale * row_scales[i]); any n.
    void (*scaled)(const int32_t* sums, int32_t shift, float scale, int n, float* out);
    void (*scaled_by_row)(const int32_t* sums, int32_t shift, float scale, const float* row_scales, int n, float* out);
    // out = act(gate) * up, and x = x + y; n a multiple of 16.
    void (*gated)(const float* gate, const float* up, Act act, int n, float* out);
    void (*add)(const float* y, int n, float* x);
    // Turn one head by its position's angles and multiply it by `factor`; the rest of `width` becomes zeros.
    void (*rotate)(const float* x, const float* cos, const float* sin, int head_dim, int width, float factor, float* out);
    void (*store)(const AttentionLayout& layout, HeadBlock block, int place, const float* key, const float* value);
    void (*attend)(const AttentionLayout& layout, uint8_t* const* blocks, const Queries& queries);
};

extern const Kernels reference_kernels;
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernels neon_kernels;
#endif

}  // namespace tritcoder
