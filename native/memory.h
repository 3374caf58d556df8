// Large memory, aligned for vectors, in huge pages where the system has them; pages that are not touched cost nothing.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tritcoder {

class Memory {
   public:
    Memory() = default;
    explicit Memory(size_t size);  // zeros; throws std::bad_alloc
    ~Memory();
    Memory(Memory&& other) noexcept;
    Memory& operator=(Memory&& other) noexcept;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    uint8_t* data() const { return data_; }
    size_t size() const { return size_; }

   private:
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace tritcoder
