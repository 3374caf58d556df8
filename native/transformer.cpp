#include "transformer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

namespace tritcoder {
namespace {

constexpr int QUERY_STRIP = 16;  // tokens of a prompt whose queries make one piece of work
constexpr int TOKENS_AT_ONCE = 96;  // of a long step: so that what is computed for them stays in the second cache

size_t up_to(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

Cache::Cache(const Shape& shape, int n_blocks, CacheType type)
    : layout_{type, shape.padded_head()},
      n_blocks_(n_blocks),
      n_layers_(shape.n_layers),
      n_kv_heads_(shape.n_kv_heads),
      block_bytes_(size_t(shape.n_layers) * size_t(shape.n_kv_heads) * layout_.head_bytes()),
      memory_(size_t(n_blocks) * block_bytes_) {}

void Cache::copy(int source, int target) { std::memcpy(head(target, 0, 0), head(source, 0, 0), block_bytes_); }

// What a step computes, for up to `capacity` tokens. `levels` and `metas` hold what `prepare` made of a vector; the twin keeps
// the vector itself, in `normed`.
struct Transformer::Activations {
    int capacity;
    size_t widest;
    std::vector<float> x, heads, mixed, hidden, normed;
    std::vector<int8_t> levels;
    std::vector<Levels> metas;

    Activations(const Shape& s, int n)
        : capacity(n),
          widest(size_t(std::max(s.dim, s.hidden_dim))),
          x(size_t(n) * size_t(s.dim)),
          heads(size_t(n) * size_t(s.heads_width())),
          mixed(size_t(n) * size_t(s.dim)),
          hidden(size_t(n) * size_t(s.hidden_dim)),
          normed(size_t(n) * widest),
          levels(size_t(n) * widest),
          metas(size_t(n)) {
        for (size_t t = 0; t < size_t(n); ++t) metas[t].values = levels.data() + t * widest;
    }
};

// What one thread works with.
struct Transformer::Scratch {
    alignas(64) int32_t sums[TOKEN_STRIP * TILE_ROWS];
    alignas(64) float gate[TOKEN_STRIP * TILE_ROWS];
    alignas(64) float product[TOKEN_STRIP * TILE_ROWS];
    std::vector<float> queries, key, value, out, scores;
    std::vector<uint8_t*> blocks;

    explicit Scratch(const Shape& s)
        : queries(size_t(MAX_QUERIES * s.padded_head())),
          key(size_t(s.padded_head())),
          value(size_t(s.padded_head())),
          out(size_t(MAX_QUERIES * s.padded_head())) {}
};

Transformer::Transformer(const Shape& shape, int threads, const Kernels& kernels)
    : shape_(shape), kernels_(kernels), pool_(threads), blocks_(size_t(shape.n_layers)) {
    for (int t = 0; t < pool_.size(); ++t) scratch_.push_back(std::make_unique<Scratch>(shape));
    place_linear_layers();
}

Transformer::~Transformer() = default;

void Transformer::place_linear_layers() {
    const int kv = shape_.kv_dim(), dim = shape_.dim, hidden = shape_.hidden_dim;
    const int sizes[N_LINEAR][2] = {{dim, dim}, {kv, dim}, {kv, dim}, {dim, dim}, {hidden, dim}, {hidden, dim}, {dim, hidden}};
    size_t total = 0;
    for (auto& block : blocks_)
        for (int name = 0; name < N_LINEAR; ++name) {
            Linear& l = block.linear[name];
            l.rows = sizes[name][0];
            l.cols = sizes[name][1];
            total += size_t(l.n_tiles()) * l.tile_bytes();
        }
    if (!shape_.ternary) return;
    const size_t head_tiles = up_to(size_t(shape_.vocab_size), TILE_ROWS) / TILE_ROWS;
    arena_ = Memory(total + head_tiles * TILE_ROWS * size_t(dim));
    uint8_t* place = arena_.data();
    for (auto& block : blocks_)
        for (Linear& l : block.linear) {
            l.tiles = place;
            place += size_t(l.n_tiles()) * l.tile_bytes();
        }
    head_tiles_ = place;
    head_scales_.resize(head_tiles * TILE_ROWS);
}

bool Transformer::set_ternary(int layer, int name, TernaryLayout layout, const uint8_t* data, float scale) {
    Linear& l = linear(layer, name);
    l.scale = scale;
    std::vector<std::vector<uint8_t>> codes(size_t(threads()), std::vector<uint8_t>(size_t(l.cols) * TILE_ROWS));
    std::atomic<bool> good{true};
    pool_.run(l.n_tiles(), [&](int tile, int thread) {
        uint8_t* to = l.tiles + size_t(tile) * l.tile_bytes();
        if (!pack_tile(layout, data, l.rows, l.cols, tile, codes[size_t(thread)].data(), to)) good.store(false);
    });
    return good.load();
}

void Transformer::set_float(int layer, int name, FloatLayout layout, const uint8_t* data) {
    Linear& l = linear(layer, name);
    l.floats.resize(size_t(l.rows) * size_t(l.cols));
    pool_.run(l.rows, [&](int row, int) { decode_row(layout, data, l.cols, row, &l.floats[size_t(row) * size_t(l.cols)]); });
}

void Transformer::set_norms(int layer, const float* attention, const float* attention_sub, const float* feed_forward,
                            const float* feed_forward_sub) {
    Block& block = blocks_[size_t(layer)];
    block.attention_norm.assign(attention, attention + shape_.dim);
    block.attention_sub_norm.assign(attention_sub, attention_sub + shape_.dim);
    block.feed_forward_norm.assign(feed_forward, feed_forward + shape_.dim);
    block.feed_forward_sub_norm.assign(feed_forward_sub, feed_forward_sub + shape_.hidden_dim);
}

void Transformer::set_embedding(FloatLayout layout, const uint8_t* data) {
    embedding_layout_ = layout;
    embedding_ = data;
    const int cols = shape_.dim, rows = shape_.vocab_size;
    if (!shape_.ternary) {
        float_head_.resize(size_t(rows) * size_t(cols));
        pool_.run(rows, [&](int row, int) { decode_row(layout, data, cols, row, &float_head_[size_t(row) * size_t(cols)]); });
        return;
    }
    const size_t n_threads = size_t(threads());
    std::vector<std::vector<float>> row(n_threads, std::vector<float>(size_t(cols)));
    std::vector<std::vector<int8_t>> levels(n_threads, std::vector<int8_t>(size_t(cols)));
    pool_.run(int(head_scales_.size()) / TILE_ROWS, [&](int tile, int thread) {
        pack_head_tile(kernels_, layout, data, rows, cols, tile, row[size_t(thread)].data(), levels[size_t(thread)].data(),
                       head_tiles_ + size_t(tile) * size_t(cols) * TILE_ROWS, &head_scales_[size_t(tile) * TILE_ROWS]);
    });
}

void Transformer::set_norm(const float* norm) { norm_.assign(norm, norm + shape_.dim); }

void Transformer::set_rope(const float* cos, const float* sin) {
    const auto size = ptrdiff_t(shape_.max_seq_len) * (shape_.head_dim / 2);
    cos_.assign(cos, cos + size);
    sin_.assign(sin, sin + size);
}

void Transformer::forward(const Step& step) {
    const std::lock_guard<std::mutex> lock(busy_);
    if (step.n_tokens <= TOKENS_AT_ONCE) return read(step);
    std::vector<int32_t> counts, starts, rows;
    int run = 0, within = 0, row = 0;
    for (int from = 0; from < step.n_tokens;) {
        const int first = run;
        int taken = 0;
        counts.clear();
        starts.clear();
        while (run < step.n_runs && taken < TOKENS_AT_ONCE) {
            counts.push_back(std::min(step.counts[run] - within, TOKENS_AT_ONCE - taken));
            starts.push_back(step.starts[run] + within);
            taken += counts.back();
            within += counts.back();
            if (within == step.counts[run]) ++run, within = 0;
        }
        rows.clear();
        for (int i = row; i < step.n_rows && step.rows[i] < from + taken; ++i) rows.push_back(step.rows[i] - from);
        read({step.cache, step.tokens + from, taken, counts.data(), starts.data(), step.tables + first * step.table_width,
              int(counts.size()), step.table_width, rows.data(), int(rows.size()),
              step.logits + size_t(row) * size_t(shape_.vocab_size)});
        row += int(rows.size());
        from += taken;
    }
}

void Transformer::read(const Step& step) {
    if (!now_ || now_->capacity < step.n_tokens) now_ = std::make_unique<Activations>(shape_, step.n_tokens);
    first_token_.clear();
    int t = 0, longest = 0;
    for (int run = 0; run < step.n_runs; t += step.counts[run++]) {
        first_token_.push_back(t);
        longest = std::max(longest, step.starts[run] + step.counts[run]);
    }
    for (auto& scratch : scratch_) {
        scratch->scores.resize(MAX_QUERIES * up_to(size_t(longest), GROUP));
        scratch->blocks.resize(up_to(size_t(longest), BLOCK_POSITIONS) / BLOCK_POSITIONS);
    }
    embed(step);
    for (int layer = 0; layer < shape_.n_layers; ++layer) {
        attention(step, layer);
        feed_forward(layer, step.n_tokens);
    }
    logits(step);
}

void Transformer::embed(const Step& step) {
    pool_.run(step.n_tokens, [&](int t, int) {
        decode_row(embedding_layout_, embedding_, shape_.dim, step.tokens[t], &now_->x[size_t(t) * size_t(shape_.dim)]);
    });
}

// Norms n vectors; rounds them, or in the twin leaves them be.
void Transformer::prepare(const float* x, size_t stride, int width, const std::vector<float>& weight, int n) {
    pool_.run(n, [&](int t, int) {
        float* normed = &now_->normed[size_t(t) * now_->widest];
        kernels_.norm(x + size_t(t) * stride, weight.data(), width, shape_.norm_eps, normed);
        if (shape_.ternary) kernels_.quantize(normed, width, &now_->metas[size_t(t)]);
    });
}

// The 64 outputs of a tile for n tokens from `from` on: (n, 64), in scratch.product.
const float* Transformer::tile_product(const Linear& l, int tile, int from, int n, Scratch& scratch) const {
    float* out = scratch.product;
    if (!shape_.ternary) {
        const int rows = std::min(TILE_ROWS, l.rows - tile * TILE_ROWS);
        for (int r = 0; r < rows; ++r) {
            const float* row = &l.floats[size_t(tile * TILE_ROWS + r) * size_t(l.cols)];
            kernels_.dots(row, &now_->normed[size_t(from) * now_->widest], ptrdiff_t(now_->widest), n, l.cols, out + r, TILE_ROWS);
        }
        return out;
    }
    const uint8_t* bytes = l.tiles + size_t(tile) * l.tile_bytes();
    const Levels* metas = &now_->metas[size_t(from)];
    if (n == 1) kernels_.ternary_one(bytes, metas->values, l.cols, scratch.sums);
    else kernels_.ternary_many(bytes, metas->values, ptrdiff_t(now_->widest), n, l.cols, scratch.sums);
    for (int t = 0; t < n; ++t)
        kernels_.scaled(scratch.sums + t * TILE_ROWS, metas[t].sum, metas[t].scale * l.scale, TILE_ROWS, out + t * TILE_ROWS);
    return out;
}

// Calls sink(first row, rows, token, outputs) for every token.
template <class Sink>
void Transformer::tile_strips(const Linear& l, int tile, int n, Scratch& scratch, Sink sink) const {
    const int row = tile * TILE_ROWS, rows = std::min(TILE_ROWS, l.rows - row);
    for (int from = 0; from < n; from += TOKEN_STRIP) {
        const int now = std::min(TOKEN_STRIP, n - from);
        const float* out = tile_product(l, tile, from, now, scratch);
        for (int t = 0; t < now; ++t) sink(row, rows, from + t, out + t * TILE_ROWS);
    }
}

void Transformer::attention(const Step& step, int layer) {
    const Block& block = blocks_[size_t(layer)];
    const int n = step.n_tokens, kv_heads = shape_.n_kv_heads;
    prepare(now_->x.data(), size_t(shape_.dim), shape_.dim, block.attention_norm, n);
    const Linear *q = &block.linear[Q], *k = &block.linear[K];
    pool_.run(q->n_tiles() + 2 * k->n_tiles(), [&](int chunk, int thread) {
        const int name = chunk < q->n_tiles() ? Q : chunk < q->n_tiles() + k->n_tiles() ? K : V;
        const int tile = name == Q ? chunk : name == K ? chunk - q->n_tiles() : chunk - q->n_tiles() - k->n_tiles();
        const int column = name == Q ? 0 : name == K ? shape_.dim : shape_.dim + shape_.kv_dim();
        tile_strips(block.linear[name], tile, n, *scratch_[size_t(thread)], [&](int row, int rows, int t, const float* y) {
            std::memcpy(&now_->heads[size_t(t) * size_t(shape_.heads_width()) + size_t(column + row)], y, size_t(rows) * 4);
        });
    });
    if (n == step.n_runs) {
        pool_.run(n * kv_heads, [&](int chunk, int thread) {
            Scratch& scratch = *scratch_[size_t(thread)];
            store_run(step, layer, chunk / kv_heads, chunk % kv_heads, scratch);
            attend_run(step, layer, chunk / kv_heads, chunk % kv_heads, 0, 1, scratch);
        });
    } else {
        pool_.run(step.n_runs * kv_heads, [&](int chunk, int thread) {
            store_run(step, layer, chunk / kv_heads, chunk % kv_heads, *scratch_[size_t(thread)]);
        });
        int strips = 0;
        for (int run = 0; run < step.n_runs; ++run) strips += (step.counts[run] + QUERY_STRIP - 1) / QUERY_STRIP;
        pool_.run(strips * kv_heads, [&](int chunk, int thread) {
            int run = 0, strip = strips - 1 - chunk / kv_heads;  // the longest first
            while (strip >= (step.counts[run] + QUERY_STRIP - 1) / QUERY_STRIP)
                strip -= (step.counts[run++] + QUERY_STRIP - 1) / QUERY_STRIP;
            const int from = strip * QUERY_STRIP, to = std::min(from + QUERY_STRIP, step.counts[run]);
            attend_run(step, layer, run, chunk % kv_heads, from, to, *scratch_[size_t(thread)]);
        });
    }
    prepare(now_->mixed.data(), size_t(shape_.dim), shape_.dim, block.attention_sub_norm, n);
    const Linear& o = block.linear[O];
    pool_.run(o.n_tiles(), [&](int tile, int thread) {
        tile_strips(o, tile, n, *scratch_[size_t(thread)], [&](int row, int rows, int t, const float* y) {
            kernels_.add(y, rows, &now_->x[size_t(t) * size_t(shape_.dim) + size_t(row)]);
        });
    });
}

void Transformer::store_run(const Step& step, int layer, int run, int kv_head, Scratch& scratch) const {
    const int head = shape_.head_dim, half = head / 2, width = shape_.padded_head();
    const AttentionLayout& layout = step.cache->layout();
    for (int i = 0; i < step.counts[run]; ++i) {
        const int t = first_token_[size_t(run)] + i, position = step.starts[run] + i;
        const float* key = &now_->heads[size_t(t) * size_t(shape_.heads_width()) + size_t(shape_.dim + kv_head * head)];
        const size_t angle = size_t(position) * size_t(half);
        kernels_.rotate(key, &cos_[angle], &sin_[angle], head, width, 1.0f, scratch.key.data());
        std::memcpy(scratch.value.data(), key + shape_.kv_dim(), size_t(head) * 4);  // beyond it are zeros, always
        const int block = step.tables[run * step.table_width + position / BLOCK_POSITIONS];
        kernels_.store(layout, layout.at(step.cache->head(block, layer, kv_head)), position % BLOCK_POSITIONS,
                       scratch.key.data(), scratch.value.data());
    }
}

void Transformer::attend_run(const Step& step, int layer, int run, int kv_head, int from, int to, Scratch& scratch) const {
    const int head = shape_.head_dim, half = head / 2, width = shape_.padded_head(), group = shape_.n_heads / shape_.n_kv_heads;
    const float factor = float(1.0 / std::sqrt(double(head)));  // rounded once
    const int longest = step.starts[run] + to;
    for (int i = 0; i * BLOCK_POSITIONS < longest; ++i)
        scratch.blocks[size_t(i)] = step.cache->head(step.tables[run * step.table_width + i], layer, kv_head);
    Queries queries;
    queries.scores = scratch.scores.data();
    queries.stride = ptrdiff_t(up_to(size_t(longest), GROUP));
    float* target[MAX_QUERIES];
    for (int next = from * group; next < to * group; next += queries.count) {
        queries.count = std::min(MAX_QUERIES, to * group - next);
        for (int q = 0; q < queries.count; ++q) {
            const int i = (next + q) / group, h = kv_head * group + (next + q) % group;
            const size_t t = size_t(first_token_[size_t(run)] + i);
            const size_t angle = size_t(step.starts[run] + i) * size_t(half);
            float* turned = &scratch.queries[size_t(q * width)];
            kernels_.rotate(&now_->heads[t * size_t(shape_.heads_width()) + size_t(h * head)], &cos_[angle], &sin_[angle],
                            head, width, factor, turned);
            queries.vectors[q] = turned;
            queries.lengths[q] = step.starts[run] + i + 1;
            target[q] = &now_->mixed[t * size_t(shape_.dim) + size_t(h * head)];
            queries.out[q] = width == head ? target[q] : &scratch.out[size_t(q * width)];
        }
        kernels_.attend(step.cache->layout(), scratch.blocks.data(), queries);
        if (width != head)
            for (int q = 0; q < queries.count; ++q) std::memcpy(target[q], queries.out[q], size_t(head) * 4);
    }
}

void Transformer::feed_forward(int layer, int n) {
    const Block& block = blocks_[size_t(layer)];
    const size_t dim = size_t(shape_.dim), hidden = size_t(shape_.hidden_dim);
    prepare(now_->x.data(), dim, shape_.dim, block.feed_forward_norm, n);
    const Linear &gate = block.linear[GATE], &up = block.linear[UP], &down = block.linear[DOWN];
    pool_.run(gate.n_tiles(), [&](int tile, int thread) {
        Scratch& scratch = *scratch_[size_t(thread)];
        for (int from = 0; from < n; from += TOKEN_STRIP) {
            const int now = std::min(TOKEN_STRIP, n - from);
            std::memcpy(scratch.gate, tile_product(gate, tile, from, now, scratch), size_t(now) * TILE_ROWS * 4);
            const float* y = tile_product(up, tile, from, now, scratch);
            for (int t = 0; t < now; ++t)
                kernels_.gated(scratch.gate + t * TILE_ROWS, y + t * TILE_ROWS, shape_.act, TILE_ROWS,
                               &now_->hidden[size_t(from + t) * hidden + size_t(tile * TILE_ROWS)]);
        }
    });
    prepare(now_->hidden.data(), hidden, shape_.hidden_dim, block.feed_forward_sub_norm, n);
    pool_.run(down.n_tiles(), [&](int tile, int thread) {
        tile_strips(down, tile, n, *scratch_[size_t(thread)], [&](int row, int rows, int t, const float* y) {
            kernels_.add(y, rows, &now_->x[size_t(t) * dim + size_t(row)]);
        });
    });
}

void Transformer::logits(const Step& step) {
    const size_t dim = size_t(shape_.dim), vocab = size_t(shape_.vocab_size);
    const int n = step.n_rows;
    for (int i = 0; i < n; ++i)  // rows ascend: nothing that is still to be moved is written over
        if (step.rows[i] != i) std::memcpy(&now_->x[size_t(i) * dim], &now_->x[size_t(step.rows[i]) * dim], dim * 4);
    prepare(now_->x.data(), dim, shape_.dim, norm_, n);
    const int tiles = (shape_.vocab_size + TILE_ROWS - 1) / TILE_ROWS;
    pool_.run(n ? tiles : 0, [&](int tile, int thread) {
        const int row = tile * TILE_ROWS, rows = std::min(TILE_ROWS, shape_.vocab_size - row);
        if (!shape_.ternary) {
            for (int r = 0; r < rows; ++r)
                kernels_.dots(&float_head_[size_t(row + r) * dim], now_->normed.data(), ptrdiff_t(now_->widest), n, shape_.dim,
                              step.logits + row + r, ptrdiff_t(vocab));
            return;
        }
        Scratch& scratch = *scratch_[size_t(thread)];
        for (int from = 0; from < n; from += TOKEN_STRIP) {
            const int now = std::min(TOKEN_STRIP, n - from);
            const Levels* metas = &now_->metas[size_t(from)];
            kernels_.head(head_tiles_ + size_t(tile) * dim * TILE_ROWS, metas->values, ptrdiff_t(now_->widest), now,
                          shape_.dim, scratch.sums);
            for (int t = 0; t < now; ++t)
                kernels_.scaled_by_row(scratch.sums + t * TILE_ROWS, 128 * metas[t].sum, metas[t].scale,
                                       &head_scales_[size_t(row)], rows, step.logits + size_t(from + t) * vocab + size_t(row));
        }
    });
}

}  // namespace tritcoder
