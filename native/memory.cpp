#include "memory.h"

#include <new>
#include <utility>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#else
#include <windows.h>
#endif

namespace tritcoder {

#if defined(__unix__) || defined(__APPLE__)

namespace {
constexpr size_t HUGE_PAGE = size_t(2) << 20;
}

Memory::Memory(size_t size) : size_(size) {
    if (!size) return;
    void* place = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<uint8_t*>(place);
#ifdef MADV_HUGEPAGE
    if (size >= 2 * HUGE_PAGE) madvise(place, size, MADV_HUGEPAGE);
#endif
}

Memory::~Memory() {
    if (data_) munmap(data_, size_);
}

#else

Memory::Memory(size_t size) : size_(size) {
    if (!size) return;
    data_ = static_cast<uint8_t*>(VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    if (!data_) throw std::bad_alloc();
}

Memory::~Memory() {
    if (data_) VirtualFree(data_, 0, MEM_RELEASE);
}

#endif

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

}  // namespace tritcoder
