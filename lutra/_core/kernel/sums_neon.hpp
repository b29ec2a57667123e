// The pieces of sums.hpp with NEON: a vector of 64 bytes is four registers, which one instruction looks up.
#pragma once

#include <arm_neon.h>

#include "neon.hpp"
#include "sums.hpp"
#include "vectors_neon.hpp"

namespace lutra {

struct NeonSums : PlainSums<Neon> {
    static void look_up(const std::int8_t* const* inputs, const std::uint8_t* tables, int count, std::uint16_t* sums) {
        uint16x8_t low[4], high[4];
        for (int i = 0; i < 4; ++i) low[i] = high[i] = vdupq_n_u16(0);
        for (int t = 0; t < count; ++t) {
            const NeonBytes::Table<false> table(tables + t * kLevels);
            for (int i = 0; i < 4; ++i) {
                const auto* pixels = reinterpret_cast<const std::uint8_t*>(inputs[t]) + 16 * i;
                const auto found = (uint8x16_t)table.look(NeonBytes::index(pixels));
                low[i] = vaddw_u8(low[i], vget_low_u8(found));
                high[i] = vaddw_high_u8(high[i], found);
            }
        }
        for (int i = 0; i < 4; ++i) {
            vst1q_u16(sums + 16 * i, low[i]);
            vst1q_u16(sums + 16 * i + 8, high[i]);
        }
    }
};

}  // namespace lutra
