// The cache and attention: every kernel against docs/engine.md written out, among memory full of what is not to be read.
#include <memory>

#include "check.h"
#include "dispatch.h"
#include "longhand.h"

namespace tritcoder::tests {
namespace {

using Vectors = std::vector<std::vector<float>>;

// One head's positions in blocks that lie in no order, each an allocation of its own.
struct Head {
    AttentionLayout layout;
    std::vector<std::unique_ptr<uint8_t[]>> memory;
    std::vector<uint8_t*> blocks;

    Head(CacheType type, int width, int length) : layout{type, width} {
        for (int j = 0; j < length; j += BLOCK_POSITIONS) {
            memory.push_back(std::make_unique<uint8_t[]>(layout.head_bytes()));
            std::memset(memory.back().get(), 0xff, layout.head_bytes());  // NaN as float16 and as float
            blocks.push_back(memory.back().get());
        }
    }
    HeadBlock at(int position) const { return layout.at(blocks[size_t(position / BLOCK_POSITIONS)]); }
};

// What the cache gives back of a vector, and its scale where it has one.
std::vector<float> rounded(const std::vector<float>& x, CacheType type, std::vector<float>& scales) {
    std::vector<float> out(x.size());
    if (type == CacheType::float16) {
        for (size_t d = 0; d < x.size(); ++d) out[d] = float(longhand::nearest_half(x[d]));
        return out;
    }
    const auto levels = longhand::levels(x.data(), int(x.size()));
    for (size_t d = 0; d < x.size(); ++d) out[d] = float(levels.levels[d]);
    scales.push_back(levels.scale);
    return out;
}

Vectors first(const Vectors& all, int n) { return Vectors(all.begin(), all.begin() + n); }
std::vector<float> first(const std::vector<float>& all, int n) {
    return all.empty() ? all : std::vector<float>(all.begin(), all.begin() + n);
}

void check_attention(const Kernels& kernels, CacheType type, int width, int count, int longest, float size, Random& random) {
    Head head(type, width, longest);
    Vectors keys, values;
    std::vector<float> key_scales, value_scales;
    for (int j = 0; j < longest; ++j) {
        auto key = random.normals(size_t(width)), value = random.normals(size_t(width));
        for (float& one : key) one *= size;
        kernels.store(head.layout, head.at(j), j % BLOCK_POSITIONS, key.data(), value.data());
        keys.push_back(rounded(key, type, key_scales));
        values.push_back(rounded(value, type, value_scales));
    }
    Queries queries{};
    queries.count = count;
    queries.stride = (longest + GROUP - 1) / GROUP * GROUP;
    std::vector<float> scores(size_t(count * queries.stride));
    queries.scores = scores.data();
    Vectors vectors, out;
    for (int q = 0; q < count; ++q) {
        vectors.push_back(random.normals(size_t(width)));
        out.emplace_back(size_t(width));
        queries.lengths[q] = std::max(1, longest - (count - 1 - q) / random.between(1, 2));
    }
    std::sort(queries.lengths, queries.lengths + count);
    for (int q = 0; q < count; ++q) {
        queries.vectors[q] = vectors[size_t(q)].data();
        queries.out[q] = out[size_t(q)].data();
    }
    kernels.attend(head.layout, head.blocks.data(), queries);
    for (int q = 0; q < count; ++q) {
        const int n = queries.lengths[q];
        const auto expected = longhand::attention(vectors[size_t(q)], first(keys, n), first(values, n), first(key_scales, n),
                                                  first(value_scales, n));
        CHECK(same(out[size_t(q)], expected), std::string(kernels.name) + (type == CacheType::int8 ? " int8" : " float16") +
                                                  ", width " + text(width) + ", query " + text(q) + " of " + text(count) +
                                                  ", length " + text(n) + " of " + text(longest));
    }
}

// Numbers of every size must go into the cache and out of it, to the same bits in every kernel.
void check_extremes(const Kernels& kernels, CacheType type, Random& random) {
    constexpr int width = 32, longest = 40;
    for (float size : {1e-42f, 1e-7f, 7e4f, 3e38f, INFINITY, NAN}) {
        Head ours(type, width, longest), theirs(type, width, longest);
        std::vector<float> out[2], scores(48);
        const auto query = random.normals(width);
        for (int j = 0; j < longest; ++j) {
            auto key = random.normals(width), value = random.normals(width);
            for (size_t d = 0; d < width; ++d) key[d] *= d % 3 ? 1.0f : size, value[d] *= d % 5 ? 1.0f : size;
            kernels.store(ours.layout, ours.at(j), j % BLOCK_POSITIONS, key.data(), value.data());
            reference_kernels.store(theirs.layout, theirs.at(j), j % BLOCK_POSITIONS, key.data(), value.data());
        }
        const bool is_number = size == size;  // of a NaN only that it is one is laid down
        for (size_t block = 0; block < ours.blocks.size(); ++block)
            CHECK(!is_number || !std::memcmp(ours.blocks[block], theirs.blocks[block], ours.layout.head_bytes()),
                  std::string(kernels.name) + ".store");
        for (int side = 0; side < 2; ++side) {
            out[side].resize(width);
            Queries queries{};
            queries.count = 1, queries.vectors[0] = query.data(), queries.lengths[0] = longest;
            queries.out[0] = out[side].data(), queries.scores = scores.data(), queries.stride = 48;
            (side ? reference_kernels : kernels).attend(ours.layout, (side ? theirs : ours).blocks.data(), queries);
        }
        CHECK(same(out[0], out[1]), std::string(kernels.name) + ".attend, size " + std::to_string(size));
    }
}

}  // namespace

void test_attention() {
    Random random(3);
    for (const Kernels* kernels : usable_kernels())
        for (CacheType type : {CacheType::float16, CacheType::int8}) {
            for (int length = 1; length <= 100; ++length)
                check_attention(*kernels, type, 16 * random.between(1, 8), random.between(1, MAX_QUERIES), length,
                                random.one_of({0.1f, 1.0f, 30.0f}), random);
            for (int width = 16; width <= 128; width += 16)
                for (int count = 1; count <= MAX_QUERIES; ++count)
                    check_attention(*kernels, type, width, count, random.between(1, 100), 1.0f, random);
            check_extremes(*kernels, type, random);
        }
}

}  // namespace tritcoder::tests
