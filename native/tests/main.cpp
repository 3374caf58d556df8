// Tests of the C++ core, without a framework: native_tests [--soak SECONDS | --expect KERNEL].
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "check.h"
#include "dispatch.h"

namespace tritcoder::tests {

Tally& tally() {
    static Tally one;
    return one;
}

void fail(const char* file, int line, const char* condition, const std::string& what) {
    if (++tally().failed <= 50) std::printf("%s:%d: failed: %s: %s\n", file, line, condition, what.c_str());
}

namespace {

void run(const char* name, void (*test)()) {
    const Tally before = tally();
    test();
    std::printf("%-16s %9zu passed, %zu failed\n", name, tally().passed - before.passed, tally().failed - before.failed);
    std::fflush(stdout);
}

}  // namespace
}  // namespace tritcoder::tests

int main(int count, char** words) {
    using namespace tritcoder::tests;
    int seconds = 0;
    if (count == 3 && !std::strcmp(words[1], "--soak")) seconds = std::atoi(words[2]);
    const char* expected = count == 3 && !std::strcmp(words[1], "--expect") ? words[2] : nullptr;
    if (count != 1 && seconds < 1 && !expected) {
        std::fprintf(stderr, "usage: native_tests [--soak SECONDS | --expect KERNEL]\n");
        return 2;
    }
    std::printf("kernels:");
    for (const auto* kernels : tritcoder::usable_kernels()) std::printf(" %s", kernels->name);
    std::printf("\n");
    if (expected && std::strcmp(expected, tritcoder::usable_kernels().front()->name)) {
        std::printf("the best kernel here should be %s\n", expected);
        return 1;
    }
    if (seconds) {
        soak(seconds);
        std::printf("soak: %zu passed, %zu failed\n", tally().passed, tally().failed);
    } else {
        run("ternary kernels", test_ternary_kernels);
        run("float kernels", test_float_kernels);
        run("attention", test_attention);
        run("half precision", test_half_precision);
        run("packing", test_packing);
        run("pool", test_pool);
        run("transformer", test_transformer);
    }
    return tally().failed ? 1 : 0;
}
