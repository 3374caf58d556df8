// The float operations of docs/engine.md, written once over sixteen lanes. Each instruction set includes this file with a
// `Lanes` of its own, inside its own anonymous namespace: nothing here may have external linkage, or a linker could
// give one instruction set's code to another.
//
// Lanes: load, store, broadcast, zero, + - * /, max, min, rint, pow2, first (lanes below n from one, the rest from the
// other), load_f16, store_f16, load_i8, store_i8, from_i32, get.

static inline float half_lanes(Lanes a) {
    float v[16];
    a.store(v);
    for (int width = 8; width; width /= 2)
        for (int l = 0; l < width; ++l) v[l] = v[l] + v[l + width];
    return v[0];
}

// sum16 of a product; n a multiple of 16.
static inline float sum16(const float* x, const float* y, int n) {
    Lanes p[4] = {Lanes::zero(), Lanes::zero(), Lanes::zero(), Lanes::zero()};
    int i = 0;
    for (; i + 64 <= n; i += 64)
        for (int c = 0; c < 4; ++c) p[c] = p[c] + Lanes::load(x + i + 16 * c) * Lanes::load(y + i + 16 * c);
    for (int c = 0; i < n; i += 16, ++c) p[c] = p[c] + Lanes::load(x + i) * Lanes::load(y + i);
    return half_lanes((p[0] + p[1]) + (p[2] + p[3]));
}

static inline Lanes exponential(Lanes x) {
    const auto c = [](float v) { return Lanes::broadcast(v); };
    x = Lanes::min(Lanes::max(x, c(-87.33654f)), c(88.0f));
    const Lanes n = (x * c(1.44269504f)).rint();
    const Lanes r = (x - n * c(0.693359375f)) - n * c(-2.12194440e-4f);
    Lanes p = c(1.9875691500e-4f);
    p = p * r + c(1.3981999507e-3f);
    p = p * r + c(8.3334519073e-3f);
    p = p * r + c(4.1665795894e-2f);
    p = p * r + c(1.6666665459e-1f);
    p = p * r + c(5.0000001201e-1f);
    p = ((p * (r * r)) + r) + c(1.0f);
    return p * n.pow2();
}

static void norm(const float* x, const float* weight, int n, float eps, float* out) {
    const float mean = sum16(x, x, n) / float(n);
    const Lanes r = Lanes::broadcast(1.0f) / Lanes::broadcast(mean + eps).sqrt();
    for (int i = 0; i < n; i += 16) ((Lanes::load(x + i) * r) * Lanes::load(weight + i)).store(out + i);
}

static void quantize(const float* x, int n, Levels* out) {
    Lanes best = Lanes::zero();
    for (int i = 0; i < n; i += 16) best = Lanes::max(Lanes::load(x + i).abs(), best);
    float v[16], most = 1e-5f;
    best.store(v);
    for (float one : v) most = one > most ? one : most;
    const float inverse = 127.0f / most;
    const Lanes by = Lanes::broadcast(inverse), low = Lanes::broadcast(-128.0f), high = Lanes::broadcast(127.0f);
    for (int i = 0; i < n; i += 16)
        Lanes::min(Lanes::max((Lanes::load(x + i) * by).rint(), low), high).store_i8(out->values + i);
    int32_t sum = 0;
    for (int i = 0; i < n; ++i) sum += out->values[i];
    out->scale = 1.0f / inverse;
    out->sum = sum;
}

static void scaled(const int32_t* sums, int32_t shift, float scale, int n, float* out) {
    const Lanes by = Lanes::broadcast(scale);
    int i = 0;
    for (; i + 16 <= n; i += 16) (Lanes::from_i32(sums + i, shift) * by).store(out + i);
    for (; i < n; ++i) out[i] = float(sums[i] - shift) * scale;
}

static void scaled_by_row(const int32_t* sums, int32_t shift, float scale, const float* row_scales, int n, float* out) {
    const Lanes by = Lanes::broadcast(scale);
    int i = 0;
    for (; i + 16 <= n; i += 16)
        (Lanes::from_i32(sums + i, shift) * (by * Lanes::load(row_scales + i))).store(out + i);
    for (; i < n; ++i) out[i] = float(sums[i] - shift) * (scale * row_scales[i]);
}

static void gated(const float* gate, const float* up, Act act, int n, float* out) {
    const Lanes one = Lanes::broadcast(1.0f), none = Lanes::zero();
    for (int i = 0; i < n; i += 16) {
        const Lanes g = Lanes::load(gate + i);
        Lanes y;
        if (act == Act::silu) {
            y = g / (one + exponential(none - g));
        } else {
            const Lanes positive = Lanes::max(g, none);
            y = positive * positive;
        }
        (y * Lanes::load(up + i)).store(out + i);
    }
}

static void add(const float* y, int n, float* x) {
    for (int i = 0; i < n; i += 16) (Lanes::load(x + i) + Lanes::load(y + i)).store(x + i);
}

// sum16 of N vectors with one row, which is loaded once.
template <int N>
static inline void dots_of(const float* row, const float* x, ptrdiff_t stride, int cols, float* out, ptrdiff_t out_stride) {
    Lanes p[N][4];
    for (int t = 0; t < N; ++t)
        for (int c = 0; c < 4; ++c) p[t][c] = Lanes::zero();
    int i = 0;
    for (; i + 64 <= cols; i += 64)
        for (int c = 0; c < 4; ++c) {
            const Lanes w = Lanes::load(row + i + 16 * c);
            for (int t = 0; t < N; ++t) p[t][c] = p[t][c] + Lanes::load(x + t * stride + i + 16 * c) * w;
        }
    for (int c = 0; i < cols; i += 16, ++c)
        for (int t = 0; t < N; ++t) p[t][c] = p[t][c] + Lanes::load(x + t * stride + i) * Lanes::load(row + i);
    for (int t = 0; t < N; ++t) out[t * out_stride] = half_lanes((p[t][0] + p[t][1]) + (p[t][2] + p[t][3]));
}

static void dots(const float* row, const float* x, ptrdiff_t stride, int n, int cols, float* out, ptrdiff_t out_stride) {
    for (; n >= 4; n -= 4, x += 4 * stride, out += 4 * out_stride) dots_of<4>(row, x, stride, cols, out, out_stride);
    for (; n; --n, x += stride, out += out_stride) dots_of<1>(row, x, stride, cols, out, out_stride);
}

static float dot(const float* x, const float* y, int n) { return sum16(x, y, n); }

static void rotate(const float* x, const float* cos, const float* sin, int head_dim, int width, float factor, float* out) {
    const int half = head_dim / 2;
    if (half % 16 == 0) {
        const Lanes by = Lanes::broadcast(factor);
        for (int i = 0; i < half; i += 16) {
            const Lanes a = Lanes::load(x + i), b = Lanes::load(x + half + i);
            const Lanes c = Lanes::load(cos + i), s = Lanes::load(sin + i);
            ((a * c - b * s) * by).store(out + i);
            ((b * c + a * s) * by).store(out + half + i);
        }
    } else {
        for (int i = 0; i < half; ++i) {
            const float a = x[i], b = x[half + i], c = cos[i], s = sin[i];
            const float ac = a * c, bs = b * s, bc = b * c, as = a * s;
            out[i] = (ac - bs) * factor;
            out[half + i] = (bc + as) * factor;
        }
    }
    for (int i = head_dim; i < width; ++i) out[i] = 0.0f;
}

static void store(const AttentionLayout& layout, HeadBlock block, int place, const float* key, const float* value) {
    const int width = layout.width;
    const size_t group = size_t(place / GROUP) * size_t(width) * GROUP + size_t(place % GROUP);
    if (layout.type == CacheType::float16) {
        uint16_t* keys = reinterpret_cast<uint16_t*>(block.keys) + group;
        uint16_t* values = reinterpret_cast<uint16_t*>(block.values) + size_t(place) * size_t(width);
        for (int d = 0; d < width; d += 16) {
            uint16_t halves[16];
            Lanes::load(key + d).store_f16(halves);
            for (int l = 0; l < 16; ++l) keys[size_t(d + l) * GROUP] = halves[l];
            Lanes::load(value + d).store_f16(values + d);
        }
    } else {
        int8_t levels[1024];
        Levels rounded{levels, 0, 0};
        int8_t* keys = reinterpret_cast<int8_t*>(block.keys) + group;
        quantize(key, width, &rounded);
        block.key_scales[place] = rounded.scale;
        for (int d = 0; d < width; ++d) keys[size_t(d) * GROUP] = levels[d];
        rounded.values = reinterpret_cast<int8_t*>(block.values) + size_t(place) * size_t(width);
        quantize(value, width, &rounded);
        block.value_scales[place] = rounded.scale;
    }
}

struct Float16Cache {
    using Element = uint16_t;
    static Lanes load(const uint16_t* p) { return Lanes::load_f16(p); }
    static constexpr bool scaled = false;
};
struct Int8Cache {
    using Element = int8_t;
    static Lanes load(const int8_t* p) { return Lanes::load_i8(p); }
    static constexpr bool scaled = true;
};

// Scores of Q queries for the sixteen positions of one group.
template <class Cache, int Q>
static inline void score_group(const Queries& queries, const typename Cache::Element* keys, int width, Lanes* scores) {
    Lanes p[Q][4];
    for (int q = 0; q < Q; ++q)
        for (int c = 0; c < 4; ++c) p[q][c] = Lanes::zero();
    for (int d = 0; d < width; d += 4)
        for (int c = 0; c < 4; ++c) {
            const Lanes k = Cache::load(keys + (d + c) * GROUP);
            for (int q = 0; q < Q; ++q) p[q][c] = p[q][c] + Lanes::broadcast(queries.vectors[q][d + c]) * k;
        }
    for (int q = 0; q < Q; ++q) scores[q] = (p[q][0] + p[q][1]) + (p[q][2] + p[q][3]);
}

// Adds weight * value over positions from..to, for Q queries and C chunks of sixteen columns from `column` on.
template <class Cache, int Q, int C>
static inline void mix(const AttentionLayout& layout, uint8_t* const* blocks, const Queries& queries, int first, int column,
                       int from, int to, Lanes (*sums)[C]) {
    const int width = layout.width;
    for (int j = from; j < to;) {
        const HeadBlock block = layout.at(blocks[j / BLOCK_POSITIONS]);
        const int place = j % BLOCK_POSITIONS;
        const int until = j - place + BLOCK_POSITIONS < to ? j - place + BLOCK_POSITIONS : to;
        const auto* values = reinterpret_cast<const typename Cache::Element*>(block.values) + place * width + column;
        for (int i = j; i < until; ++i, values += width) {
            Lanes v[C];
            for (int c = 0; c < C; ++c) v[c] = Cache::load(values + 16 * c);
            for (int q = 0; q < Q; ++q) {
                float weight = queries.scores[(first + q) * queries.stride + i];
                if (Cache::scaled) weight = weight * block.value_scales[place + (i - j)];
                const Lanes w = Lanes::broadcast(weight);
                for (int c = 0; c < C; ++c) sums[q][c] = sums[q][c] + w * v[c];
            }
        }
        j = until;
    }
}

template <class Cache, int Q, int C>
static inline void mix_columns(const AttentionLayout& layout, uint8_t* const* blocks, const Queries& queries, int column,
                               const float* inverse) {
    Lanes sums[Q][C];
    for (int q = 0; q < Q; ++q)
        for (int c = 0; c < C; ++c) sums[q][c] = Lanes::zero();
    mix<Cache, Q, C>(layout, blocks, queries, 0, column, 0, queries.lengths[0], sums);
    for (int q = 1; q < Q; ++q)  // lengths ascend: what a later query sees beyond the first one's
        mix<Cache, 1, C>(layout, blocks, queries, q, column, queries.lengths[0], queries.lengths[q], sums + q);
    for (int q = 0; q < Q; ++q)
        for (int c = 0; c < C; ++c)
            (sums[q][c] * Lanes::broadcast(inverse[q])).store(queries.out[q] + column + 16 * c);
}

template <class Cache, int Q>
static void attend_some(const AttentionLayout& layout, uint8_t* const* blocks, const Queries& queries) {
    const int longest = queries.lengths[Q - 1];
    const Lanes lowest = Lanes::broadcast(-3.0e38f);
    Lanes best[Q];
    for (int q = 0; q < Q; ++q) best[q] = lowest;
    for (int j = 0; j < longest; j += GROUP) {
        const HeadBlock block = layout.at(blocks[j / BLOCK_POSITIONS]);
        const int place = j % BLOCK_POSITIONS;
        const auto* keys = reinterpret_cast<const typename Cache::Element*>(block.keys) + place * layout.width;
        Lanes scores[Q];
        score_group<Cache, Q>(queries, keys, layout.width, scores);
        for (int q = 0; q < Q; ++q) {
            if (Cache::scaled) scores[q] = scores[q] * Lanes::load(block.key_scales + place);
            if (j + GROUP > queries.lengths[q]) scores[q] = Lanes::first(queries.lengths[q] - j, scores[q], lowest);
            scores[q].store(queries.scores + q * queries.stride + j);
            best[q] = Lanes::max(scores[q], best[q]);
        }
    }
    float inverse[Q];
    for (int q = 0; q < Q; ++q) {
        float v[16], most = -3.0e38f;
        best[q].store(v);
        for (float one : v) most = one > most ? one : most;
        const Lanes shift = Lanes::broadcast(most);
        Lanes total = Lanes::zero();
        float* scores = queries.scores + q * queries.stride;
        for (int j = 0; j < queries.lengths[q]; j += GROUP) {
            Lanes e = exponential(Lanes::load(scores + j) - shift);
            if (j + GROUP > queries.lengths[q]) e = Lanes::first(queries.lengths[q] - j, e, Lanes::zero());
            e.store(scores + j);
            total = total + e;
        }
        inverse[q] = 1.0f / half_lanes(total);
    }
    int column = 0;
    for (; column + 64 <= layout.width; column += 64) mix_columns<Cache, Q, 4>(layout, blocks, queries, column, inverse);
    for (; column < layout.width; column += 16) mix_columns<Cache, Q, 1>(layout, blocks, queries, column, inverse);
}

template <class Cache>
static void attend_in(const AttentionLayout& layout, uint8_t* const* blocks, const Queries& queries) {
    switch (queries.count) {
        case 1: return attend_some<Cache, 1>(layout, blocks, queries);
        case 2: return attend_some<Cache, 2>(layout, blocks, queries);
        case 3: return attend_some<Cache, 3>(layout, blocks, queries);
        default: return attend_some<Cache, 4>(layout, blocks, queries);
    }
}

static void attend(const AttentionLayout& layout, uint8_t* const* blocks, const Queries& queries) {
    if (layout.type == CacheType::float16) return attend_in<Float16Cache>(layout, blocks, queries);
    return attend_in<Int8Cache>(layout, blocks, queries);
}

#define TRITCODER_KERNELS(NAME)                                                                                        \
    {NAME, ternary_one, ternary_many, head, dot, dots, norm, quantize, scaled, scaled_by_row, gated, add, rotate, store, attend}
