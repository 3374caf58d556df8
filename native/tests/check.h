// What every test file shares: CHECK, random numbers that are a function of a seed, and floats compared by their bits.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace tritcoder::tests {

struct Tally {
    size_t passed = 0, failed = 0;
};
Tally& tally();
void fail(const char* file, int line, const char* condition, const std::string& what);

// `what` is made only when the condition does not hold. For the main thread alone.
#define CHECK(condition, what)                                     \
    do {                                                           \
        if (condition) ++tally().passed;                           \
        else fail(__FILE__, __LINE__, #condition, std::string(what)); \
    } while (0)

inline std::string text(long long number) { return std::to_string(number); }

// splitmix64 (Steele, Lea, Flood 2014).
class Random {
   public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t bits() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    int below(int n) { return int((bits() >> 33) % uint64_t(n)); }
    int between(int low, int high) { return low + below(high - low + 1); }
    template <class T>
    T one_of(std::initializer_list<T> choices) {
        return choices.begin()[below(int(choices.size()))];
    }
    // About 0, mostly within 3.
    float normal() {
        float sum = 0;
        for (int i = 0; i < 4; ++i) sum += float(int(bits() >> 40) - (1 << 23)) / float(1 << 23);
        return sum * 0.866f;
    }
    std::vector<float> normals(size_t n) {
        std::vector<float> all(n);
        for (float& one : all) one = normal();
        return all;
    }

   private:
    uint64_t state_;
};

// The same bits, or both no number: which of two NaNs comes out is not laid down.
inline bool same(float a, float b) {
    uint32_t x, y;
    std::memcpy(&x, &a, 4);
    std::memcpy(&y, &b, 4);
    return x == y || (a != a && b != b);
}

inline bool same(const float* a, const float* b, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (!same(a[i], b[i])) return false;
    return true;
}

inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && same(a.data(), b.data(), a.size());
}

void test_ternary_kernels();
void test_float_kernels();
void test_attention();
void test_half_precision();
void test_packing();
void test_pool();
void test_transformer();
// Random requests until so many seconds have passed.
void soak(int seconds);

}  // namespace tritcoder::tests
