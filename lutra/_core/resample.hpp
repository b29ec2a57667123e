// Resampling with a kernel for every pixel (LeRF): see lutra/reference/resampling.py for what it computes. Every
// operation on real numbers is in kernel/resample_plain.hpp and resample_vector.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "program.hpp"
#include "resample_kernels.hpp"

namespace lutra {

// Planes at the size of the input, [channel][pixels and the kernel's three][row][column].
struct ResampleInput {
    const std::uint8_t* data;
    int height, width, channels;

    const std::uint8_t* plane(int channel, int number) const {
        return data + (std::size_t{4} * channel + number) * height * width;
    }
};

// The same in float64, for training: [image][pixels and the kernel's three][row][column].
struct RealInput {
    const double* data;
    int images, height, width;

    const double* row(int image, int plane, int row) const {
        return data + ((static_cast<std::ptrdiff_t>(image) * 4 + plane) * height + row) * width;
    }
};

// The gradient of means, and where that of the planes goes, 0 at first.
struct RealGradient {
    const double *means, *gradient;
    double* planes;
};

// Where the outputs along an axis lie: their first neighbours, -1..size - 1 and never decreasing, and how far from it.
struct GridAxis {
    const std::int32_t* first;
    const double* distance;
    int count;
};

// Where outputs of no grid lie: first neighbours in both directions, anywhere, and how far from them.
struct Points {
    const std::int32_t *top, *left;
    const double *down, *across;
    int height, width;
};

class Resampler {
  public:
    // replicate: whether pixels next to the border repeat it; else all outside are 0.
    Resampler(const KernelNumbers& numbers, bool replicate, const Kernels& kernels)
        : numbers_(numbers), replicate_(replicate), kernels_(kernels) {}
    // output: rows.count x columns.count, incomplete if `watch` ends it. Several threads may call it at once.
    void grid(const ResampleInput& input, const GridAxis& rows, const GridAxis& columns, const Image& output,
              int threads, Watch& watch) const;
    void points(const ResampleInput& input, const Points& points, const Image& output, int threads, Watch& watch) const;
    // The means of a grid's outputs, not rounded: [image][row][column]. No level changes them, nor the threads.
    void means(const RealInput& input, const GridAxis& rows, const GridAxis& columns, double* out, int threads) const;
    void slopes(const RealInput& input, const GridAxis& rows, const GridAxis& columns, const RealGradient& wanted,
                int threads) const;

  private:
    KernelNumbers numbers_;
    bool replicate_;
    const Kernels& kernels_;
};

}  // namespace lutra
