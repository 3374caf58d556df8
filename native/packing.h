// From the layouts of files to tiles.
#pragma once
#include <cstdint>
#include <string>

#include "ternary.h"

namespace tritcoder {

enum class TernaryLayout { tq2_0, tq1_0, i2_s, rows4, trits };
enum class FloatLayout { f32, f16, bf16, q8_0 };

// Bytes of a matrix in a layout; 0 if the layout cannot hold it.
size_t ternary_bytes(TernaryLayout layout, int rows, int cols);
size_t float_bytes(FloatLayout layout, int rows, int cols);

// Packs rows 64 tile .. 64 tile + 63 of a matrix into `tile_bytes` (16 * cols); rows beyond the last are zeros.
// False if a byte holds no trit. `scratch` has 64 * cols bytes.
bool pack_tile(TernaryLayout layout, const uint8_t* data, int rows, int cols, int tile, uint8_t* scratch,
               uint8_t* tile_bytes);

// One row of floats.
void decode_row(FloatLayout layout, const uint8_t* data, int cols, int64_t row, float* out);

// Rounds rows of the head to int8 and lays them out in a tile of 64 * cols bytes; `scratch` has cols floats and cols int8.
void pack_head_tile(const Kernels& kernels, FloatLayout layout, const uint8_t* data, int rows, int cols, int tile,
                    float* row, int8_t* levels, uint8_t* tile_bytes, float* scales);

}  // namespace tritcoder
