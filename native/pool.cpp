#include "pool.h"

#include <chrono>
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace tritcoder {
namespace {

constexpr int INDEX_BITS = 20;
constexpr uint64_t INDEX_MASK = (uint64_t(1) << INDEX_BITS) - 1;
constexpr auto SPIN_TIME = std::chrono::microseconds(150);  // longer than what lies between two tokens
constexpr int SPINS_BETWEEN_CLOCKS = 64;
constexpr int SPINS_BEFORE_YIELD = 2000;

uint64_t pack(uint32_t epoch, uint64_t end, uint64_t next) {
    return uint64_t(epoch) << (2 * INDEX_BITS) | end << INDEX_BITS | next;
}

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(_M_ARM64)
    __yield();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

Pool::Pool(int threads) : shares_(size_t(threads < 1 ? 1 : threads)) {
    try {
        for (int thread = 1; thread < size(); ++thread) threads_.emplace_back([this, thread] { serve(thread); });
    } catch (...) {  // the system gives no more threads: those that run must end before their objects do
        stop();
        throw;
    }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
    stopping_.store(true);
    epoch_.fetch_add(1);
    epoch_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void Pool::run(int n, Call call, const void* work) {
    call_ = call;
    work_ = work;
    remaining_.store(n, std::memory_order_relaxed);
    const uint32_t epoch = (epoch_.load(std::memory_order_relaxed) + 1) & 0xffffff;
    for (int t = 0; t < size(); ++t) {
        const auto from = uint64_t(int64_t(n) * t / size()), to = uint64_t(int64_t(n) * (t + 1) / size());
        shares_[size_t(t)].cursor.store(pack(epoch, to, from), std::memory_order_release);
    }
    epoch_.store(epoch);  // sequentially consistent, as is what a sleeper does: one of the two sees the other
    if (sleepers_.load()) epoch_.notify_all();
    if (const int done = take_all(0, epoch)) remaining_.fetch_sub(done, std::memory_order_acq_rel);
    for (int spins = 0; remaining_.load(std::memory_order_acquire) != 0; ++spins) {
        if (spins < SPINS_BEFORE_YIELD) pause();
        else std::this_thread::yield();  // somebody was put aside with a chunk in his hands: let him have this core
    }
}

int Pool::take_all(int thread, uint32_t epoch) {
    int done = take(shares_[size_t(thread)], thread, epoch);
    for (int step = 1; step < size(); ++step) done += take(shares_[size_t((thread + step) % size())], thread, epoch);
    return done;
}

// A chunk is had by advancing the cursor of its share while it is still of this epoch. Whoever succeeds keeps the epoch from
// ending until he is done, so the work that belongs to it is still there to be read.
int Pool::take(Share& share, int thread, uint32_t epoch) {
    int done = 0;
    uint64_t cursor = share.cursor.load(std::memory_order_acquire);
    for (;;) {
        const uint64_t next = cursor & INDEX_MASK, end = (cursor >> INDEX_BITS) & INDEX_MASK;
        if (uint32_t(cursor >> (2 * INDEX_BITS)) != epoch || next >= end) return done;
        if (!share.cursor.compare_exchange_weak(cursor, cursor + 1, std::memory_order_acq_rel, std::memory_order_acquire))
            continue;
        ++cursor;
        call_(work_, int(next), thread);
        ++done;
    }
}

void Pool::serve(int thread) {
    uint32_t seen = 0;
    for (;;) {
        if (!wait_for_work(seen)) return;
        seen = epoch_.load(std::memory_order_acquire);
        if (const int done = take_all(thread, seen)) remaining_.fetch_sub(done, std::memory_order_acq_rel);
    }
}

bool Pool::wait_for_work(uint32_t seen) {
    auto deadline = std::chrono::steady_clock::time_point();
    for (int spins = 1; epoch_.load(std::memory_order_acquire) == seen; ++spins) {
        if (stopping_.load(std::memory_order_relaxed)) return false;
        pause();
        if (spins % SPINS_BETWEEN_CLOCKS) continue;
        const auto now = std::chrono::steady_clock::now();
        if (deadline == std::chrono::steady_clock::time_point()) deadline = now + SPIN_TIME;
        if (now < deadline) continue;
        sleepers_.fetch_add(1);
        epoch_.wait(seen);
        sleepers_.fetch_sub(1);
        deadline = {};
    }
    return !stopping_.load(std::memory_order_relaxed);
}

}  // namespace tritcoder
