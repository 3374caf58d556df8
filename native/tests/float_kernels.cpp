// Float operations: every kernel against docs/engine.md written out, on numbers of every size.
#include <limits>

#include "check.h"
#include "dispatch.h"
#include "longhand.h"

namespace tritcoder::tests {
namespace {

enum class Kind { common, small, denormal, huge, mixed, not_finite };
constexpr Kind kinds[] = {Kind::common, Kind::small, Kind::denormal, Kind::huge, Kind::mixed, Kind::not_finite};

float number(Kind kind, Random& random) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    switch (kind) {
        case Kind::common: return random.normal() * 3.0f;
        case Kind::small: return random.normal() * 1e-12f;
        case Kind::denormal: return random.normal() * 1e-40f;
        case Kind::huge: return random.normal() * 1e38f;
        case Kind::mixed: return random.below(8) ? number(kinds[random.below(4)], random) : random.one_of({0.0f, -0.0f});
        case Kind::not_finite:
            return random.below(8) ? number(Kind::mixed, random)
                                   : random.one_of({infinity, -infinity, std::numeric_limits<float>::quiet_NaN()});
    }
    return 0;
}

std::vector<float> numbers(size_t n, Kind kind, Random& random) {
    std::vector<float> all(n);
    for (float& one : all) one = number(kind, random);
    return all;
}

std::string named(const Kernels& kernels, const char* operation, int n, Kind kind) {
    return std::string(kernels.name) + "." + operation + ", n " + text(n) + ", numbers of kind " + text(int(kind));
}

void check_sums(const Kernels& kernels, int n, Kind kind, Random& random) {
    const auto x = numbers(size_t(n), kind, random), y = numbers(size_t(n), kind, random);
    CHECK(same(kernels.dot(x.data(), y.data(), n), longhand::sum16(x.data(), y.data(), n)), named(kernels, "dot", n, kind));
    std::vector<float> out(static_cast<size_t>(n));
    kernels.norm(x.data(), y.data(), n, 1e-5f, out.data());
    CHECK(same(out, longhand::norm(x.data(), y.data(), n, 1e-5f)), named(kernels, "norm", n, kind));
    out = x;
    kernels.add(y.data(), n, out.data());
    bool equal = true;
    for (size_t i = 0; i < size_t(n); ++i) equal = equal && same(out[i], x[i] + y[i]);
    CHECK(equal, named(kernels, "add", n, kind));
}

void check_dots(const Kernels& kernels, int n, int cols, Kind kind, Random& random) {
    const int stride = cols + 16 * random.below(3), out_stride = random.between(1, 70);
    const auto row = numbers(size_t(cols), kind, random), x = numbers(size_t((n - 1) * stride + cols), kind, random);
    std::vector<float> out(size_t(n * out_stride), 5.0f), expected = out;
    for (int t = 0; t < n; ++t) expected[size_t(t * out_stride)] = longhand::sum16(&x[size_t(t * stride)], row.data(), cols);
    kernels.dots(row.data(), x.data(), stride, n, cols, out.data(), out_stride);
    CHECK(same(out, expected), named(kernels, "dots", n, kind) + ", cols " + text(cols));
}

void check_gated(const Kernels& kernels, int n, Kind kind, Random& random) {
    const auto gate = numbers(size_t(n), kind, random), up = numbers(size_t(n), kind, random);
    for (Act act : {Act::silu, Act::relu2}) {
        std::vector<float> out(static_cast<size_t>(n));
        kernels.gated(gate.data(), up.data(), act, n, out.data());
        bool equal = true;
        for (size_t i = 0; i < size_t(n); ++i)
            equal = equal && same(out[i], longhand::act(gate[i], act == Act::relu2) * up[i]);
        CHECK(equal, named(kernels, act == Act::silu ? "gated silu" : "gated relu2", n, kind));
    }
}

void check_quantize(const Kernels& kernels, int n, Kind kind, Random& random) {
    const auto x = numbers(size_t(n), kind, random);
    std::vector<int8_t> levels(static_cast<size_t>(n));
    Levels out{levels.data(), 0, 0};
    kernels.quantize(x.data(), n, &out);
    const auto expected = longhand::levels(x.data(), n);
    CHECK(levels == expected.levels && out.sum == expected.sum && same(out.scale, expected.scale),
          named(kernels, "quantize", n, kind));
}

// Halves of levels lie exactly between two: they go to the even one.
void check_quantize_ties(const Kernels& kernels) {
    std::vector<float> x(256);
    for (int i = 0; i < 256; ++i) x[size_t(i)] = float(i - 128) + 0.5f;
    x[255] = 127.0f;
    x[0] = -127.0f;
    std::vector<int8_t> levels(256);
    Levels out{levels.data(), 0, 0};
    kernels.quantize(x.data(), 256, &out);
    bool even = true;
    for (size_t i = 1; i < 255; ++i) even = even && levels[i] % 2 == 0 && std::fabs(float(levels[i]) - x[i]) == 0.5f;
    CHECK(even, kernels.name);
    CHECK(out.scale == 1.0f, kernels.name);
}

void check_scaled(const Kernels& kernels, int n, Kind kind, Random& random) {
    std::vector<int32_t> sums(static_cast<size_t>(n));
    for (auto& one : sums) one = int32_t(random.bits() >> 34) - (1 << 29);
    const auto scales = numbers(size_t(n), kind, random);
    const int32_t shift = int32_t(random.bits() >> 36) - (1 << 27);
    const float scale = number(kind, random);
    std::vector<float> out(size_t(n) + 1, 5.0f), by_row = out;
    kernels.scaled(sums.data(), shift, scale, n, out.data());
    kernels.scaled_by_row(sums.data(), shift, scale, scales.data(), n, by_row.data());
    bool equal = out.back() == 5.0f && by_row.back() == 5.0f;
    for (size_t i = 0; i < size_t(n); ++i) {
        const float exact = float(sums[i] - shift);
        equal = equal && same(out[i], exact * scale) && same(by_row[i], exact * (scale * scales[i]));
    }
    CHECK(equal, named(kernels, "scaled", n, kind));
}

void check_rotate(const Kernels& kernels, int head, Kind kind, Random& random) {
    const int half = head / 2, width = (head + 15) / 16 * 16;
    const auto x = numbers(size_t(head), kind, random), cos = random.normals(size_t(half)), sin = random.normals(size_t(half));
    const float factor = random.normal();
    std::vector<float> out(size_t(width), 5.0f), expected(static_cast<size_t>(width));
    kernels.rotate(x.data(), cos.data(), sin.data(), head, width, factor, out.data());
    for (size_t i = 0; i < size_t(half); ++i) {
        const float a = x[i], b = x[i + size_t(half)], ac = a * cos[i], bs = b * sin[i], bc = b * cos[i], as = a * sin[i];
        expected[i] = (ac - bs) * factor;
        expected[i + size_t(half)] = (bc + as) * factor;
    }
    CHECK(same(out, expected), named(kernels, "rotate", head, kind));
}

}  // namespace

void test_float_kernels() {
    Random random(2);
    for (const Kernels* kernels : usable_kernels()) {
        check_quantize_ties(*kernels);
        for (Kind kind : kinds) {
            for (int n : {16, 32, 48, 64, 80, 128, 176, 256, 1008, 2560, 6912}) {
                check_sums(*kernels, n, kind, random);
                check_gated(*kernels, n, kind, random);
                check_quantize(*kernels, n, kind, random);
            }
            for (int n = 1; n <= 33; ++n) check_dots(*kernels, n, 16 * random.between(1, 20), kind, random);
            for (int n = 1; n <= 70; ++n) check_scaled(*kernels, n, kind, random);
            for (int head = 2; head <= 128; head += 2) check_rotate(*kernels, head, kind, random);
        }
    }
}

}  // namespace tritcoder::tests
