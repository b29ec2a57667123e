// What a set of kernels offers: one step over a run of pixels of one row.
#pragma once

#include <cstdint>
#include <string>

#include "ensemble.hpp"
#include "layers.hpp"
#include "resample_kernels.hpp"
#include "sums_kernels.hpp"

namespace lutra {

// Working memory of one thread, reused from row to row. Sizes: a chunk of pixels under four rotations.
struct alignas(64) Scratch : Large {
    std::uint16_t taps[4][kChunk];
    std::uint16_t taps_before[4][kChunk];
    std::uint8_t pixels[4][kChunk];
    std::uint8_t pairs[8][2 * (kChunk + 2 * kMaxReach + 2)];
    std::uint32_t place[4][5][kChunk];   // [rotation][vertex]: byte of the vertex's row
    std::uint32_t weight[4][5][kChunk];  // [rotation][vertex]
    std::uint16_t word[4][5][kChunk];    // the same in 16 bits
    std::uint32_t quad[4][2][kChunk];    // [rotation][low, high 7 bits]: weights of four vertices, a byte each
    std::uint32_t fifth[4][2][kChunk];   // the last vertex's alone, or in [0] a byte a rotation
    std::uint32_t cell[4][kChunk];       // [rotation]: byte of the cell
    std::uint16_t remainder[4][kChunk];
    std::uint8_t remainder_narrow[4][kChunk];
    std::uint16_t corner_wide[16][kChunk];
    std::uint8_t corner[2][16][kChunk];      // [low, high 7 bits][corner]
    std::uint8_t corners[4][2][kChunk][16];  // [rotation][low, high 7 bits][pixel][corner]
    const std::uint8_t* lines[64][4][4];     // [unit][rotation][tap]: a row's first pixel
    std::uint16_t numbers[4][kChunk];        // [rotation]: of the cells
    std::uint8_t last[4][kChunk];            // [rotation]: weights of the last vertices
    std::int32_t partial[4 * kChunk][4];     // [value * kChunk + pixel]: four sums each
    std::int32_t term[4 * kChunk];
    std::int32_t sum[64 * kChunk];    // of every value of every pixel, in the order of the kernel
    std::int32_t apart[64 * kChunk];  // of one unit
    std::uint8_t result[64 * kChunk];
};

// lines[plane][kMaxReach + dy] points at the first pixel of the row dy below; `out` at that of every row written:
// a plane's, or `upscale` rows of the output. Kernels may read and write up to a chunk beyond `count`.
struct StepCall {
    const Step* step;
    const std::uint8_t* const (*lines)[2 * kMaxReach + 1];
    std::uint8_t* const* out;
    int count;
    Scratch* scratch;
    int channel;

    bool has(const Unit& unit) const { return unit.colour < 0 || unit.colour == channel; }
};

// Working memory of one thread for layers.
struct alignas(64) LayerScratch : Large {
    // [row][term]: of a span of up to six vectors, in the form that a level's lookups read.
    std::uint8_t indices[kRowsAtOnce * kMostIndices * 6 * 64];
    std::int32_t sums[kChunk * kMostChannels];
    std::int16_t quotients[kChunk * kMostChannels];
};

// Where a source lies: in one of the lines that an operation reads, and how far from its first pixel.
struct Place {
    std::int32_t line, offset;
};

// Some pixels of some rows of a sum or a merge. Kernels may read and write up to a chunk beyond `count`.
struct LayerCall {
    const Operation* operation;
    const Layer* layer;  // none: the operation only adds planes
    const Packed* packed;
    const Place *inputs, *adds;        // as those of the operation; of a merge, those of a colour
    const int* window;                 // none, or the inputs of an output in 3x3 taps: [column][row]
    const std::uint8_t* const* lines;  // [row][line]: the first pixel
    std::uint8_t* const* out;          // [row]: the first pixel of the first output, or row of the image
    std::ptrdiff_t stride;             // from one output, or row of the image, to the next
    int line_count, add_count;         // of a row; of an output
    int outputs, rows, count;
    LayerScratch* scratch;

    const std::uint8_t* at(int row, const Place& place) const {
        return lines[row * line_count + place.line] + place.offset;
    }
    const std::uint8_t* input(int row, int number) const { return at(row, inputs[number]); }
    const std::uint8_t* add(int row, int number) const { return at(row, adds[number]); }
    std::uint8_t* written(int row, int output) const { return out[row] + output * stride; }
};

struct LayerKernels {
    Form best;
    void (*sum)(const LayerCall& call);
    void (*merge)(const LayerCall& call);
    void (*split)(const Operation& operation, const std::uint8_t* pixels, int count, std::uint8_t* high,
                  std::uint8_t* low);
};

// The address of kernels for training; the C library, which only restores, has none.
#ifdef LUTRA_RUNTIME
#define LUTRA_TRAINING(kernels) nullptr
#else
#define LUTRA_TRAINING(kernels) &kernels
#endif

struct Kernels {
    const char* name;
    bool cells;  // whether they read Unit::cells
    void (*run_step)(const StepCall& call);
    void (*split_line)(const std::uint8_t* pixels, int channels, int count, std::uint8_t* const* planes);
    void (*join_line)(const std::uint8_t* const* planes, int channels, int count, std::uint8_t* pixels);
    const EnsembleKernels<float>* ensemble;  // for training
    const SumsKernels* sums;                 // likewise
    LayerKernels layers;
    ResampleKernels resample;
    const MeansKernels* means;  // for training
};

extern const Kernels portable_kernels;
#ifdef LUTRA_X86
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif
#ifdef LUTRA_ARM
extern const Kernels neon_kernels;
#endif
#ifdef LUTRA_WASM
extern const Kernels wasm_kernels;
#endif

// Those of a level by its name; throws std::invalid_argument. Empty: the best that this processor runs.
const Kernels& best_kernels(const std::string& level = "");

}  // namespace lutra
