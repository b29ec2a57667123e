// Layers in the form of rows: the loop over chunks of pixels and groups of 16 outputs, for any set of instructions.
#pragma once

#include <algorithm>

#include "vectors_plain.hpp"

namespace lutra {

// offsets[input][pixel]: bytes to the row of a pixel's value.
inline void row_offsets(const LayerCall& call, int row, int x, std::uint16_t (*offsets)[kChunk]) {
    const auto bytes = static_cast<std::uint16_t>(2 * call.packed->width);
    for (int input = 0; input < call.layer->inputs; ++input) {
        const std::uint8_t* pixels = call.input(row, input) + x;
        for (int i = 0; i < kChunk; ++i)
            offsets[input][i] = static_cast<std::uint16_t>((pixels[i] & (kLevels - 1)) * bytes);
    }
}

// Rows: kPixels, Division, divided() for kPixels pixels and 16 outputs, and finish() for a chunk of an output.
template <class Rows>
void run_rows(const LayerCall& call) {
    alignas(64) std::uint16_t offsets[kMostIndices][kChunk];
    alignas(64) std::uint8_t quotients[16][kChunk];
    const typename Rows::Division divide(*call.packed, call.layer->divisor * call.layer->denominator);
    for (int row = 0; row < call.rows; ++row)
        for (int x = 0; x < call.count; x += kChunk) {
            row_offsets(call, row, x, offsets);
            for (int first = 0; first < call.outputs; first += 16) {
                for (int i = 0; i < kChunk; i += Rows::kPixels)
                    Rows::divided(call, offsets[0] + i, first, divide, quotients[0] + i);
                for (int output = first; output < std::min(first + 16, call.outputs); ++output)
                    Rows::finish(call, row, output, x, quotients[output - first]);
            }
        }
}

}  // namespace lutra
