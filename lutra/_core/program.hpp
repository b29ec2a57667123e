// What the engine runs: a model compiled for a level of kernels, and the memory of one thread that runs it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels.hpp"
#include "pool.hpp"

namespace lutra {

// Rows of interleaved 8-bit channels, `stride` bytes apart.
struct Image {
    std::uint8_t* data;
    int height, width, channels;
    std::ptrdiff_t stride;

    std::uint8_t* at(int row, int column) const { return data + row * stride + std::ptrdiff_t{column} * channels; }
};

// Copies pixels of a row to a line for each channel; gray is every colour.
inline void read_pixels(const Kernels& kernels, const Image& image, int row, int column, int count, int channels,
                        std::uint8_t* const* lines) {
    kernels.split_line(image.at(row, column), image.channels, count, lines);
    for (int channel = image.channels; channel < channels; ++channel) std::copy_n(lines[0], count, lines[channel]);
}

// Writes pixels of a row from a line for each channel; gray is the mean of three colours, halves cannot occur.
inline void write_pixels(const Kernels& kernels, const Image& image, int row, int column, int count, int channels,
                         const std::uint8_t* const* lines) {
    std::uint8_t* pixels = image.at(row, column);
    if (image.channels == channels) return kernels.join_line(lines, channels, count, pixels);
    for (int i = 0; i < count; ++i)
        pixels[i] = static_cast<std::uint8_t>((lines[0][i] + lines[1][i] + lines[2][i] + 1) / 3);
}

struct Rectangle {
    int top, bottom, left, right;  // ends excluded
};

// The memory in which one thread restores rectangles of images.
class Worker {
  public:
    virtual ~Worker() = default;
    virtual bool fits(int channels, int width) const = 0;
    // Stops between rows once `watch` is over.
    virtual void restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                         Watch& watch) = 0;
};

// A checked model, read-only once it is prepared.
class Program {
  public:
    virtual ~Program() = default;
    virtual int scale() const = 0;
    virtual int colours() const { return 1; }  // channels that are restored together
    virtual int margin() const = 0;            // how far around a pixel its result reads the input
    virtual int outputs() const { return 0; }  // the planes that are its result, of each channel; 0 for an image
    // Lay tables out as the kernels read them.
    virtual void prepare(const Kernels& kernels) = 0;
    // For rectangles of at most that width; it must not outlive the program.
    virtual std::unique_ptr<Worker> worker(int channels, int width) const = 0;
};

}  // namespace lutra
