// Layouts of files: tiles against decoders that look up one weight at a time; float16 against double arithmetic.
#include "packing.h"

#include "check.h"
#include "dispatch.h"
#include "longhand.h"

namespace tritcoder::tests {
namespace {

constexpr TernaryLayout ternary_layouts[] = {TernaryLayout::tq2_0, TernaryLayout::tq1_0, TernaryLayout::i2_s,
                                             TernaryLayout::rows4, TernaryLayout::trits};

// Where the code of one weight lies: its byte, and its two bits there; in tq1_0 its power of three.
struct Place {
    size_t byte;
    int at;
};

Place place_of(TernaryLayout layout, int rows, int cols, int row, int col) {
    const size_t r = size_t(row), c = size_t(col), width = size_t(cols), block = c / 256, inside = c % 256;
    switch (layout) {
        case TernaryLayout::tq2_0:  // 32 bytes hold 128 weights: 32 in bits 0 and 1, the next 32 in bits 2 and 3, ...
            return {(r * width / 256 + block) * 66 + inside / 128 * 32 + inside % 32, int(inside % 128 / 32)};
        case TernaryLayout::tq1_0: {  // five weights a byte, 32 bytes, then 16 bytes; four a byte in the last 4
            const size_t start = (r * width / 256 + block) * 54;
            if (inside < 160) return {start + inside % 32, int(inside / 32)};
            if (inside < 240) return {start + 32 + (inside - 160) % 16, int((inside - 160) / 16)};
            return {start + 48 + (inside - 240) % 4, int((inside - 240) / 4)};
        }
        case TernaryLayout::i2_s:  // 32 bytes hold 128 weights, the first 32 in bits 6 and 7
            return {(r * width + c) / 128 * 32 + c % 32, 3 - int(c % 128 / 32)};
        case TernaryLayout::rows4: return {r % size_t(rows / 4) * width + c, row / (rows / 4)};
        case TernaryLayout::trits: return {r * width + c, 0};
    }
    return {0, 0};
}

// Bytes that hold the codes (row-major); what is no code (scales of blocks) is noise.
std::vector<uint8_t> encode(TernaryLayout layout, int rows, int cols, const std::vector<int>& codes, Random& random) {
    std::vector<uint8_t> bytes(ternary_bytes(layout, rows, cols));
    std::vector<int> digits(bytes.size() * 5, -1);
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) {
            const Place place = place_of(layout, rows, cols, r, c);
            digits[place.byte * 5 + size_t(place.at)] = codes[size_t(r) * size_t(cols) + size_t(c)];
        }
    for (size_t i = 0; i < bytes.size(); ++i) {
        const int* digit = &digits[i * 5];
        if (digit[0] < 0) {
            bytes[i] = uint8_t(random.below(256));
        } else if (layout == TernaryLayout::trits) {
            bytes[i] = uint8_t(digit[0] - 1);
        } else if (layout == TernaryLayout::tq1_0) {  // a number in base 3, as a fraction of 243 in 256ths, rounded up
            int number = 0;
            for (int n = 0; n < 5; ++n) number = number * 3 + (digit[n] < 0 ? 0 : digit[n]);
            bytes[i] = uint8_t((number * 256 + 242) / 243);
        } else {
            bytes[i] = uint8_t(digit[0] | digit[1] << 2 | digit[2] << 4 | digit[3] << 6);
        }
    }
    return bytes;
}

int code_in_tile(const std::vector<uint8_t>& tile, int row, int col) {
    const size_t byte = size_t(col / STEP_COLS * STEP_BYTES + row * 4 + col % 4);
    return (tile[byte] >> (col % STEP_COLS / 4 * 2)) & 3;
}

void check_tiles(TernaryLayout layout, int rows, int cols, Random& random) {
    std::vector<int> codes(size_t(rows) * size_t(cols));
    for (int& code : codes) code = random.below(3);
    const auto bytes = encode(layout, rows, cols, codes, random);
    std::vector<uint8_t> scratch(size_t(cols) * TILE_ROWS), tile(size_t(cols) * TILE_ROWS / 4);
    for (int t = 0; t * TILE_ROWS < rows; ++t) {
        const bool good = pack_tile(layout, bytes.data(), rows, cols, t, scratch.data(), tile.data());
        bool equal = true;
        for (int r = 0; r < TILE_ROWS; ++r)
            for (int c = 0; c < cols; ++c) {
                const int row = t * TILE_ROWS + r;
                const int expected = row < rows ? codes[size_t(row) * size_t(cols) + size_t(c)] : 1;
                equal = equal && code_in_tile(tile, r, c) == expected;
            }
        CHECK(good && equal, "layout " + text(int(layout)) + ", rows " + text(rows) + ", cols " + text(cols));
    }
}

void check_wrong_codes(TernaryLayout layout, Random& random) {
    constexpr int rows = 128, cols = 256;
    const std::vector<int> codes(size_t(rows) * cols, 2);
    const auto whole = encode(layout, rows, cols, codes, random);
    std::vector<uint8_t> scratch(size_t(cols) * TILE_ROWS), tile(size_t(cols) * TILE_ROWS / 4);
    for (int n = 0; n < 200; ++n) {
        const int row = random.below(rows), col = random.below(cols);
        const Place place = place_of(layout, rows, cols, row, col);
        auto bytes = whole;
        bytes[place.byte] = layout == TernaryLayout::trits ? uint8_t(random.between(2, 254))
                                                           : uint8_t(bytes[place.byte] | 3 << (2 * place.at));
        CHECK(!pack_tile(layout, bytes.data(), rows, cols, row / TILE_ROWS, scratch.data(), tile.data()),
              "layout " + text(int(layout)) + " at row " + text(row) + ", col " + text(col));
    }
}

// All bytes of tq1_0 hold trits: what is read of each is laid down by ggml's multiplication.
void check_every_tq1_byte() {
    std::vector<uint8_t> bytes(54), scratch(256 * TILE_ROWS), tile(256 * TILE_ROWS / 4);
    for (int byte = 0; byte < 256; ++byte) {
        std::fill(bytes.begin(), bytes.end(), uint8_t(byte));
        bool equal = pack_tile(TernaryLayout::tq1_0, bytes.data(), 1, 256, 0, scratch.data(), tile.data());
        int power = 1;
        for (int n = 0; n < 5; ++n, power *= 3) equal = equal && code_in_tile(tile, 0, 32 * n) == byte * power % 256 * 3 / 256;
        CHECK(equal, "tq1_0 byte " + text(byte));
    }
}

void check_sizes() {
    CHECK(ternary_bytes(TernaryLayout::tq2_0, 3, 512) == 3 * 2 * 66, "tq2_0");
    CHECK(ternary_bytes(TernaryLayout::tq1_0, 3, 512) == 3 * 2 * 54, "tq1_0");
    CHECK(ternary_bytes(TernaryLayout::rows4, 8, 64) == 128, "rows4");
    CHECK(ternary_bytes(TernaryLayout::trits, 8, 64) == 512, "trits");
    CHECK(ternary_bytes(TernaryLayout::tq2_0, 3, 64) == 0 && ternary_bytes(TernaryLayout::tq1_0, 3, 320) == 0, "no blocks");
    CHECK(ternary_bytes(TernaryLayout::i2_s, 4, 64) == 0 && ternary_bytes(TernaryLayout::rows4, 6, 64) == 0, "no blocks");
    CHECK(float_bytes(FloatLayout::f32, 3, 64) == 768 && float_bytes(FloatLayout::f16, 3, 64) == 384, "floats");
    CHECK(float_bytes(FloatLayout::q8_0, 3, 64) == 3 * 2 * 34 && float_bytes(FloatLayout::q8_0, 3, 48) == 0, "q8_0");
}

void put16(uint8_t* to, uint16_t value) { std::memcpy(to, &value, 2); }

void check_rows(Random& random) {
    constexpr int rows = 5, cols = 96;
    for (FloatLayout layout : {FloatLayout::f32, FloatLayout::f16, FloatLayout::bf16, FloatLayout::q8_0}) {
        std::vector<uint8_t> bytes(float_bytes(layout, rows, cols));
        for (uint8_t& byte : bytes) byte = uint8_t(random.below(256));
        if (layout == FloatLayout::q8_0)
            for (size_t i = 0; i < bytes.size(); i += 34) put16(&bytes[i], uint16_t(random.below(0x7c00)));
        for (int row = 0; row < rows; ++row) {
            std::vector<float> out(cols);
            decode_row(layout, bytes.data(), cols, row, out.data());
            bool equal = true;
            for (int c = 0; c < cols; ++c) {
                const size_t i = size_t(row * cols + c);
                float expected = 0;
                uint16_t half = 0;
                if (layout == FloatLayout::f32) {
                    std::memcpy(&expected, &bytes[4 * i], 4);
                } else if (layout == FloatLayout::f16) {
                    std::memcpy(&half, &bytes[2 * i], 2);
                    expected = float(longhand::half_value(half));
                } else if (layout == FloatLayout::bf16) {
                    uint8_t four[4] = {0, 0, bytes[2 * i], bytes[2 * i + 1]};
                    std::memcpy(&expected, four, 4);
                } else {
                    std::memcpy(&half, &bytes[i / 32 * 34], 2);
                    expected = float(longhand::half_value(half)) * float(int8_t(bytes[i / 32 * 34 + 2 + i % 32]));
                }
                equal = equal && same(out[size_t(c)], expected);
            }
            CHECK(equal, "float layout " + text(int(layout)) + ", row " + text(row));
        }
    }
}

void check_head(const Kernels& kernels, int rows, int cols, Random& random) {
    const auto embedding = random.normals(size_t(rows) * size_t(cols));
    const auto* bytes = reinterpret_cast<const uint8_t*>(embedding.data());
    std::vector<float> row(static_cast<size_t>(cols)), scales(TILE_ROWS);
    std::vector<int8_t> levels(static_cast<size_t>(cols));
    std::vector<uint8_t> tile(size_t(cols) * TILE_ROWS);
    for (int t = 0; t * TILE_ROWS < rows; ++t) {
        pack_head_tile(kernels, FloatLayout::f32, bytes, rows, cols, t, row.data(), levels.data(), tile.data(), scales.data());
        bool equal = true;
        for (int r = 0; r < TILE_ROWS && t * TILE_ROWS + r < rows; ++r) {
            const auto expected = longhand::levels(&embedding[size_t((t * TILE_ROWS + r) * cols)], cols);
            equal = equal && scales[size_t(r)] == expected.scale;
            for (int c = 0; c < cols; ++c)
                equal = equal && tile[size_t(c / 4 * 256 + r * 4 + c % 4)] == uint8_t(expected.levels[size_t(c)] + 128);
        }
        CHECK(equal, std::string(kernels.name) + ", head of " + text(rows) + " rows");
    }
}

// What the cache of this kernel makes of sixteen floats, and of sixteen halves.
void through_cache(const Kernels& kernels, const float* x, uint16_t* halves) {
    const AttentionLayout layout{CacheType::float16, 16};
    std::vector<uint8_t> block(layout.head_bytes());
    kernels.store(layout, layout.at(block.data()), 0, x, x);
    std::memcpy(halves, layout.at(block.data()).values, 32);
    for (int d = 0; d < 16; ++d) {
        uint16_t key;
        std::memcpy(&key, layout.at(block.data()).keys + d * GROUP * 2, 2);
        CHECK(key == halves[d], std::string(kernels.name) + " keys and values are rounded alike");
    }
}

void out_of_cache(const Kernels& kernels, const uint16_t* halves, float* out) {
    const AttentionLayout layout{CacheType::float16, 16};
    std::vector<uint8_t> block(layout.head_bytes());
    std::memcpy(layout.at(block.data()).values, halves, 32);
    uint8_t* blocks[] = {block.data()};
    const float query[16] = {};
    float scores[16];
    Queries queries{};
    queries.count = 1, queries.vectors[0] = query, queries.lengths[0] = 1;
    queries.out[0] = out, queries.scores = scores, queries.stride = 16;
    kernels.attend(layout, blocks, queries);  // of one position: (0 + 1 * value) * 1
}

void check_to_half(const Kernels& kernels, const std::vector<float>& all) {
    for (size_t i = 0; i + 16 <= all.size(); i += 16) {
        uint16_t halves[16];
        through_cache(kernels, &all[i], halves);
        bool equal = true;
        for (size_t l = 0; l < 16; ++l) {
            const double ours = longhand::half_value(halves[l]), nearest = longhand::nearest_half(all[i + l]);
            const bool is_number = nearest == nearest;
            equal = equal && (is_number ? ours == nearest && std::signbit(ours) == std::signbit(nearest) : ours != ours);
        }
        CHECK(equal, std::string(kernels.name) + " near " + std::to_string(all[i]));
    }
}

}  // namespace

void test_half_precision() {
    std::vector<uint16_t> halves;
    std::vector<float> floats;
    for (int h = 0; h < 65536; ++h) halves.push_back(uint16_t(h));
    std::vector<float> decoded(65536);
    decode_row(FloatLayout::f16, reinterpret_cast<const uint8_t*>(halves.data()), 65536, 0, decoded.data());
    for (size_t h = 0; h < 65536; ++h) {
        CHECK(same(decoded[h], float(longhand::half_value(uint16_t(h)))), "half " + text((long long)h));
        const double value = longhand::half_value(uint16_t(h));
        floats.push_back(float(value));
        if (!std::isfinite(value)) continue;
        // The tie between this half and the next, which a float holds exactly, and the floats beside it.
        const double next = longhand::half_value(uint16_t(h + 1));
        const float tie = float(std::isfinite(next) ? (value + next) / 2 : std::copysign(65520.0, value));
        floats.insert(floats.end(), {tie, std::nextafter(tie, -INFINITY), std::nextafter(tie, INFINITY)});
    }
    Random random(4);
    for (int i = 0; i < 20000; ++i) {  // any bits at all
        const uint32_t bits = uint32_t(random.bits());
        float value;
        std::memcpy(&value, &bits, 4);
        floats.push_back(value);
    }
    floats.insert(floats.end(), {1e-45f, 3e-8f, 65519.996f, 65520.0f, 3.4e38f, 0.0f});
    floats.resize(floats.size() / 16 * 16);
    for (const Kernels* kernels : usable_kernels()) {
        check_to_half(*kernels, floats);
        for (size_t h = 0; h < 65536; h += 16) {
            float out[16];
            out_of_cache(*kernels, &halves[h], out);
            bool equal = true;
            for (size_t l = 0; l < 16; ++l) equal = equal && same(out[l], 0.0f + float(longhand::half_value(halves[h + l])));
            CHECK(equal, std::string(kernels->name) + " half " + text((long long)h));
        }
    }
}

void test_packing() {
    Random random(5);
    check_sizes();
    for (TernaryLayout layout : ternary_layouts) {
        for (int rows : {4, 60, 64, 128, 260})
            for (int cols : {256, 768}) check_tiles(layout, rows, cols, random);
        if (layout != TernaryLayout::tq1_0) check_wrong_codes(layout, random);
    }
    for (int rows : {1, 63, 65, 130}) check_tiles(TernaryLayout::trits, rows, 64, random);
    check_tiles(TernaryLayout::i2_s, 70, 128, random);
    check_every_tq1_byte();
    check_rows(random);
    for (const Kernels* kernels : usable_kernels())
        for (int rows : {1, 64, 130}) check_head(*kernels, rows, 192, random);
}

}  // namespace tritcoder::tests
