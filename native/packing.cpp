#include "packing.h"

#include <cstring>

namespace tritcoder {
namespace {

constexpr int BLOCK = 256;  // weights of a TQ block
constexpr int TQ2_BYTES = 66, TQ1_BYTES = 54, I2_S_WEIGHTS = 128, I2_S_BYTES = 32, Q8_WEIGHTS = 32, Q8_BYTES = 34;

float half_to_float(uint16_t h) {
    const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    uint32_t bits = sign | ((exponent + 112) << 23) | (fraction << 13);
    if (exponent == 31) bits = sign | 0x7f800000 | (fraction << 13);
    float value;
    if (exponent == 0) {
        value = float(fraction) * 5.9604644775390625e-08f;  // 2^-24
        return sign ? -value : value;
    }
    std::memcpy(&value, &bits, 4);
    return value;
}

uint16_t read16(const uint8_t* p) {
    uint16_t v;
    std::memcpy(&v, p, 2);
    return v;
}

// Each decoder writes `cols` codes (trit + 1) of one row; pack_tile looks for codes that are none.

void decode_tq2(const uint8_t* row, int cols, uint8_t* codes) {
    for (int block = 0; block < cols / BLOCK; ++block, row += TQ2_BYTES)
        for (int half = 0; half < 64; half += 32)
            for (int l = 0; l < 4; ++l, codes += 32)
                for (int m = 0; m < 32; ++m) codes[m] = (row[half + m] >> (2 * l)) & 3;
}

void decode_tq1(const uint8_t* row, int cols, uint8_t* codes) {
    static constexpr uint8_t powers[5] = {1, 3, 9, 27, 81};
    const auto trit = [](uint8_t byte, int n) { return uint8_t((uint16_t(uint8_t(byte * powers[n])) * 3) >> 8); };
    for (int block = 0; block < cols / BLOCK; ++block, row += TQ1_BYTES) {
        for (int n = 0; n < 5; ++n, codes += 32)
            for (int m = 0; m < 32; ++m) codes[m] = trit(row[m], n);
        for (int n = 0; n < 5; ++n, codes += 16)
            for (int m = 0; m < 16; ++m) codes[m] = trit(row[32 + m], n);
        for (int n = 0; n < 4; ++n, codes += 4)
            for (int m = 0; m < 4; ++m) codes[m] = trit(row[48 + m], n);
    }
}

void decode_i2_s(const uint8_t* row, int cols, uint8_t* codes) {
    for (int block = 0; block < cols / I2_S_WEIGHTS; ++block, row += I2_S_BYTES)
        for (int l = 0; l < 4; ++l, codes += 32)
            for (int m = 0; m < 32; ++m) codes[m] = (row[m] >> (6 - 2 * l)) & 3;
}

void decode_codes(TernaryLayout layout, const uint8_t* data, int rows, int cols, int row, uint8_t* codes) {
    switch (layout) {
        case TernaryLayout::tq2_0: return decode_tq2(data + size_t(row) * size_t(cols / BLOCK * TQ2_BYTES), cols, codes);
        case TernaryLayout::tq1_0: return decode_tq1(data + size_t(row) * size_t(cols / BLOCK * TQ1_BYTES), cols, codes);
        case TernaryLayout::i2_s: return decode_i2_s(data + size_t(row) * size_t(cols / 4), cols, codes);
        case TernaryLayout::rows4: {
            const int shift = 2 * (row / (rows / 4));
            const uint8_t* from = data + size_t(row % (rows / 4)) * size_t(cols);
            for (int k = 0; k < cols; ++k) codes[k] = (from[k] >> shift) & 3;
            return;
        }
        case TernaryLayout::trits: {
            const uint8_t* from = data + size_t(row) * size_t(cols);
            for (int k = 0; k < cols; ++k) codes[k] = uint8_t(from[k] + 1);
            return;
        }
    }
}

}  // namespace

size_t ternary_bytes(TernaryLayout layout, int rows, int cols) {
    const size_t weights = size_t(rows) * size_t(cols);
    switch (layout) {
        case TernaryLayout::tq2_0: return cols % BLOCK ? 0 : weights / BLOCK * TQ2_BYTES;
        case TernaryLayout::tq1_0: return cols % BLOCK ? 0 : weights / BLOCK * TQ1_BYTES;
        case TernaryLayout::i2_s: return cols % I2_S_WEIGHTS ? 0 : weights / 4;
        case TernaryLayout::rows4: return rows % 4 ? 0 : weights / 4;
        case TernaryLayout::trits: return weights;
    }
    return 0;
}

size_t float_bytes(FloatLayout layout, int rows, int cols) {
    const size_t weights = size_t(rows) * size_t(cols);
    switch (layout) {
        case FloatLayout::f32: return weights * 4;
        case FloatLayout::f16:
        case FloatLayout::bf16: return weights * 2;
        case FloatLayout::q8_0: return cols % Q8_WEIGHTS ? 0 : weights / Q8_WEIGHTS * Q8_BYTES;
    }
    return 0;
}

bool pack_tile(TernaryLayout layout, const uint8_t* data, int rows, int cols, int tile, uint8_t* scratch,
               uint8_t* tile_bytes) {
    const int first = tile * TILE_ROWS, count = rows - first < TILE_ROWS ? rows - first : TILE_ROWS;
    for (int r = 0; r < count; ++r) decode_codes(layout, data, rows, cols, first + r, scratch + size_t(r) * size_t(cols));
    const size_t used = size_t(count) * size_t(cols);
    std::memset(scratch + used, 1, size_t(TILE_ROWS) * size_t(cols) - used);
    uint8_t most = 0;
    for (size_t i = 0; i < used; ++i) most = scratch[i] > most ? scratch[i] : most;
    if (most > 2) return false;
    for (int r = 0; r < TILE_ROWS; ++r) {
        const uint8_t* codes = scratch + size_t(r) * size_t(cols);
        uint8_t* to = tile_bytes + 4 * r;
        for (int k = 0; k < cols; k += STEP_COLS, codes += STEP_COLS, to += STEP_BYTES) {
            uint32_t word[4];
            std::memcpy(word, codes, STEP_COLS);
            const uint32_t packed = word[0] | word[1] << 2 | word[2] << 4 | word[3] << 6;
            std::memcpy(to, &packed, 4);
        }
    }
    return true;
}

void decode_row(FloatLayout layout, const uint8_t* data, int cols, int64_t row, float* out) {
    switch (layout) {
        case FloatLayout::f32: std::memcpy(out, data + row * cols * 4, size_t(cols) * 4); return;
        case FloatLayout::f16:
            for (int i = 0; i < cols; ++i) out[i] = half_to_float(read16(data + (row * cols + i) * 2));
            return;
        case FloatLayout::bf16:
            for (int i = 0; i < cols; ++i) {
                const uint32_t bits = uint32_t(read16(data + (row * cols + i) * 2)) << 16;
                std::memcpy(out + i, &bits, 4);
            }
            return;
        case FloatLayout::q8_0: {
            const uint8_t* block = data + row * (cols / Q8_WEIGHTS) * Q8_BYTES;
            for (int b = 0; b < cols / Q8_WEIGHTS; ++b, block += Q8_BYTES, out += Q8_WEIGHTS) {
                const float scale = half_to_float(read16(block));
                for (int i = 0; i < Q8_WEIGHTS; ++i) out[i] = float(int8_t(block[2 + i])) * scale;
            }
            return;
        }
    }
}

void pack_head_tile(const Kernels& kernels, FloatLayout layout, const uint8_t* data, int rows, int cols, int tile,
                    float* row, int8_t* levels, uint8_t* tile_bytes, float* scales) {
    for (int r = 0; r < TILE_ROWS; ++r) {
        const int at = tile * TILE_ROWS + r;
        Levels rounded{levels, 0, 0};
        if (at < rows) {
            decode_row(layout, data, cols, at, row);
            kernels.quantize(row, cols, &rounded);
        } else {
            std::memset(levels, 0, size_t(cols));
        }
        scales[r] = rounded.scale;
        for (int k = 0; k < cols; k += HEAD_STEP_COLS) {
            uint32_t word;
            std::memcpy(&word, levels + k, 4);
            word ^= 0x80808080u;  // plus 128
            std::memcpy(tile_bytes + size_t(k) * TILE_ROWS + 4 * r, &word, 4);
        }
    }
}

}  // namespace tritcoder
