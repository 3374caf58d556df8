// What Python sees: checks of dtype, shape and contiguity, and the lock of the interpreter let go; no arithmetic.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <type_traits>

#include "dispatch.h"
#include "sampler.h"
#include "transformer.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tritcoder {
namespace {

// As they come, whatever they hold: nanobind would quietly make a copy of another dtype, and logits written into it be lost.
using Given = nb::ndarray<nb::ro, nb::device::cpu>;
using Writable = nb::ndarray<nb::device::cpu>;

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

// The elements of an array that must have this dtype, so many axes, and no gaps.
template <class T, class Array>
T* elements(const Array& array, size_t n_axes, const char* what) {
    require(array.dtype() == nb::dtype<std::remove_const_t<T>>() && array.ndim() == n_axes, what);
    require(reinterpret_cast<uintptr_t>(array.data()) % alignof(T) == 0, "an array must be aligned");
    int64_t step = 1;
    for (size_t axis = n_axes; axis-- > 0; step *= int64_t(array.shape(axis)))
        require(array.shape(axis) <= 1 || array.size() == 0 || array.stride(axis) == step, "an array must be contiguous");
    return static_cast<T*>(array.data());
}

const uint8_t* bytes(const Given& array) { return elements<const uint8_t>(array, 1, "weights must be uint8, with one axis"); }
const float* floats(const Given& array) { return elements<const float>(array, 1, "norms and angles must be float32, with one axis"); }
const int32_t* ints(const Given& array, size_t n_axes = 1) {
    return elements<const int32_t>(array, n_axes, "tokens, counts, starts and rows must be int32 with one axis, tables with two");
}

TernaryLayout ternary_layout(const std::string& name) {
    static const std::map<std::string, TernaryLayout> layouts{{"tq2_0", TernaryLayout::tq2_0},
                                                              {"tq1_0", TernaryLayout::tq1_0},
                                                              {"i2_s", TernaryLayout::i2_s},
                                                              {"rows4", TernaryLayout::rows4},
                                                              {"trits", TernaryLayout::trits}};
    const auto found = layouts.find(name);
    require(found != layouts.end(), "no such ternary layout");
    return found->second;
}

FloatLayout float_layout(const std::string& name) {
    static const std::map<std::string, FloatLayout> layouts{
        {"f32", FloatLayout::f32}, {"f16", FloatLayout::f16}, {"bf16", FloatLayout::bf16}, {"q8_0", FloatLayout::q8_0}};
    const auto found = layouts.find(name);
    require(found != layouts.end(), "no such float layout");
    return found->second;
}

Act act_named(const std::string& name) {
    require(name == "silu" || name == "relu2", "hidden_act must be silu or relu2");
    return name == "silu" ? Act::silu : Act::relu2;
}

const Kernels& kernels_named(const std::string& name) {
    if (name.empty()) return *usable_kernels().front();
    const Kernels* found = find_kernels(name);
    require(found, "this processor has no such kernel");
    return *found;
}

class Core {
   public:
    Core(int vocab_size, int dim, int n_layers, int n_heads, int n_kv_heads, int head_dim, int hidden_dim, int max_seq_len,
         float norm_eps, const std::string& hidden_act, bool ternary, int threads, const std::string& kernel)
        : shape_{vocab_size, dim, n_layers, n_heads, n_kv_heads, head_dim, hidden_dim, max_seq_len, norm_eps,
                 act_named(hidden_act), ternary},
          transformer_(checked(shape_, threads), threads, kernels_named(kernel)),
          has_linear_(size_t(n_layers * N_LINEAR)),
          has_norms_(size_t(n_layers)) {}

    Transformer& transformer() { return transformer_; }
    const Shape& shape() const { return shape_; }

    void set_ternary(int layer, int name, const std::string& layout, const Given& data, float scale) {
        const auto [rows, cols] = linear_size(layer, name);
        require(shape_.ternary, "the twin has no trits");
        const uint8_t* from = bytes(data);
        require(data.size() == ternary_bytes(ternary_layout(layout), rows, cols) && data.size(), "wrong number of bytes");
        bool good;
        {
            nb::gil_scoped_release release;
            good = transformer_.set_ternary(layer, name, ternary_layout(layout), from, scale);
        }
        require(good, "a byte holds no trit");
        has_linear_[size_t(layer * N_LINEAR + name)] = true;
    }
    void set_float(int layer, int name, const std::string& layout, const Given& data) {
        const auto [rows, cols] = linear_size(layer, name);
        require(!shape_.ternary, "only the twin has floats");
        const uint8_t* from = bytes(data);
        require(data.size() == float_bytes(float_layout(layout), rows, cols) && data.size(), "wrong number of bytes");
        has_linear_[size_t(layer * N_LINEAR + name)] = true;
        nb::gil_scoped_release release;
        transformer_.set_float(layer, name, float_layout(layout), from);
    }
    void set_norms(int layer, const Given& attention, const Given& attention_sub, const Given& feed_forward,
                   const Given& feed_forward_sub) {
        const auto dim = size_t(shape_.dim);
        require(layer >= 0 && layer < shape_.n_layers, "no such layer");
        require(attention.size() == dim && attention_sub.size() == dim && feed_forward.size() == dim &&
                    feed_forward_sub.size() == size_t(shape_.hidden_dim),
                "wrong number of norm weights");
        transformer_.set_norms(layer, floats(attention), floats(attention_sub), floats(feed_forward), floats(feed_forward_sub));
        has_norms_[size_t(layer)] = true;
    }
    void set_embedding(const std::string& layout, const Given& data) {
        require(data.size() == float_bytes(float_layout(layout), shape_.vocab_size, shape_.dim) && data.size(),
                "wrong number of bytes");
        const uint8_t* from = bytes(data);
        embedding_ = data;  // kept: its rows are read as they are asked for
        nb::gil_scoped_release release;
        transformer_.set_embedding(float_layout(layout), from);
    }
    void set_norm(const Given& norm) {
        require(norm.size() == size_t(shape_.dim), "wrong number of norm weights");
        transformer_.set_norm(floats(norm));
        has_norm_ = true;
    }
    void set_rope(const Given& cos, const Given& sin) {
        const size_t size = size_t(shape_.max_seq_len) * size_t(shape_.head_dim / 2);
        require(cos.size() == size && sin.size() == size, "wrong number of angles");
        transformer_.set_rope(floats(cos), floats(sin));
        has_rope_ = true;
    }

    void forward(const Cache& cache, const Given& tokens, const Given& counts, const Given& starts, const Given& tables,
                 const Given& rows, const Writable& logits) {
        const int32_t* table = ints(tables, 2);
        require(tokens.size() <= size_t(MAX_STEP) && counts.size() <= size_t(MAX_STEP), "a step has too many tokens");
        const Step step{&cache,
                        ints(tokens),
                        int(tokens.size()),
                        ints(counts),
                        ints(starts),
                        table,
                        int(counts.size()),
                        int(tables.shape(1)),
                        ints(rows),
                        int(rows.size()),
                        elements<float>(logits, 2, "logits must be float32, with two axes")};
        require(cache.fits(shape_), "this cache belongs to a model of another shape");
        require(starts.size() == counts.size() && tables.shape(0) == counts.size(), "runs disagree in number");
        require(logits.shape(0) == rows.size() && logits.shape(1) == size_t(shape_.vocab_size), "logits have a wrong shape");
        check(step);
        nb::gil_scoped_release release;
        transformer_.forward(step);
    }

   private:
    static constexpr int MAX_STEP = 1 << 20;

    static const Shape& checked(const Shape& s, int threads) {
        require(threads >= 1 && threads <= 1024, "threads must be 1 to 1024");
        require(s.vocab_size > 0 && s.dim > 0 && s.n_layers > 0 && s.n_heads > 0 && s.n_kv_heads > 0 && s.hidden_dim > 0 &&
                    s.max_seq_len > 0,
                "sizes must be above 0");
        require(s.dim % 64 == 0 && s.hidden_dim % 64 == 0, "widths must be multiples of 64");
        require(s.head_dim % 2 == 0 && s.head_dim <= 1024 && int64_t(s.n_heads) * s.head_dim == s.dim, "heads must fill the width");
        require(s.n_heads % s.n_kv_heads == 0, "key heads must divide the heads");
        require(s.n_layers <= 1 << 14 && s.vocab_size <= 1 << 22 && s.max_seq_len <= 1 << 24,
                "sizes are out of all measure");
        require(s.dim < (1 << 18) && s.hidden_dim < (1 << 18), "sums of so many products could overflow");
        return s;
    }

    std::pair<int, int> linear_size(int layer, int name) const {
        require(layer >= 0 && layer < shape_.n_layers && name >= 0 && name < N_LINEAR, "no such layer");
        const int rows = name == K || name == V ? shape_.kv_dim() : name == GATE || name == UP ? shape_.hidden_dim : shape_.dim;
        return {rows, name == DOWN ? shape_.hidden_dim : shape_.dim};
    }

    void check(const Step& step) const {
        const auto all = [](const std::vector<bool>& has) { return std::find(has.begin(), has.end(), false) == has.end(); };
        require(has_norm_ && has_rope_ && embedding_.is_valid() && all(has_norms_) && all(has_linear_), "weights are missing");
        for (int i = 0; i < step.n_tokens; ++i)
            require(step.tokens[i] >= 0 && step.tokens[i] < shape_.vocab_size, "a token is outside of the vocabulary");
        for (int i = 0; i < step.n_rows; ++i)
            require(step.rows[i] >= (i ? step.rows[i - 1] + 1 : 0) && step.rows[i] < step.n_tokens, "rows must ascend");
        int64_t sum = 0;
        for (int run = 0; run < step.n_runs; ++run) {
            const int64_t count = step.counts[run], start = step.starts[run], end = start + count;
            require(count >= 1 && start >= 0 && end <= shape_.max_seq_len, "a run is outside of the context");
            const int64_t blocks = (end + BLOCK_POSITIONS - 1) / BLOCK_POSITIONS;
            require(blocks <= step.table_width, "a table has too few blocks");
            for (int64_t i = 0; i < blocks; ++i) {
                const int32_t block = step.tables[run * step.table_width + i];
                require(block >= 0 && block < step.cache->n_blocks(), "no such block");
            }
            sum += count;
        }
        require(sum == step.n_tokens && sum > 0, "counts must add up to the tokens");
    }

    Shape shape_;
    Transformer transformer_;
    Given embedding_;
    bool has_norm_ = false, has_rope_ = false;
    std::vector<bool> has_linear_, has_norms_;
};

Cache make_cache(const Core& core, int n_blocks, const std::string& type) {
    require(n_blocks >= 1, "a cache needs a block");
    require(type == "float16" || type == "int8", "a cache is float16 or int8");
    return Cache(core.shape(), n_blocks, type == "int8" ? CacheType::int8 : CacheType::float16);
}

void copy_block(Cache& cache, int source, int target) {
    require(source >= 0 && source < cache.n_blocks() && target >= 0 && target < cache.n_blocks(), "no such block");
    if (source != target) cache.copy(source, target);
}

int sample_row(const Given& logits, double temperature, int top_k, double min_p, double top_p, double point) {
    const float* row = elements<const float>(logits, 1, "logits must be float32 in one row");
    require(logits.size() > 0, "there must be a logit");
    require(temperature > 0 && top_k >= 0 && min_p >= 0 && min_p <= 1 && top_p > 0 && top_p <= 1 && point >= 0 && point < 1,
            "a setting of sampling is outside its range");
    const size_t n = logits.size();
    require(std::all_of(row, row + n, [](float x) { return x < std::numeric_limits<float>::infinity(); }) &&
                std::any_of(row, row + n, [](float x) { return x > -std::numeric_limits<float>::infinity(); }),
            "logits must be numbers below infinity, not all of them minus infinity");
    return sample(row, n, temperature, top_k, min_p, top_p, point);
}

}  // namespace
}  // namespace tritcoder

NB_MODULE(_native, m) {
    using namespace tritcoder;
    m.doc() = "Ternary inference: kernels, threads, cache (see native/).";
    m.attr("BLOCK_POSITIONS") = BLOCK_POSITIONS;
    m.def("kernels", [] {
        std::vector<std::string> names;
        for (const Kernels* one : usable_kernels()) names.push_back(one->name);
        return names;
    }, "Names of the kernels that this processor can run, best first.");
    m.def("sample", &sample_row, "logits"_a, "temperature"_a, "top_k"_a, "min_p"_a, "top_p"_a, "point"_a);
    nb::class_<Cache>(m, "Cache")
        .def("__init__", [](Cache* self, const Core& core, int n, const std::string& type) {
            new (self) Cache(make_cache(core, n, type));
        }, "core"_a, "n_blocks"_a, "type"_a)
        .def_prop_ro("n_blocks", &Cache::n_blocks)
        .def_prop_ro("block_bytes", &Cache::block_bytes)
        .def("copy", &copy_block, "source"_a, "target"_a);
    nb::class_<Core>(m, "Core")
        .def(nb::init<int, int, int, int, int, int, int, int, float, const std::string&, bool, int, const std::string&>(),
             "vocab_size"_a, "dim"_a, "n_layers"_a, "n_heads"_a, "n_kv_heads"_a, "head_dim"_a, "hidden_dim"_a,
             "max_seq_len"_a, "norm_eps"_a, "hidden_act"_a, "ternary"_a, "threads"_a, "kernel"_a)
        .def_prop_ro("kernel", [](Core& self) { return std::string(self.transformer().kernels().name); })
        .def_prop_ro("threads", [](Core& self) { return self.transformer().threads(); })
        .def_prop_ro("weight_bytes", [](Core& self) { return self.transformer().weight_bytes(); })
        .def("set_ternary", &Core::set_ternary, "layer"_a, "name"_a, "layout"_a, "data"_a, "scale"_a)
        .def("set_float", &Core::set_float, "layer"_a, "name"_a, "layout"_a, "data"_a)
        .def("set_norms", &Core::set_norms)
        .def("set_embedding", &Core::set_embedding, "layout"_a, "data"_a)
        .def("set_norm", &Core::set_norm)
        .def("set_rope", &Core::set_rope)
        .def("forward", &Core::forward, "cache"_a, "tokens"_a, "counts"_a, "starts"_a, "tables"_a, "rows"_a, "logits"_a);
}
