// The network: packed weights, the cache of keys and values, and one step of any number of sequences.
//
// Axes: N tokens of a step, D width, F width of the feed-forward layer, V vocabulary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "memory.h"
#include "packing.h"
#include "pool.h"
#include "ternary.h"

namespace tritcoder {

struct Shape {
    int vocab_size, dim, n_layers, n_heads, n_kv_heads, head_dim, hidden_dim, max_seq_len;
    float norm_eps;
    Act act;
    bool ternary;  // else the full-precision twin

    int kv_dim() const { return n_kv_heads * head_dim; }
    int heads_width() const { return (n_heads + 2 * n_kv_heads) * head_dim; }
    int padded_head() const { return (head_dim + 15) / 16 * 16; }
};

enum LinearName { Q, K, V, O, GATE, UP, DOWN, N_LINEAR };

// A linear layer: tiles of trits under one scale, or rows of floats.
struct Linear {
    int rows = 0, cols = 0;
    float scale = 0;
    uint8_t* tiles = nullptr;
    std::vector<float> floats;

    int n_tiles() const { return (rows + TILE_ROWS - 1) / TILE_ROWS; }
    size_t tile_bytes() const { return size_t(cols) * TILE_ROWS / 4; }
};

struct Block {
    Linear linear[N_LINEAR];
    std::vector<float> attention_norm, attention_sub_norm, feed_forward_norm, feed_forward_sub_norm;
};

// Keys and values in blocks of 32 positions of all layers; which block holds what is the caller's affair.
class Cache {
   public:
    Cache(const Shape& shape, int n_blocks, CacheType type);
    int n_blocks() const { return n_blocks_; }
    size_t block_bytes() const { return block_bytes_; }
    const AttentionLayout& layout() const { return layout_; }
    bool fits(const Shape& s) const {
        return s.n_layers == n_layers_ && s.n_kv_heads == n_kv_heads_ && s.padded_head() == layout_.width;
    }
    uint8_t* head(int block, int layer, int kv_head) const {
        return memory_.data() + size_t(block) * block_bytes_ + size_t(layer * n_kv_heads_ + kv_head) * layout_.head_bytes();
    }
    void copy(int source, int target);

   private:
    AttentionLayout layout_;
    int n_blocks_, n_layers_, n_kv_heads_;
    size_t block_bytes_;
    Memory memory_;
};

// Tokens to read: run r has counts[r] of them, from position starts[r] on; row r of `tables` (width table_width) names its
// blocks. Logits are wanted after `rows` (places in tokens, ascending) and go to (n_rows, V) floats.
struct Step {
    const Cache* cache;
    const int32_t* tokens;
    int n_tokens;
    const int32_t *counts, *starts, *tables;
    int n_runs, table_width;
    const int32_t* rows;
    int n_rows;
    float* logits;
};

class Transformer {
   public:
    Transformer(const Shape& shape, int threads, const Kernels& kernels);
    ~Transformer();

    const Shape& shape() const { return shape_; }
    const Kernels& kernels() const { return kernels_; }
    int threads() const { return pool_.size(); }
    size_t weight_bytes() const { return arena_.size(); }

    // False if the bytes hold a code that is no trit.
    bool set_ternary(int layer, int name, TernaryLayout layout, const uint8_t* data, float scale);
    void set_float(int layer, int name, FloatLayout layout, const uint8_t* data);
    void set_norms(int layer, const float* attention, const float* attention_sub, const float* feed_forward,
                   const float* feed_forward_sub);
    // `data` must outlive the transformer: rows are decoded as they are asked for.
    void set_embedding(FloatLayout layout, const uint8_t* data);
    void set_norm(const float* norm);
    void set_rope(const float* cos, const float* sin);

    void forward(const Step& step);

   private:
    struct Activations;
    struct Scratch;

    void place_linear_layers();
    void read(const Step& step);
    void embed(const Step& step);
    void attention(const Step& step, int layer);
    void feed_forward(int layer, int n);
    void logits(const Step& step);
    void prepare(const float* x, size_t stride, int width, const std::vector<float>& weight, int n);
    const float* tile_product(const Linear& linear, int tile, int from, int n, Scratch& scratch) const;
    template <class Sink>
    void tile_strips(const Linear& linear, int tile, int n, Scratch& scratch, Sink sink) const;
    void store_run(const Step& step, int layer, int run, int kv_head, Scratch& scratch) const;
    void attend_run(const Step& step, int layer, int run, int kv_head, int from, int to, Scratch& scratch) const;
    Linear& linear(int layer, int name) { return blocks_[size_t(layer)].linear[name]; }

    Shape shape_;
    const Kernels& kernels_;
    Pool pool_;
    Memory arena_;  // all tiles, those of the head last
    std::vector<Block> blocks_;
    uint8_t* head_tiles_ = nullptr;
    std::vector<float> head_scales_, norm_, cos_, sin_, float_head_;
    FloatLayout embedding_layout_ = FloatLayout::f32;
    const uint8_t* embedding_ = nullptr;
    std::unique_ptr<Activations> now_;
    std::vector<std::unique_ptr<Scratch>> scratch_;
    std::vector<int> first_token_;  // of each run
    std::mutex busy_;
};

}  // namespace tritcoder
