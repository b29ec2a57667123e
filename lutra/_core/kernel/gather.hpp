// A unit's taps under one rotation, for a chunk of pixels: at fixed offsets, sampled, or of four planes.
#pragma once

#include <cstring>

#include "../kernels.hpp"

namespace lutra {

// What a tap that is a pixel reads of the row's first pixel.
static inline const std::uint8_t* tap_line(const StepCall& call, const Unit& unit, int rotation, int tap) {
    const bool channel = unit.taps == TapKind::channel;
    const auto& lines = call.lines[unit.reads[channel ? tap : 0] + unit.beyond[tap]];
    return channel ? lines[kMaxReach] : lines[kMaxReach + unit.row[rotation][tap]] + unit.column[rotation][tap];
}

// Taps of whole levels.
template <class Simd>
void gather_pixels(const StepCall& call, const Unit& unit, int rotation, int x, std::uint8_t (*taps)[kChunk]) {
    for (int tap = 0; tap < 4; ++tap) std::memcpy(taps[tap], tap_line(call, unit, rotation, tap) + x, kChunk);
}

// Taps of one plane in fixed point.
template <class Simd>
void gather_plane(const StepCall& call, const Unit& unit, int plane, int rotation, int x,
                  std::uint16_t (*taps)[kChunk]) {
    if (unit.taps == TapKind::sampled) {
        Simd::sample(call.lines[plane], unit, call.step->tap_bits, rotation, x, *call.scratch, taps);
        return;
    }
    for (int tap = 0; tap < 4; ++tap) {
        const std::uint8_t* line =
            call.lines[plane + unit.beyond[tap]][kMaxReach + unit.row[rotation][tap]] + x + unit.column[rotation][tap];
        for (int i = 0; i < kChunk; ++i) taps[tap][i] = static_cast<std::uint16_t>(line[i] << call.step->tap_bits);
    }
}

// Taps in fixed point, with those of the previous plane mixed in (AdaRL).
template <class Simd>
void gather_fixed_point(const StepCall& call, const Unit& unit, int rotation, int x) {
    Scratch& scratch = *call.scratch;
    if (unit.taps == TapKind::channel) {
        for (int tap = 0; tap < 4; ++tap) {
            const std::uint8_t* line = call.lines[unit.reads[tap]][kMaxReach] + x;
            for (int i = 0; i < kChunk; ++i)
                scratch.taps[tap][i] = static_cast<std::uint16_t>(line[i] << call.step->tap_bits);
        }
        return;
    }
    gather_plane<Simd>(call, unit, unit.reads[0], rotation, x, scratch.taps);
    if (unit.previous < 0) return;
    gather_plane<Simd>(call, unit, unit.previous, rotation, x, scratch.taps_before);
    for (int tap = 0; tap < 4; ++tap) {
        const std::int32_t share = unit.shares[tap];
        for (int i = 0; i < kChunk; ++i) {
            const std::int32_t mixed = share * scratch.taps_before[tap][i] + (1024 - share) * scratch.taps[tap][i];
            scratch.taps[tap][i] = static_cast<std::uint16_t>((mixed + 512) >> 10);
        }
    }
}

}  // namespace lutra
