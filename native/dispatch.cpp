#include "dispatch.h"

#if defined(_MSC_VER) && defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace tritcoder {
namespace {

#if defined(__x86_64__) && !defined(_MSC_VER)

bool has_f16c() {  // older clangs do not know this name
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

bool has_avx2() { return __builtin_cpu_supports("avx2") && has_f16c(); }

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

#elif defined(_M_X64)

bool bit(int leaf, int word, int at) {
    int registers[4];
    __cpuidex(registers, leaf, 0);
    return (registers[word] >> at) & 1;
}

bool system_saves(unsigned long long registers) {  // OSXSAVE, then what the system restores when it switches
    return bit(1, 2, 27) && (_xgetbv(0) & registers) == registers;
}

bool has_avx2() { return system_saves(0x06) && bit(7, 1, 5) && bit(1, 2, 29); }

bool has_avx512() {
    return has_avx2() && system_saves(0xe6) && bit(7, 1, 16) && bit(7, 1, 17) && bit(7, 1, 30) && bit(7, 1, 31) &&
           bit(7, 2, 11);
}

#elif defined(__aarch64__) || defined(_M_ARM64)

bool has_dot_product() {
#if defined(__linux__)
    constexpr unsigned long asimd_dot = 1ul << 20;  // HWCAP_ASIMDDP
    return getauxval(AT_HWCAP) & asimd_dot;
#else
    return true;  // every Apple and every Windows machine of this kind
#endif
}

#endif

std::vector<const Kernels*> find_usable() {
    std::vector<const Kernels*> usable;
#if defined(__x86_64__) || defined(_M_X64)
    if (has_avx512()) usable.push_back(&avx512_kernels);
    if (has_avx2()) usable.push_back(&avx2_kernels);
#elif defined(__aarch64__) || defined(_M_ARM64)
    if (has_dot_product()) usable.push_back(&neon_kernels);
#endif
    usable.push_back(&reference_kernels);
    return usable;
}

}  // namespace

const std::vector<const Kernels*>& usable_kernels() {
    static const std::vector<const Kernels*> usable = find_usable();
    return usable;
}

const Kernels* find_kernels(const std::string& name) {
    for (const Kernels* kernels : usable_kernels())
        if (name == kernels->name) return kernels;
    return nullptr;
}

}  // namespace tritcoder
