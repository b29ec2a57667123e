// What a set of kernels offers for sums of one-dimensional tables. Pointers are at the first pixel of a flat range;
// kernels work on whole chunks and may read and write up to one beyond it.
#pragma once

#include "sums.hpp"

namespace lutra {

struct SumsForward {
    const std::int8_t* const* read = nullptr;   // [output][input]
    const std::uint8_t* tables = nullptr;       // [output][input][64], 128 more than their values
    const std::int8_t* const* added = nullptr;  // [output][adds]
    std::int8_t* const* out = nullptr;          // [output]
    std::uint8_t* const* passed = nullptr;      // [output]: whether the clip changed nothing; or null
    int inputs = 0, outputs = 0, adds = 0;
    std::ptrdiff_t count = 0;
    Quotient quotient;
    int low = 0, high = 0;
};

// A layer in which every output sees every input.
struct DenseBackward {
    const std::int8_t* const* read = nullptr;  // [input]
    const float* const* gradient = nullptr;    // [output]
    const float* slopes = nullptr;             // [block of 16 outputs][input][64][16]; null: inputs get no gradient
    float* table_gradient = nullptr;           // the same shape
    float* const* read_gradient = nullptr;     // [input]
    int inputs = 0, outputs = 0, blocks = 0;
    float scale = 1;  // of the gradient
    std::ptrdiff_t count = 0;
};

// One channel of a depthwise layer, up to 16 of its taps: `count` pixels that are read, borders among them.
struct OwnBackward {
    const std::int8_t* read = nullptr;
    const float* gradient = nullptr;
    const float* slopes = nullptr;  // [64][16]
    float* table_gradient = nullptr;
    float* read_gradient = nullptr;
    std::ptrdiff_t runs[4] = {};  // where the outputs that see a pixel lie from it: four in a row from each
    std::ptrdiff_t count = 0;
};

struct SumsKernels {
    void (*forward)(const SumsForward&);
    void (*dense_backward)(const DenseBackward&);
    void (*own_backward)(const OwnBackward&);
};

extern const SumsKernels portable_sums;
#ifdef LUTRA_X86
extern const SumsKernels avx2_sums;
extern const SumsKernels avx512_sums;
#endif

}  // namespace lutra
