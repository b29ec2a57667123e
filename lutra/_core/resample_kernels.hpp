// What a set of kernels offers for resampling: rows of a grid, and points anywhere.
#pragma once

#include <cstdint>

namespace lutra {

constexpr int kResampleLanes = 8;  // outputs that a kernel works on at once, at most

// The numbers of kernels, by the values of a pixel's planes, and those of the exponential (lutra/model/anysize.py).
struct alignas(64) KernelNumbers {
    double steepness[256], correlation[256], curve[256];
    double powers[16], polynomial[5];
};

// A row of the input as its kernels are read: each array begins a pixel to the left of the row and has width + 2
// pixels, the first and the last with the kernel of the nearest one, and room for kResampleLanes more.
struct ResampleLine {
    double *pixel, *curve_rows, *slope, *curve_columns;
};

// The pixels of a row and their kernel's three planes; pixels are null where all are 0.
struct LineCall {
    const KernelNumbers* numbers;
    const std::uint8_t *pixels, *planes[3];
    int width;
    bool replicate;  // whether the pixels next to the row repeat its ends
    ResampleLine line;
};

// A row of the output. Its outputs have their first neighbours at `first`, counted as in the lines. Kernels may read
// and write as many outputs as fill the last group of kResampleLanes.
struct RowCall {
    const KernelNumbers* numbers;
    ResampleLine lines[2];            // above and below
    double down;                      // how far below the first
    double *constant[2], *linear[2];  // room for the terms of the lines
    int width;
    const std::int32_t* first;
    const double* distance;
    int count;
    std::uint8_t* out;
};

// Some pixels of the output that lie anywhere.
struct PointCall {
    const KernelNumbers* numbers;
    const std::uint8_t* planes[4];
    int height, width;
    bool replicate;
    const std::int32_t *top, *left;
    const double *down, *across;
    int count;
    std::uint8_t* out;
};

struct ResampleKernels {
    void (*line)(const LineCall& call);
    void (*row)(const RowCall& call);
    void (*points)(const PointCall& call);
};

// The means of a row of outputs, not rounded; `row.out` is unused.
struct MeansCall {
    RowCall row;
    double* means;
};

// What the gradients of a row of means add to those of the lines.
struct SlopesCall {
    RowCall row;
    const double *means, *gradient;
    double* terms;  // room for two numbers of each of the four neighbours of every output
    ResampleLine sums[2];
};

// For training.
struct MeansKernels {
    void (*means)(const MeansCall& call);
    void (*slopes)(const SlopesCall& call);
};

extern const MeansKernels portable_means;
#ifdef LUTRA_X86
extern const MeansKernels avx2_means;
extern const MeansKernels avx512_means;
#endif
#ifdef LUTRA_ARM
extern const MeansKernels neon_means;
#endif

}  // namespace lutra
