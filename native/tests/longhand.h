// The arithmetic of docs/engine.md written out once more, one float operation a line of thought and no vectors: what
// kernels are held to. Compiled with -ffp-contract=off, as native/ is.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tritcoder::tests::longhand {

inline float halved(const float* sixteen) {
    float v[16];
    std::memcpy(v, sixteen, sizeof v);
    for (int width : {8, 4, 2, 1})
        for (int l = 0; l < width; ++l) v[l] = v[l] + v[l + width];
    return v[0];
}

inline float sum16(const float* x, const float* y, int n) {
    float p[4][16] = {}, a[16];
    for (int i = 0; i < n; ++i) {
        const float product = x[i] * y[i];
        p[i / 16 % 4][i % 16] = p[i / 16 % 4][i % 16] + product;
    }
    for (int l = 0; l < 16; ++l) a[l] = (p[0][l] + p[1][l]) + (p[2][l] + p[3][l]);
    return halved(a);
}

inline float exponential(float x) {
    if (!(x > -87.33654f)) x = -87.33654f;
    if (!(x < 88.0f)) x = 88.0f;
    const float n = std::nearbyint(x * 1.44269504f);
    const float high = n * 0.693359375f, low = n * -2.12194440e-4f;
    const float r = (x - high) - low;
    float p = 1.9875691500e-4f;
    for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) {
        const float product = p * r;
        p = product + c;
    }
    const float square = r * r, product = p * square;
    return ((product + r) + 1.0f) * std::ldexp(1.0f, int(n));
}

inline std::vector<float> norm(const float* x, const float* weight, int n, float eps) {
    const float r = 1.0f / std::sqrt(sum16(x, x, n) / float(n) + eps);
    std::vector<float> out(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) out[size_t(i)] = (x[i] * r) * weight[i];
    return out;
}

struct Rounded {
    std::vector<int8_t> levels;
    float scale;
    int32_t sum;
};

inline Rounded levels(const float* x, int n) {
    float most = 1e-5f;
    for (int i = 0; i < n; ++i)
        if (std::fabs(x[i]) > most) most = std::fabs(x[i]);
    const float inverse = 127.0f / most;
    Rounded out{std::vector<int8_t>(size_t(n)), 1.0f / inverse, 0};
    for (int i = 0; i < n; ++i) {
        const float level = std::nearbyint(x[i] * inverse);
        out.levels[size_t(i)] = level > -128.0f ? int8_t(level < 127.0f ? level : 127.0f) : int8_t(-128);
        out.sum += out.levels[size_t(i)];
    }
    return out;
}

inline float act(float g, bool relu2) {
    if (relu2) return g > 0.0f ? g * g : 0.0f;
    return g / (1.0f + exponential(0.0f - g));
}

// One query over `keys` and `values` as the cache gives them back; `key_scales` and `value_scales` where it has int8.
inline std::vector<float> attention(const std::vector<float>& q, const std::vector<std::vector<float>>& keys,
                                    const std::vector<std::vector<float>>& values, const std::vector<float>& key_scales,
                                    const std::vector<float>& value_scales) {
    const size_t n = keys.size(), width = q.size();
    std::vector<float> e(n), out(width);
    float m = -3.0e38f;
    for (size_t j = 0; j < n; ++j) {
        float p[4] = {};
        for (size_t d = 0; d < width; ++d) {
            const float product = q[d] * keys[j][d];
            p[d % 4] = p[d % 4] + product;
        }
        e[j] = (p[0] + p[1]) + (p[2] + p[3]);
        if (!key_scales.empty()) e[j] = e[j] * key_scales[j];
        if (e[j] > m) m = e[j];
    }
    float partial[16] = {};
    for (size_t j = 0; j < n; ++j) {
        e[j] = exponential(e[j] - m);
        partial[j % 16] = partial[j % 16] + e[j];
    }
    const float inverse = 1.0f / halved(partial);
    for (size_t j = 0; j < n; ++j) {
        const float weight = value_scales.empty() ? e[j] : e[j] * value_scales[j];
        for (size_t d = 0; d < width; ++d) {
            const float product = weight * values[j][d];
            out[d] = out[d] + product;
        }
    }
    for (float& one : out) one = one * inverse;
    return out;
}

// A half, in double arithmetic.
inline double half_value(uint16_t h) {
    const int exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    const double sign = h & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31) return fraction ? std::nan("") : sign * INFINITY;
    return sign * (exponent ? std::ldexp(1024.0 + fraction, exponent - 25) : std::ldexp(double(fraction), -24));
}

// The half nearest to x, ties to even, as a number.
inline double nearest_half(float x) {
    if (std::isnan(x) || std::isinf(x) || x == 0.0f) return x;
    const int exponent = std::max(std::ilogb(x), -14);
    const double rounded = std::ldexp(std::nearbyint(std::ldexp(double(x), 10 - exponent)), exponent - 10);
    return std::fabs(rounded) > 65504.0 ? std::copysign(INFINITY, rounded) : rounded;
}

}  // namespace tritcoder::tests::longhand
