// Threads: every chunk once, whatever their number, and nobody waits for somebody else's chunk.
#include "pool.h"

#include <chrono>

#include "check.h"

namespace tritcoder::tests {
namespace {

void check_every_chunk_once(Pool& pool, int n) {
    std::vector<std::atomic<int>> calls(size_t(n) + 1);
    std::atomic<int> strangers{0};
    pool.run(n, [&](int chunk, int thread) {
        if (chunk < 0 || chunk >= n || thread < 0 || thread >= pool.size()) strangers.fetch_add(1);
        else calls[size_t(chunk)].fetch_add(1, std::memory_order_relaxed);
    });
    bool once = strangers.load() == 0;
    for (int chunk = 0; chunk < n; ++chunk) once = once && calls[size_t(chunk)].load() == 1;
    CHECK(once, text(n) + " chunks, " + text(pool.size()) + " threads");
}

// A thread number is had by one thread at a time: it names the scratch memory. What chunks wrote without any lock is there
// when run returns.
void check_thread_numbers(Pool& pool, int n) {
    std::vector<std::atomic<int>> inside(size_t(pool.size()));
    std::vector<int> written(size_t(n), -1);
    std::atomic<bool> alone{true};
    pool.run(n, [&](int chunk, int thread) {
        if (inside[size_t(thread)].fetch_add(1) != 0) alone.store(false);
        written[size_t(chunk)] = 3 * chunk;
        inside[size_t(thread)].fetch_sub(1);
    });
    bool whole = true;
    for (int chunk = 0; chunk < n; ++chunk) whole = whole && written[size_t(chunk)] == 3 * chunk;
    CHECK(alone.load() && whole, text(n) + " chunks, " + text(pool.size()) + " threads");
}

// One chunk ends only when all the others have: if any of them waited for it, this would go on for ever.
void check_a_slow_chunk_holds_up_no_other(Pool& pool, int n, int slow) {
    std::atomic<int> done{0};
    std::atomic<bool> in_time{true};
    pool.run(n, [&](int chunk, int) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (chunk == slow && done.load() < n - 1) {
            std::this_thread::sleep_for(std::chrono::microseconds(200));
            if (std::chrono::steady_clock::now() > deadline) in_time.store(false), done.store(n);
        }
        done.fetch_add(1);
    });
    CHECK(in_time.load(), "chunk " + text(slow) + " of " + text(n) + ", " + text(pool.size()) + " threads");
}

// Work of a run reads what the run before it wrote.
void check_runs_follow_one_another(Pool& pool, int runs, Random& random) {
    std::vector<int64_t> from(64, 1), to(64);
    std::vector<int64_t> expected = from;
    for (int run = 0; run < runs; ++run) {
        const int n = random.between(1, 64), by = run % 7 + 1;
        pool.run(n, [&](int chunk, int) { to[size_t(chunk)] = (from[size_t(63 - chunk)] * by + chunk) % 1000003; });
        const auto before = expected;
        for (int chunk = 0; chunk < n; ++chunk)
            expected[size_t(chunk)] = (before[size_t(63 - chunk)] * by + chunk) % 1000003;
        for (int chunk = n; chunk < 64; ++chunk) to[size_t(chunk)] = from[size_t(chunk)];
        std::swap(from, to);
        if (run % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // long enough to fall asleep
    }
    CHECK(from == expected, text(runs) + " runs, " + text(pool.size()) + " threads");
}

void check_pools_side_by_side() {
    std::atomic<int> total{0};
    std::vector<std::thread> owners;
    for (int owner = 0; owner < 3; ++owner)
        owners.emplace_back([&] {
            Pool pool(3);
            for (int run = 0; run < 200; ++run) pool.run(7, [&](int, int) { total.fetch_add(1); });
        });
    for (auto& owner : owners) owner.join();
    CHECK(total.load() == 3 * 200 * 7, text(total.load()));
}

// A chunk may use a pool of its own.
void check_nested_pools() {
    Pool outer(3);
    std::atomic<int> total{0};
    outer.run(5, [&](int, int) {
        Pool inner(2);
        inner.run(4, [&](int, int) { total.fetch_add(1); });
    });
    CHECK(total.load() == 20, text(total.load()));
}

}  // namespace

void test_pool() {
    Random random(6);
    for (int threads : {1, 2, 3, 4, 7, 16}) {
        Pool pool(threads);
        CHECK(pool.size() == threads, text(threads));
        for (int n = 0; n <= 40; ++n) check_every_chunk_once(pool, n);
        for (int n : {100, 1000, 4097}) {
            check_every_chunk_once(pool, n);
            check_thread_numbers(pool, n);
        }
        check_runs_follow_one_another(pool, 2000, random);
        if (threads > 1)
            for (int slow = 0; slow < 9; ++slow) check_a_slow_chunk_holds_up_no_other(pool, 9, slow);
    }
    for (int n : {1 << 20, (1 << 20) + 1}) {  // more than a cursor's twenty bits hold
        Pool pool(3);
        check_every_chunk_once(pool, n);
    }
    CHECK(Pool(0).size() == 1 && Pool(-3).size() == 1, "a pool has its caller");
    for (int pools = 0; pools < 200; ++pools) {
        Pool pool(random.between(1, 6));
        for (int runs = random.below(3); runs > 0; --runs) check_every_chunk_once(pool, random.below(20));
    }
    check_pools_side_by_side();
    check_nested_pools();
}

}  // namespace tritcoder::tests
