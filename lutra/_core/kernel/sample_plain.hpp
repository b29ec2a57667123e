// AutoSample's weighted means in fixed point, one pixel after the other.
#pragma once

#include "../kernels.hpp"

namespace lutra {

static inline void sample_plain(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x,
                                std::uint16_t (*taps)[kChunk]) {
    const int shift = kWeightBits - tap_bits;
    for (int tap = 0; tap < 4; ++tap) {
        std::int32_t sums[kChunk] = {};
        const std::int16_t* weight = unit.weights.data() + tap * unit.kernel * unit.kernel;
        for (int row = 0; row < unit.kernel; ++row)
            for (int column = 0; column < unit.kernel; ++column) {
                int dy = row, dx = column;
                turn(rotation, dy, dx);
                const std::uint8_t* line = lines[kMaxReach + dy] + x + dx;
                const std::int32_t w = *weight++;
                for (int i = 0; i < kChunk; ++i) sums[i] += w * line[i];
            }
        for (int i = 0; i < kChunk; ++i)
            taps[tap][i] = static_cast<std::uint16_t>((sums[i] + (1 << (shift - 1))) >> shift);
    }
}

}  // namespace lutra
