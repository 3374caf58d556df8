// ARM NEON with the dot product instructions: one 16-byte vector is 4 rows of 4 bytes.
#include <arm_neon.h>

#include <type_traits>

#include "ternary.h"

namespace tritcoder {
namespace {

struct Lanes {
    float32x4_t v[4];

    template <class F>
    static Lanes each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static Lanes zero() { return broadcast(0.0f); }
    static Lanes broadcast(float x) { return each([&](int) { return vdupq_n_f32(x); }); }
    static Lanes load(const float* p) { return each([&](int i) { return vld1q_f32(p + 4 * i); }); }
    static Lanes load_f16(const uint16_t* p) {
        return each([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
    }
    static Lanes load_i8(const int8_t* p) {
        const int8x16_t bytes = vld1q_s8(p);
        const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
        return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                 vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
    }
    static Lanes from_i32(const int32_t* p, int32_t shift) {
        return each([&](int i) { return vcvtq_f32_s32(vsubq_s32(vld1q_s32(p + 4 * i), vdupq_n_s32(shift))); });
    }
    static Lanes first(int n, Lanes x, Lanes y) {
        static const int32_t at[4] = {0, 1, 2, 3};
        return each([&](int i) { return vbslq_f32(vcgtq_s32(vdupq_n_s32(n - 4 * i), vld1q_s32(at)), x.v[i], y.v[i]); });
    }
    // As on x86: the second where neither is greater, so also where one is not a number.
    static Lanes max(Lanes x, Lanes y) {
        return each([&](int i) { return vbslq_f32(vcgtq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
    }
    static Lanes min(Lanes x, Lanes y) {
        return each([&](int i) { return vbslq_f32(vcltq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
    }
    friend Lanes operator+(Lanes x, Lanes y) { return each([&](int i) { return vaddq_f32(x.v[i], y.v[i]); }); }
    friend Lanes operator-(Lanes x, Lanes y) { return each([&](int i) { return vsubq_f32(x.v[i], y.v[i]); }); }
    friend Lanes operator*(Lanes x, Lanes y) { return each([&](int i) { return vmulq_f32(x.v[i], y.v[i]); }); }
    friend Lanes operator/(Lanes x, Lanes y) { return each([&](int i) { return vdivq_f32(x.v[i], y.v[i]); }); }
    Lanes sqrt() const { return each([&](int i) { return vsqrtq_f32(v[i]); }); }
    Lanes abs() const { return each([&](int i) { return vabsq_f32(v[i]); }); }
    Lanes rint() const { return each([&](int i) { return vrndnq_f32(v[i]); }); }
    Lanes pow2() const {
        return each([&](int i) {
            return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(v[i]), vdupq_n_s32(127)), 23));
        });
    }
    void store(float* p) const {
        for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v[i]);
    }
    void store_f16(uint16_t* p) const {
        for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v[i])));
    }
    void store_i8(int8_t* p) const {
        const int16x8_t low = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[0])), vqmovn_s32(vcvtnq_s32_f32(v[1])));
        const int16x8_t high = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[2])), vqmovn_s32(vcvtnq_s32_f32(v[3])));
        vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
    }
};

#include "float_kernels.h"

// Codes of columns 4 J .. 4 J + 3 of a step, out of their bytes.
template <int J>
inline int8x16_t codes(uint8x16_t bytes) {
    if constexpr (J == 0) return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(3)));
    else if constexpr (J == 3) return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6));
    else return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 2 * J), vdupq_n_u8(3)));
}

// V of a tile's sixteen vectors of rows at a time, for N tokens: N * V sums, N activations and the weights must fit into 32
// registers. The sixteen levels of a step are loaded once; the instruction itself picks the four that it multiplies.
template <int N, int V>
void ternary_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    for (int part = 0; part < 16; part += V) {
        int32x4_t sum[N][V];
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v) sum[n][v] = vdupq_n_s32(0);
        const uint8_t* step = tile + 16 * part;
        for (int k = 0; k < cols; k += STEP_COLS, step += STEP_BYTES) {
            int8x16_t a[N];
            for (int n = 0; n < N; ++n) a[n] = vld1q_s8(levels + n * stride + k);
            for (int v = 0; v < V; ++v) {
                const uint8x16_t w = vld1q_u8(step + 16 * v);
                for (int n = 0; n < N; ++n) sum[n][v] = vdotq_laneq_s32(sum[n][v], codes<0>(w), a[n], 0);
                for (int n = 0; n < N; ++n) sum[n][v] = vdotq_laneq_s32(sum[n][v], codes<1>(w), a[n], 1);
                for (int n = 0; n < N; ++n) sum[n][v] = vdotq_laneq_s32(sum[n][v], codes<2>(w), a[n], 2);
                for (int n = 0; n < N; ++n) sum[n][v] = vdotq_laneq_s32(sum[n][v], codes<3>(w), a[n], 3);
            }
        }
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v) vst1q_s32(sums + n * TILE_ROWS + 4 * (part + v), sum[n][v]);
    }
}

void ternary_one(const uint8_t* tile, const int8_t* levels, int cols, int32_t* sums) {
    ternary_strip<1, 16>(tile, levels, 0, cols, sums);  // the tile is read from end to end
}

void ternary_many(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (; n >= 4; n -= 4, levels += 4 * stride, sums += 4 * TILE_ROWS) ternary_strip<4, 4>(tile, levels, stride, cols, sums);
    if (n == 3) ternary_strip<3, 4>(tile, levels, stride, cols, sums);
    else if (n == 2) ternary_strip<2, 8>(tile, levels, stride, cols, sums);
    else if (n == 1) ternary_one(tile, levels, cols, sums);
}

// There is no product of unsigned and signed bytes here: 128 is taken off the weights, and its share added at the end.
template <int N, int V>
void head_strip(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int cols, int32_t* sums) {
    int32_t shares[N];
    for (int n = 0; n < N; ++n) {
        int32x4_t total = vdupq_n_s32(0);
        for (int k = 0; k < cols; k += 16) total = vdotq_s32(total, vld1q_s8(levels + n * stride + k), vdupq_n_s8(1));
        shares[n] = 128 * vaddvq_s32(total);
    }
    for (int part = 0; part < 16; part += V) {
        int32x4_t sum[N][V];
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v) sum[n][v] = vdupq_n_s32(0);
        const uint8_t* step = tile + 16 * part;
        const auto weights = [&](int v) { return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(step + 16 * v), vdupq_n_u8(0x80))); };
        for (int k = 0; k < cols; k += 4 * HEAD_STEP_COLS) {
            int8x16_t a[N];
            for (int n = 0; n < N; ++n) a[n] = vld1q_s8(levels + n * stride + k);
            const auto add = [&](auto lane) {
                for (int v = 0; v < V; ++v) {
                    const int8x16_t w = weights(v);
                    for (int n = 0; n < N; ++n) sum[n][v] = vdotq_laneq_s32(sum[n][v], w, a[n], decltype(lane)::value);
                    }
                step += STEP_BYTES;
            };
            add(std::integral_constant<int, 0>());
            add(std::integral_constant<int, 1>());
            add(std::integral_constant<int, 2>());
            add(std::integral_constant<int, 3>());
        }
        for (int n = 0; n < N; ++n) {
            const int32x4_t share = vdupq_n_s32(shares[n]);
            for (int v = 0; v < V; ++v) vst1q_s32(sums + n * TILE_ROWS + 4 * (part + v), vaddq_s32(sum[n][v], share));
        }
    }
}

void head(const uint8_t* tile, const int8_t* levels, ptrdiff_t stride, int n, int cols, int32_t* sums) {
    for (; n >= 4; n -= 4, levels += 4 * stride, sums += 4 * TILE_ROWS) head_strip<4, 4>(tile, levels, stride, cols, sums);
    if (n == 3) head_strip<3, 4>(tile, levels, stride, cols, sums);
    else if (n == 2) head_strip<2, 8>(tile, levels, stride, cols, sums);
    else if (n == 1) head_strip<1, 16>(tile, levels, stride, cols, sums);
}

}  // namespace

const Kernels neon_kernels = TRITCODER_KERNELS("neon");

}  // namespace tritcoder
