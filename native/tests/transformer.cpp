// The whole network: the logits of a sequence are the same bits whatever its company, threads, kernel and runs; and they
// are those of docs/engine.md written out.
#include "transformer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "check.h"
#include "dispatch.h"
#include "longhand.h"

namespace tritcoder::tests {
namespace {

// Weights of a random network, as `trits` and float32, and the network of any kernel made of them.
struct Model {
    Shape shape;
    std::vector<std::vector<int8_t>> trits;   // [layer * N_LINEAR + name]
    std::vector<std::vector<float>> floats;   // the twin's
    std::vector<float> scales, embedding, norm, cos, sin;
    std::vector<std::vector<float>> norms;    // [layer * 4 + which]

    int rows(int name) const {
        return name == K || name == V ? shape.kv_dim() : name == GATE || name == UP ? shape.hidden_dim : shape.dim;
    }
    int cols(int name) const { return name == DOWN ? shape.hidden_dim : shape.dim; }

    Model(const Shape& s, Random& random) : shape(s) {
        for (int layer = 0; layer < s.n_layers; ++layer) {
            for (int name = 0; name < N_LINEAR; ++name) {
                const size_t n = size_t(rows(name)) * size_t(cols(name));
                trits.emplace_back(s.ternary ? n : 0);
                for (int8_t& trit : trits.back()) trit = int8_t(random.between(-1, 1));
                floats.push_back(random.normals(s.ternary ? 0 : n));
                scales.push_back(0.02f + 0.01f * std::fabs(random.normal()));
                for (float& one : floats.back()) one *= 0.05f;
            }
            for (int which = 0; which < 4; ++which) norms.push_back(random.normals(size_t(which == 3 ? s.hidden_dim : s.dim)));
        }
        embedding = random.normals(size_t(s.vocab_size) * size_t(s.dim));
        norm = random.normals(size_t(s.dim));
        for (int position = 0; position < s.max_seq_len; ++position)
            for (int i = 0; i < s.head_dim / 2; ++i) {
                const float angle = float(position) / std::pow(10000.0f, float(2 * i) / float(s.head_dim));
                cos.push_back(std::cos(angle));
                sin.push_back(std::sin(angle));
            }
    }

    std::unique_ptr<Transformer> open(int threads, const Kernels& kernels) const {
        auto transformer = std::make_unique<Transformer>(shape, threads, kernels);
        const auto bytes = [](const auto& v) { return reinterpret_cast<const uint8_t*>(v.data()); };
        for (int layer = 0; layer < shape.n_layers; ++layer) {
            for (int name = 0; name < N_LINEAR; ++name) {
                const size_t at = size_t(layer * N_LINEAR + name);
                if (shape.ternary) transformer->set_ternary(layer, name, TernaryLayout::trits, bytes(trits[at]), scales[at]);
                else transformer->set_float(layer, name, FloatLayout::f32, bytes(floats[at]));
            }
            const auto* of = &norms[size_t(layer * 4)];
            transformer->set_norms(layer, of[0].data(), of[1].data(), of[2].data(), of[3].data());
        }
        transformer->set_embedding(FloatLayout::f32, bytes(embedding));
        transformer->set_norm(norm.data());
        transformer->set_rope(cos.data(), sin.data());
        return transformer;
    }
};

Shape random_shape(Random& random, bool small) {
    Shape s{};
    s.head_dim = random.one_of({8, 16, 24, 32, 40, 64, 96, 128});
    s.n_heads = std::lcm(s.head_dim, 64) / s.head_dim * (small ? 1 : random.between(1, 2));
    s.dim = s.n_heads * s.head_dim;
    do s.n_kv_heads = random.between(1, s.n_heads);
    while (s.n_heads % s.n_kv_heads);
    s.n_layers = random.between(1, 2);
    s.hidden_dim = 64 * random.between(1, 5);
    s.vocab_size = random.between(1, 130);
    s.max_seq_len = 110;
    s.norm_eps = random.one_of({1e-5f, 1e-6f});
    s.act = random.one_of({Act::silu, Act::relu2});
    s.ternary = random.below(3) != 0;
    return s;
}

using Logits = std::vector<std::vector<float>>;  // after each token

// docs/engine.md, written out.
class Longhand {
   public:
    Longhand(const Model& model, CacheType type) : m_(model), s_(model.shape), type_(type), past_(size_t(s_.n_layers)) {
        for (auto& layer : past_) layer.resize(size_t(s_.n_kv_heads));
    }

    std::vector<float> next(int token) {
        std::vector<float> x(m_.embedding.begin() + ptrdiff_t(token) * s_.dim, m_.embedding.begin() + ptrdiff_t(token + 1) * s_.dim);
        for (int layer = 0; layer < s_.n_layers; ++layer) {
            const auto* norms = &m_.norms[size_t(layer * 4)];
            const auto h = longhand::norm(x.data(), norms[0].data(), s_.dim, s_.norm_eps);
            const auto mixed = attention(layer, linear(layer, Q, h), linear(layer, K, h), linear(layer, V, h));
            add(x, linear(layer, O, longhand::norm(mixed.data(), norms[1].data(), s_.dim, s_.norm_eps)));
            const auto f = longhand::norm(x.data(), norms[2].data(), s_.dim, s_.norm_eps);
            auto hidden = linear(layer, GATE, f);
            const auto up = linear(layer, UP, f);
            for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = longhand::act(hidden[i], s_.act == Act::relu2) * up[i];
            add(x, linear(layer, DOWN, longhand::norm(hidden.data(), norms[3].data(), s_.hidden_dim, s_.norm_eps)));
        }
        ++position_;
        return head(longhand::norm(x.data(), m_.norm.data(), s_.dim, s_.norm_eps));
    }

   private:
    struct Past {
        std::vector<std::vector<float>> keys, values;
        std::vector<float> key_scales, value_scales;
    };

    static void add(std::vector<float>& x, const std::vector<float>& y) {
        for (size_t i = 0; i < x.size(); ++i) x[i] = x[i] + y[i];
    }

    std::vector<float> linear(int layer, int name, const std::vector<float>& h) const {
        const size_t at = size_t(layer * N_LINEAR + name), cols = h.size();
        std::vector<float> y(size_t(m_.rows(name)));
        const auto rounded = longhand::levels(h.data(), int(cols));
        for (size_t r = 0; r < y.size(); ++r) {
            if (!s_.ternary) {
                y[r] = longhand::sum16(h.data(), &m_.floats[at][r * cols], int(cols));
                continue;
            }
            int32_t sum = 0;
            for (size_t c = 0; c < cols; ++c) sum += rounded.levels[c] * m_.trits[at][r * cols + c];
            y[r] = float(sum) * (rounded.scale * m_.scales[at]);
        }
        return y;
    }

    std::vector<float> turned(const float* x, float factor) const {
        const size_t half = size_t(s_.head_dim / 2), angle = size_t(position_) * half;
        std::vector<float> y(2 * half);
        for (size_t i = 0; i < half; ++i) {
            const float a = x[i], b = x[i + half], c = m_.cos[angle + i], s = m_.sin[angle + i];
            const float ac = a * c, bs = b * s, bc = b * c, as = a * s;
            y[i] = (ac - bs) * factor;
            y[i + half] = (bc + as) * factor;
        }
        return y;
    }

    void remember(const std::vector<float>& x, std::vector<std::vector<float>>& all, std::vector<float>& scales) const {
        all.emplace_back(x.size());
        const auto rounded = longhand::levels(x.data(), int(x.size()));
        for (size_t d = 0; d < x.size(); ++d)
            all.back()[d] = type_ == CacheType::int8 ? float(rounded.levels[d]) : float(longhand::nearest_half(x[d]));
        if (type_ == CacheType::int8) scales.push_back(rounded.scale);
    }

    std::vector<float> attention(int layer, const std::vector<float>& q, const std::vector<float>& k, const std::vector<float>& v) {
        std::vector<float> mixed;
        const int group = s_.n_heads / s_.n_kv_heads;
        const float factor = float(1.0 / std::sqrt(double(s_.head_dim)));
        for (int h = 0; h < s_.n_heads; ++h) {
            Past& past = past_[size_t(layer)][size_t(h / group)];
            const ptrdiff_t at = ptrdiff_t(h / group) * s_.head_dim;
            if (h % group == 0) {
                remember(turned(&k[size_t(at)], 1.0f), past.keys, past.key_scales);
                remember({v.begin() + at, v.begin() + at + s_.head_dim}, past.values, past.value_scales);
            }
            const auto out = longhand::attention(turned(&q[size_t(h * s_.head_dim)], factor), past.keys, past.values,
                                                 past.key_scales, past.value_scales);
            mixed.insert(mixed.end(), out.begin(), out.end());
        }
        return mixed;
    }

    std::vector<float> head(const std::vector<float>& h) const {
        std::vector<float> logits(size_t(s_.vocab_size));
        const auto ours = longhand::levels(h.data(), s_.dim);
        for (size_t v = 0; v < logits.size(); ++v) {
            const float* row = &m_.embedding[v * size_t(s_.dim)];
            if (!s_.ternary) {
                logits[v] = longhand::sum16(h.data(), row, s_.dim);
                continue;
            }
            const auto theirs = longhand::levels(row, s_.dim);
            int32_t sum = 0;
            for (size_t d = 0; d < h.size(); ++d) sum += ours.levels[d] * theirs.levels[d];
            logits[v] = float(sum) * (ours.scale * theirs.scale);
        }
        return logits;
    }

    const Model& m_;
    Shape s_;
    CacheType type_;
    int position_ = 0;
    std::vector<std::vector<Past>> past_;  // [layer][key head]
};

struct Sequence {
    std::vector<int32_t> tokens, blocks;
    int done = 0;
    Logits expected, got;
};

struct Setting {
    const Kernels* kernels;
    int threads;
    CacheType type;
    std::string name() const {
        return std::string(kernels->name) + ", " + text(threads) + " threads, " + (type == CacheType::int8 ? "int8" : "float16");
    }
};

// Blocks are dealt in no order, and hold what an earlier owner left: NaN.
void deal_blocks(std::vector<Sequence>& sequences, const Cache& cache, const Shape& shape, Random& random) {
    std::vector<int32_t> blocks(size_t(cache.n_blocks()));
    std::iota(blocks.begin(), blocks.end(), 0);
    for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[size_t(random.below(int(i)))]);
    for (int32_t block : blocks) std::memset(cache.head(block, 0, 0), 0xff, cache.block_bytes());
    size_t next = 0;
    for (Sequence& one : sequences)
        for (int at = 0; at < shape.max_seq_len; at += BLOCK_POSITIONS) one.blocks.push_back(blocks[next++]);
}

// One call of forward with some of the sequences, each reading some of its tokens. `most` of them at once.
void one_step(Transformer& transformer, const Cache& cache, std::vector<Sequence>& sequences, int most, Random& random) {
    std::vector<int32_t> tokens, counts, starts, tables, rows;
    std::vector<Sequence*> owners;
    for (Sequence& one : sequences) {
        const int left = int(one.tokens.size()) - one.done;
        if (!left || (random.below(4) == 0 && &one != &sequences.back())) continue;
        const int now = std::min(left, random.below(3) ? random.between(1, most) : 1);
        for (int i = 0; i < now; ++i) {
            if (random.below(3) || i == now - 1) {  // wanted of most, and of none sometimes
                rows.push_back(int32_t(tokens.size()));
                owners.push_back(&one);
                one.got[size_t(one.done + i)].assign(size_t(transformer.shape().vocab_size), 5.0f);
            }
            tokens.push_back(one.tokens[size_t(one.done + i)]);
        }
        counts.push_back(now);
        starts.push_back(one.done);
        tables.insert(tables.end(), one.blocks.begin(), one.blocks.end());
        one.done += now;
    }
    if (tokens.empty()) return;
    const int vocab = transformer.shape().vocab_size;
    std::vector<float> logits(rows.size() * size_t(vocab), 5.0f);
    transformer.forward({&cache, tokens.data(), int(tokens.size()), counts.data(), starts.data(), tables.data(), int(counts.size()),
                         int(tables.size() / counts.size()), rows.data(), int(rows.size()), logits.data()});
    std::vector<std::pair<Sequence*, int>> places;
    for (size_t run = 0, t = 0, row = 0; run < counts.size(); ++run)
        for (int i = 0; i < counts[run]; ++i, ++t)
            if (row < rows.size() && rows[row] == int32_t(t)) {
                const float* from = &logits[row * size_t(vocab)];
                owners[row]->got[size_t(starts[run] + i)].assign(from, from + vocab);
                ++row;
            }
}

void check_sequences(const Model& model, const Setting& setting, std::vector<Sequence> sequences, int most, Random& random) {
    const auto transformer = model.open(setting.threads, *setting.kernels);
    const int per_sequence = (model.shape.max_seq_len + BLOCK_POSITIONS - 1) / BLOCK_POSITIONS;
    Cache cache(model.shape, per_sequence * int(sequences.size()) + random.below(3), setting.type);
    deal_blocks(sequences, cache, model.shape, random);
    for (Sequence& one : sequences) one.got.assign(one.tokens.size(), {});
    const auto unfinished = [](const Sequence& one) { return size_t(one.done) < one.tokens.size(); };
    while (std::any_of(sequences.begin(), sequences.end(), unfinished))
        one_step(*transformer, cache, sequences, most, random);
    for (const Sequence& one : sequences)
        for (size_t i = 0; i < one.tokens.size(); ++i)
            if (!one.got[i].empty())
                CHECK(same(one.got[i], one.expected[i]),
                      setting.name() + ", head " + text(model.shape.head_dim) + ", vocabulary " + text(model.shape.vocab_size) +
                          (model.shape.ternary ? ", ternary" : ", twin") + ", position " + text((long long)i));
}

std::vector<Sequence> random_sequences(const Model& model, CacheType type, int n, int longest, Random& random) {
    std::vector<Sequence> sequences(static_cast<size_t>(n));
    for (Sequence& one : sequences) {
        for (int i = random.between(1, longest); i > 0; --i) one.tokens.push_back(random.below(model.shape.vocab_size));
        Longhand network(model, type);
        for (int32_t token : one.tokens) one.expected.push_back(network.next(token));
    }
    return sequences;
}

void check_shape(const Shape& shape, int longest, Random& random) {
    const Model model(shape, random);
    for (CacheType type : {CacheType::float16, CacheType::int8}) {
        const auto sequences = random_sequences(model, type, random.between(1, 4), longest, random);
        for (const Kernels* kernels : usable_kernels()) {
            const int threads = random.between(2, 4);
            check_sequences(model, {kernels, 1, type}, sequences, 1, random);         // token by token
            check_sequences(model, {kernels, threads, type}, sequences, 1, random);
            check_sequences(model, {kernels, threads, type}, sequences, 110, random);  // whole prompts
            check_sequences(model, {kernels, random.between(1, 4), type}, sequences, random.between(2, 40), random);
            check_sequences(model, {kernels, threads, type}, {sequences.back()}, 110, random);  // alone
        }
    }
}

// A sequence goes on from a copy of another's blocks, while the other goes its own way.
void check_copied_blocks(const Model& model, CacheType type, int threads, Random& random) {
    auto sequences = random_sequences(model, type, 2, 100, random);
    sequences[1].tokens.insert(sequences[1].tokens.begin(), sequences[0].tokens.begin(), sequences[0].tokens.end());
    if (sequences[1].tokens.size() > size_t(model.shape.max_seq_len)) sequences[1].tokens.resize(size_t(model.shape.max_seq_len));
    Longhand network(model, type);
    sequences[1].expected.clear();
    for (int32_t token : sequences[1].tokens) sequences[1].expected.push_back(network.next(token));
    const auto transformer = model.open(threads, *usable_kernels().front());
    Cache cache(model.shape, 8, type);
    deal_blocks(sequences, cache, model.shape, random);
    for (Sequence& one : sequences) one.got.assign(one.tokens.size(), {});
    std::vector<Sequence> first = {sequences[0]};
    while (size_t(first[0].done) < first[0].tokens.size()) one_step(*transformer, cache, first, 50, random);
    const int shared = int(std::min(first[0].tokens.size(), sequences[1].tokens.size() - 1));
    for (int block = 0; block * BLOCK_POSITIONS < shared; ++block)
        cache.copy(sequences[0].blocks[size_t(block)], sequences[1].blocks[size_t(block)]);
    sequences[1].done = shared;
    std::vector<Sequence> second = {sequences[1]};
    while (size_t(second[0].done) < second[0].tokens.size()) one_step(*transformer, cache, second, 50, random);
    for (size_t i = size_t(shared); i < second[0].tokens.size(); ++i)
        if (!second[0].got[i].empty()) CHECK(same(second[0].got[i], second[0].expected[i]), "copied, position " + text((long long)i));
}

void check_wrong_trits(Random& random) {
    Shape shape{5, 64, 1, 8, 4, 8, 64, 40, 1e-5f, Act::silu, true};
    const Model model(shape, random);
    const auto transformer = model.open(3, reference_kernels);
    auto trits = model.trits[DOWN];
    CHECK(transformer->set_ternary(0, DOWN, TernaryLayout::trits, reinterpret_cast<const uint8_t*>(trits.data()), 1), "whole");
    trits[size_t(random.below(int(trits.size())))] = 2;
    CHECK(!transformer->set_ternary(0, DOWN, TernaryLayout::trits, reinterpret_cast<const uint8_t*>(trits.data()), 1), "wrong");
}

}  // namespace

void test_transformer() {
    Random random(7);
    for (int head : {8, 24, 40, 64}) {
        Shape shape = random_shape(random, true);
        shape.head_dim = head;
        shape.n_heads = std::lcm(head, 64) / head;
        shape.dim = shape.n_heads * head;
        shape.n_kv_heads = head == 24 ? shape.n_heads : 1;
        shape.vocab_size = head == 8 ? 1 : 130;
        shape.ternary = head != 40;
        check_shape(shape, head == 64 ? 100 : 30, random);
    }
    for (int n = 0; n < 6; ++n) check_shape(random_shape(random, true), 40, random);
    for (CacheType type : {CacheType::float16, CacheType::int8})
        check_copied_blocks(Model(random_shape(random, true), random), type, 2, random);
    check_wrong_trits(random);
}

void soak(int seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    for (uint64_t seed = 1000; std::chrono::steady_clock::now() < end; ++seed) {
        Random random(seed);
        const size_t failed = tally().failed;
        check_shape(random_shape(random, random.below(3) != 0), random.between(1, 110), random);
        const Model model(random_shape(random, true), random);
        check_copied_blocks(model, random.one_of({CacheType::float16, CacheType::int8}), random.between(1, 4), random);
        if (tally().failed != failed) std::printf("soak: seed %llu failed\n", static_cast<unsigned long long>(seed));
    }
}

}  // namespace tritcoder::tests
