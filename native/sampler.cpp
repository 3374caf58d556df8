// The sampler sorts only as many tokens as it may need: the likeliest few hundred first, all of them if those do not do.
//
// The sum over the whole vocabulary is taken in the order of the sorted values, as numpy's cumsum does, so it must be
// sorted when top_k does not bound it; a radix sort of the values (not of their places) does that in a few passes.
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

namespace tritcoder {
namespace {

// Ascending keys are descending floats.
uint32_t key_of(float x) {
    if (x == 0) x = 0;  // -0 equals 0
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}

float value_of(uint32_t key) {
    const uint32_t bits = key & 0x80000000u ? key : ~key & 0x7fffffffu;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

void radix_sort(std::vector<uint32_t>& keys, std::vector<uint32_t>& spare) {
    constexpr int BITS = 11, SIZE = 1 << BITS;
    spare.resize(keys.size());
    for (int shift = 0; shift < 32; shift += BITS) {
        size_t places[SIZE] = {};
        for (uint32_t key : keys) ++places[key >> shift & (SIZE - 1)];
        size_t sum = 0;
        for (size_t& place : places) {
            const size_t count = place;
            place = sum;
            sum += count;
        }
        for (uint32_t key : keys) spare[places[key >> shift & (SIZE - 1)]++] = key;
        keys.swap(spare);
    }
}

}  // namespace

int sample(const float* logits, size_t n, double temperature, int top_k, double min_p, double top_p, double point) {
    thread_local std::vector<uint32_t> keys, spare;
    thread_local std::vector<double> cumulative;
    keys.resize(n);
    for (size_t i = 0; i < n; ++i) keys[i] = key_of(logits[i]);
    size_t kept = n;
    if (top_k > 0 && size_t(top_k) < n) {
        kept = size_t(top_k);
        std::nth_element(keys.begin(), keys.begin() + std::ptrdiff_t(kept - 1), keys.end());
        keys.resize(kept);
        std::sort(keys.begin(), keys.end());
    } else {
        radix_sort(keys, spare);
    }
    const double best = value_of(keys[0]);
    cumulative.clear();
    double sum = 0;
    for (uint32_t key : keys) {
        const double weight = std::exp((double(value_of(key)) - best) / temperature);
        if (min_p > 0 && weight < min_p) break;
        sum += weight;
        cumulative.push_back(sum);
    }
    const auto reaches = std::lower_bound(cumulative.begin(), cumulative.end(), top_p * sum);
    const size_t last = std::min(size_t(reaches - cumulative.begin()), cumulative.size() - 1);
    const auto end = cumulative.begin() + std::ptrdiff_t(last + 1);
    const auto found = std::upper_bound(cumulative.begin(), end, point * cumulative[last]);
    const size_t rank = std::min(size_t(found - cumulative.begin()), last);
    const uint32_t key = keys[rank];
    size_t before = size_t(std::lower_bound(keys.begin(), keys.end(), key) - keys.begin());
    for (size_t i = 0; i < n; ++i)
        if (key_of(logits[i]) == key && before++ == rank) return int(i);
    return 0;  // not reached: the key is that of a logit
}

}  // namespace tritcoder
