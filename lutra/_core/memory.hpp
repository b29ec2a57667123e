// Where the memory of models and of restoring comes from: tables, planes and what threads work in. A caller of the C
// library may bring its own; bookkeeping and what lives only while a model is loaded come from C++.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace lutra {

struct MemorySource {
    void* (*allocate)(std::size_t size, std::size_t alignment, void* context);
    void (*release)(void* memory, std::size_t size, std::size_t alignment, void* context);
    void* context;
};

extern MemorySource memory_source;  // to be changed only while nothing holds memory

inline constexpr std::size_t kAlignment = 64;  // of the widest vectors

// Sizes are multiples of the alignment. `take_memory` and `aligned_size` throw std::bad_alloc.
void* take_memory(std::size_t size);
void give_memory(void* memory, std::size_t size) noexcept;

inline std::size_t aligned_size(std::size_t size) {
    if (size > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
    return size < kAlignment ? kAlignment : (size + kAlignment - 1) / kAlignment * kAlignment;
}

// For the standard library's containers.
template <class T>
struct Allocator {
    using value_type = T;

    Allocator() = default;
    template <class Other>
    Allocator(const Allocator<Other>&) {}

    T* allocate(std::size_t count) {
        if (count > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T)) throw std::bad_alloc();
        return static_cast<T*>(take_memory(aligned_size(count * sizeof(T))));
    }
    void deallocate(T* memory, std::size_t count) noexcept { give_memory(memory, aligned_size(count * sizeof(T))); }
    bool operator==(const Allocator&) const { return true; }
};

template <class T>
using Vector = std::vector<T, Allocator<T>>;

// A base of large objects.
struct Large {
    static void* operator new(std::size_t size, std::align_val_t) { return take_memory(aligned_size(size)); }
    static void operator delete(void* memory, std::size_t size, std::align_val_t) noexcept {
        give_memory(memory, aligned_size(size));
    }
};

}  // namespace lutra
