// Bicubic interpolation with antialiasing along an axis: in the fixed point, and of the bytes, of Pillow's
// `Image.resize` for 8 bits a channel.
#pragma once

#include <cstdint>

#include "memory.hpp"
#include "program.hpp"

namespace lutra {

struct Span {
    int begin, end;  // the end excluded

    int size() const { return end - begin; }
};

class Bicubic {
  public:
    // For the outputs `wanted` of an axis of `from` pixels that becomes one of `to`.
    Bicubic(int from, int to, const Span& wanted);
    // The inputs that they read.
    const Span& reads() const { return reads_; }
    // `from` holds the inputs `reads` along the axis, and `to` takes the outputs `wanted`.
    void columns(const Image& from, const Image& to, int threads) const;
    void rows(const Image& from, const Image& to, int threads) const;

  private:
    struct Output {
        int first, count;    // the inputs, from the first that is read
        std::size_t weight;  // where their weights begin
    };

    Span reads_;
    Vector<Output> outputs_;
    Vector<std::int32_t> weights_;
};

}  // namespace lutra
