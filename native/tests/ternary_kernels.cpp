// Integer products: every kernel against a product written out weight by weight.
#include "check.h"
#include "dispatch.h"

namespace tritcoder::tests {
namespace {

enum class Fill { random, lowest, highest, alternating };

void fill_levels(std::vector<int8_t>& levels, Fill fill, Random& random) {
    for (size_t i = 0; i < levels.size(); ++i)
        switch (fill) {
            case Fill::random: levels[i] = int8_t(random.between(-128, 127)); break;
            case Fill::lowest: levels[i] = -128; break;
            case Fill::highest: levels[i] = 127; break;
            case Fill::alternating: levels[i] = i % 2 ? -128 : 127; break;
        }
}

void fill_tile(std::vector<uint8_t>& tile, Fill fill, Random& random) {
    for (uint8_t& byte : tile) switch (fill) {
            case Fill::random: {
                byte = 0;
                for (int j = 0; j < 4; ++j) byte = uint8_t(byte | random.below(3) << (2 * j));
                break;
            }
            case Fill::lowest: byte = 0; break;
            case Fill::highest: byte = 0xaa; break;
            case Fill::alternating: byte = 0x88; break;
        }
}

int32_t long_product(const std::vector<uint8_t>& tile, const int8_t* levels, int cols, int row) {
    int32_t sum = 0;
    for (int k = 0; k < cols; ++k) {
        const uint8_t byte = tile[size_t(k / STEP_COLS * STEP_BYTES + row / 16 * 64 + row % 16 * 4 + k % 4)];
        sum += ((byte >> (k % 16 / 4 * 2)) & 3) * levels[k];
    }
    return sum;
}

int32_t long_head_product(const std::vector<uint8_t>& tile, const int8_t* levels, int cols, int row) {
    int32_t sum = 0;
    for (int k = 0; k < cols; ++k) sum += tile[size_t(k / HEAD_STEP_COLS * STEP_BYTES + row * 4 + k % 4)] * levels[k];
    return sum;
}

template <class Product, class Call>
void check_sums(const char* name, int n, int cols, int stride, const std::vector<int8_t>& levels, Product product,
                Call call) {
    constexpr int32_t untouched = 0x5a5a5a5a;
    std::vector<int32_t> sums(size_t((n + 1) * TILE_ROWS), untouched);
    call(sums.data());
    bool equal = true, beyond = true;
    for (int t = 0; t < n; ++t)
        for (int row = 0; row < TILE_ROWS; ++row)
            equal = equal && sums[size_t(t * TILE_ROWS + row)] == product(levels.data() + t * stride, row);
    for (int row = 0; row < TILE_ROWS; ++row) beyond = beyond && sums[size_t(n * TILE_ROWS + row)] == untouched;
    CHECK(equal, std::string(name) + ", n " + text(n) + ", cols " + text(cols));
    CHECK(beyond, std::string(name) + " writes beyond its sums, n " + text(n));
}

void check_tile(const Kernels& kernels, int n, int cols, Fill weights, Fill activations, Random& random) {
    const int stride = cols + 64 * random.below(3);
    std::vector<uint8_t> tile(size_t(cols) * TILE_ROWS / 4);
    std::vector<int8_t> levels(size_t((n - 1) * stride + cols));  // not a byte more: a sanitizer sees who reads beyond
    fill_tile(tile, weights, random);
    fill_levels(levels, activations, random);
    const auto product = [&](const int8_t* x, int row) { return long_product(tile, x, cols, row); };
    const std::string name = kernels.name;
    check_sums((name + ".ternary_many").c_str(), n, cols, stride, levels, product, [&](int32_t* sums) {
        kernels.ternary_many(tile.data(), levels.data(), stride, n, cols, sums);
    });
    check_sums((name + ".ternary_one").c_str(), 1, cols, stride, levels, product, [&](int32_t* sums) {
        kernels.ternary_one(tile.data(), levels.data(), cols, sums);
    });
}

void check_head_tile(const Kernels& kernels, int n, int cols, Fill weights, Fill activations, Random& random) {
    const int stride = cols + 64 * random.below(3);
    std::vector<uint8_t> tile(size_t(cols) * TILE_ROWS);
    std::vector<int8_t> levels(size_t((n - 1) * stride + cols));
    std::vector<int8_t> filled(tile.size());
    fill_levels(filled, weights, random);
    for (size_t i = 0; i < tile.size(); ++i) tile[i] = uint8_t(filled[i] + 128);
    fill_levels(levels, activations, random);
    const auto product = [&](const int8_t* x, int row) { return long_head_product(tile, x, cols, row); };
    check_sums((std::string(kernels.name) + ".head").c_str(), n, cols, stride, levels, product, [&](int32_t* sums) {
        kernels.head(tile.data(), levels.data(), stride, n, cols, sums);
    });
}

}  // namespace

void test_ternary_kernels() {
    Random random(1);
    const Fill fills[] = {Fill::random, Fill::lowest, Fill::highest, Fill::alternating};
    for (const Kernels* kernels : usable_kernels()) {
        for (Fill weights : fills)
            for (Fill activations : fills)
                for (int cols : {64, 256, 1024}) {
                    check_tile(*kernels, 1 + random.below(5), cols, weights, activations, random);
                    check_head_tile(*kernels, 1 + random.below(5), cols, weights, activations, random);
                }
        for (int n = 1; n <= 33; ++n) {
            check_tile(*kernels, n, 64 * random.between(1, 6), Fill::random, Fill::random, random);
            check_head_tile(*kernels, n, 64 * random.between(1, 6), Fill::random, Fill::random, random);
        }
        for (int cols = 16; cols <= 560; cols += 16)
            check_tile(*kernels, random.between(1, 4), cols, Fill::random, Fill::random, random);
        for (int cols : {2560, 6912}) {
            for (Fill fill : {Fill::random, Fill::highest}) {
                check_tile(*kernels, 3, cols, fill, Fill::lowest, random);
                check_head_tile(*kernels, 3, cols, fill, Fill::lowest, random);
            }
            check_tile(*kernels, 4, cols, Fill::random, Fill::random, random);
            check_head_tile(*kernels, 5, cols, Fill::random, Fill::random, random);
        }
    }
}

}  // namespace tritcoder::tests
