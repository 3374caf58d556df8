// Threads that share the chunks of one piece of work, then wait for the next.
//
// Each thread has a static share of the chunks, whose weights stay in its own cache from token to token; who is done
// with his own takes from the others. The caller works too, and waits for chunks, never for threads: one that the operating
// system has put aside holds up nobody, unless it has a chunk in its hands. Idle threads spin for a moment, then sleep.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace tritcoder {

class Pool {
   public:
    // `threads` includes the caller's.
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int size() const { return int(shares_.size()); }

    // Calls work(chunk, thread) once for each chunk below n, on any thread; returns when all calls have. Not reentrant, one
    // caller at a time; work must not throw.
    template <class Work>
    void run(int n, const Work& work) {
        if (n == 1 || size() == 1) {
            for (int chunk = 0; chunk < n; ++chunk) work(chunk, 0);
        } else if (n <= MAX_CHUNKS) {
            if (n > 1) share(n, work);
        } else {
            for (int from = 0; from < n; from += MAX_CHUNKS)
                share(n - from < MAX_CHUNKS ? n - from : MAX_CHUNKS,
                      [&work, from](int chunk, int thread) { work(from + chunk, thread); });
        }
    }

   private:
    static constexpr int MAX_CHUNKS = 1 << 19;  // of which a cursor can tell
    template <class Work>
    void share(int n, const Work& work) {
        run(n, [](const void* self, int chunk, int thread) { (*static_cast<const Work*>(self))(chunk, thread); }, &work);
    }

    using Call = void (*)(const void* work, int chunk, int thread);
    struct alignas(64) Share {
        std::atomic<uint64_t> cursor{0};  // epoch (24 bits), end (20), next (20): see take
    };

    void run(int n, Call call, const void* work);
    void stop();
    int take_all(int thread, uint32_t epoch);
    int take(Share& share, int thread, uint32_t epoch);
    void serve(int thread);
    bool wait_for_work(uint32_t seen);

    std::vector<Share> shares_;
    std::vector<std::thread> threads_;
    alignas(64) std::atomic<uint32_t> epoch_{0};
    std::atomic<int> sleepers_{0};
    std::atomic<bool> stopping_{false};
    alignas(64) std::atomic<int> remaining_{0};
    alignas(64) Call call_ = nullptr;
    const void* work_ = nullptr;
};

}  // namespace tritcoder
