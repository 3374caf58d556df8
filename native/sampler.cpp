// The sum over the vocabulary is taken in the order of the sorted values, as numpy's cumsum does, so they must be sorted
// when top_k does not bound it; a radix sort of the values (not of their places) does that in a few passes.
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tritcoder {
namespace {

constexpr double UNSEEN = 38;  // exp(-38) < 2^-54

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

// exp of a number from -80 to 0, to about 1e-6.
inline float rough_exp(float x) {
    x *= 1.44269504f;
    const float whole = float(int(x - 0.5f)), r = (x - whole) * 0.693147181f;  // r from -0.35 to 0.35
    const float p = 1 + r * (1 + r * (0.5f + r * (0.166666667f + r * (0.0416666667f + r * 0.00833333333f))));
    const uint32_t bits = uint32_t(int(whole) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, 4);
    return p * power;
}

// The sum of all weights, to about 1e-5.
double rough_total(const float* logits, size_t n, float best, double temperature) {
    constexpr size_t LANES = 16;
    float lanes[LANES] = {};
    const float inverse = float(1 / temperature);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; ++l) lanes[l] += rough_exp(std::max((logits[i + l] - best) * inverse, -80.0f));
    double total = 0;
    for (; i < n; ++i) total += rough_exp(std::max((logits[i] - best) * inverse, -80.0f));
    for (float lane : lanes) total += lane;
    return total;
}

// The rank of the token at `point` if the likeliest ones and a rough sum decide it beyond doubt, else -1. `keys` are then
// the likeliest, in order.
int64_t quick_rank(const float* logits, size_t n, float best, double temperature, double top_p, double point,
                   std::vector<uint32_t>& keys, std::vector<double>& cumulative) {
    const double doubt = 1e-5 + 1e-8 * double(n);  // of rough_exp, and of n / 16 additions in single precision
    if (!(temperature > 1e-3)) return -1;
    const double total = rough_total(logits, n, best, temperature), low = total * (1 - doubt), high = total * (1 + doubt);
    const float least = float(best - 12 * temperature);
    keys.clear();
    for (size_t i = 0; i < n; ++i)
        if (logits[i] >= least) keys.push_back(key_of(logits[i]));
    std::sort(keys.begin(), keys.end());
    cumulative.clear();
    double sum = 0;
    for (uint32_t key : keys) {
        cumulative.push_back(sum += std::exp((double(value_of(key)) - double(best)) / temperature));
        if (sum > high * std::max(top_p, point)) break;
    }
    const auto begin = cumulative.begin(), end = cumulative.end();
    double from = point * low, to = point * high;
    if (top_p < 1) {
        const auto last = std::lower_bound(begin, end, top_p * low);
        if (last == end || last != std::lower_bound(begin, end, top_p * high)) return -1;
        from = to = point * *last;
    }
    const auto found = std::upper_bound(begin, end, from);
    if (found == end || found != std::upper_bound(begin, end, to)) return -1;
    return found - begin;
}

// The first token of a value that has `rank` tokens before it in the order, or one of its equals.
int token_of(const float* logits, size_t n, const std::vector<uint32_t>& keys, size_t rank) {
    const uint32_t key = keys[rank];
    size_t before = size_t(std::lower_bound(keys.begin(), keys.end(), key) - keys.begin());
    const float value = value_of(key);
    for (size_t i = 0; i < n; ++i)
        if (logits[i] == value && before++ == rank) return int(i);
    return 0;  // not reached: the value is that of a logit
}

}  // namespace

int sample(const float* logits, size_t n, double temperature, int top_k, double min_p, double top_p, double point) {
    thread_local std::vector<uint32_t> keys, spare;
    thread_local std::vector<double> cumulative;
    // A weight below 2^-54 does not change a sum of 1 or more: its token needs no place in the order.
    float top = logits[0];
    for (size_t i = 1; i < n; ++i) top = logits[i] > top ? logits[i] : top;
    if (top_k <= 0 && min_p <= 0) {
        const int64_t quick = quick_rank(logits, n, top, temperature, top_p, point, keys, cumulative);
        if (quick >= 0) return token_of(logits, n, keys, size_t(quick));
    }
    const double least = double(top) - UNSEEN * temperature;
    keys.clear();
    for (size_t i = 0; i < n; ++i)
        if (double(logits[i]) >= least) keys.push_back(key_of(logits[i]));
    if (top_k > 0 && size_t(top_k) < keys.size()) {
        const size_t kept = size_t(top_k);
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
    return token_of(logits, n, keys, rank);
}

}  // namespace tritcoder
