// A model of sums of one-dimensional tables as the engine runs it: operations over planes of channels, the rotations
// already written out. Built and checked once, then read-only.
#pragma once

#include <cstdint>
#include <vector>

#include "plan.hpp"

namespace lutra {

inline constexpr int kLevels = 64;        // values that index a table: their low six bits do
inline constexpr int kMostChannels = 64;  // of a plane
inline constexpr int kMostInputs = 1024;  // vectors added up by a layer
inline constexpr int kMostIndices = 64;   // ... that packed forms share between all outputs

inline constexpr int kRowsAtOnce = 4;  // of an operation, at most: a table that was loaded serves all of them
inline constexpr int kBlockRows = 16;  // that a chain of operations writes before the next chain runs

// How a layer's vectors are laid out for kernels, from the most general form to the fastest.
// - plain: the entries themselves.
// - words: bytes, summed in bytes as far as they cannot overflow, then in 16 bits.
// - rows: the entries of all outputs of a value side by side, in 16 bits, in which they are summed.
// - carries: bytes, summed modulo 256; what wrapped is counted after as many lookups as cannot wrap twice.
enum class Form { plain, words, rows, carries };

// One-dimensional tables, one for each input of each output. An output is the sum of its inputs' entries, divided and
// rounded half to even.
struct Layer {
    int inputs = 1, outputs = 1, low = 0, levels = 1;
    int denominator = 1;  // entries are multiples of 1 / denominator
    int divisor = 1;
    bool shared = true;            // whether all outputs have the same inputs
    Vector<std::int16_t> entries;  // [input][output][level]

    int entry(int input, int output, int level) const { return entries[(input * outputs + output) * levels + level]; }
};

// Lookups whose bytes are added up without overflow: `sizes` of the groups, and their terms one after another.
struct Groups {
    std::vector<std::uint16_t> terms;
    std::vector<std::uint8_t> sizes;
    std::size_t tables = 0;  // where those of the terms begin, 64 bytes each
};

// A layer as kernels read it: an output adds up `terms` lookups by the low six bits of an index.
struct Packed {
    struct Output {
        int first = 0;           // what the sum starts with
        int whole = 0;           // what is added to the quotient
        Groups high, fractions;  // words
    };

    Form form = Form::plain;
    int terms = 0;
    int combined = 1, bits = 6;  // the inputs that one index is made of, and the bits of each
    bool narrow = false;         // whether indices stay below 16
    bool fits = false;           // whether every quotient is an int8
    int width = 0;               // plain, rows: entries in a row, or 0 for [output][input][64]
    bool short_sums = false;     // plain: whether sums fit 16 bits
    // words: x / divisor = x * magic >> 16 >> shift, or x >> shift where magic is 0; rows: x / (divisor * denominator);
    // carries: as words, and there is no shift where the divisor is odd
    int magic = 0, shift = 0;
    int fraction_bits = 0;              // words: of the denominator
    AlignedArray<std::int16_t> rows;    // plain, rows: [input][64][width], or [output][input][64]
    AlignedArray<std::int16_t> starts;  // rows: what the sums start with, [width], and what quotients are short by
    AlignedArray<std::uint8_t> tables;  // words: by Groups; carries: [output][term][64]
    std::vector<std::uint8_t> ranges;   // carries: the largest entry of each of those
    std::vector<Output> outputs;
};

// In the best form that the layer fits and kernels of form `best` read. `saturates`, `cuts`: see Operation.
Packed pack(const Layer& layer, Form best, bool saturates, bool cuts);

// A channel of a plane, at an offset from the current pixel.
struct Source {
    int plane = 0, channel = 0, row = 0, column = 0;
    bool is_signed = false;  // what the plane holds
};

// - split: of each input plus `offset`, all but the low `bits` bits go to a channel of one plane, those to another one.
// - sum: a layer's outputs (if there is one) plus `adds`, clipped to low..high, one for every channel written.
// - merge: the sum over rotations, divided, rounded half to even, plus `offset` and `adds`, clipped to 0..255: output.
struct Operation {
    enum class Kind { split, sum, merge };

    Kind kind = Kind::sum;
    int layer = -1;
    std::vector<Source> inputs;  // sum: [output, unless shared][input]; merge: [colour][rotation][place in the square]
    std::vector<Source> adds;    // sum: [output][add]; merge: [colour][add] of plane 0
    std::vector<int> writes;     // split: high, low; sum: one
    int low = 0, high = 0;
    int divisor = 1, offset = 0, bits = 0, rotations = 1, upscale = 1;
    int chain = 0;               // the operations of a chain run together: what they keep stays in a cache
    bool saturates = false;      // whether adding with saturation in bytes comes to the same
    bool cuts = false;           // ... where the layer's quotient was cut at a byte's limits before
    bool adds_unsigned = false;  // whether a sum adds bytes without a sign
    int margin = 0;              // how far beyond the wanted pixels its result is needed
    int lag = 0;                 // rows it runs behind the input
};

struct LayerPlane {
    bool is_signed() const { return high <= 127; }

    int channels = 1, low = 0, high = 255;  // int8, or bytes without a sign
    int writer = -1;                        // operation
    int margin = 0;
    int pad = 0;   // columns its readers look beyond the border
    int rows = 1;  // rows kept
};

struct LayerPlan {
    int scale = 1;
    bool reflect = false;
    std::vector<LayerPlane> planes;  // plane 0 is the input; its channels, and those of the output, are colours
    std::vector<Layer> layers;
    std::vector<Packed> packed;         // of every layer, for the kernels in use
    std::vector<Operation> operations;  // the last one merges

    // Derive what depends on the whole plan, checking it; throws std::invalid_argument.
    void finish();
    // Lay every layer out in the best form that it fits, up to `best`.
    void pack_layers(Form best);
};

}  // namespace lutra
