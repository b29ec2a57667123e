// See memory.hpp.
#include "memory.hpp"

#include <cstdlib>

namespace lutra {

constinit MemorySource memory_source{
    [](std::size_t size, std::size_t alignment, void*) { return std::aligned_alloc(alignment, size); },
    [](void* memory, std::size_t, std::size_t, void*) { std::free(memory); }, nullptr};

void* take_memory(std::size_t size) {
    void* memory = memory_source.allocate(size, kAlignment, memory_source.context);
    if (!memory) throw std::bad_alloc();
    return memory;
}

void give_memory(void* memory, std::size_t size) noexcept {
    if (memory) memory_source.release(memory, size, kAlignment, memory_source.context);
}

}  // namespace lutra
