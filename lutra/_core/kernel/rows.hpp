// Tables of up to 16 values: an entry is one load, a simplex is five of them, and the values are the lanes.
#pragma once

#include <algorithm>

#include "finish.hpp"
#include "gather.hpp"
#include "locate.hpp"

namespace lutra {

// The fifth vertices' weights as words for dot products: each rotation's alone, or all in one word.
template <class Simd, bool wide>
void pack_fifth(const Unit& unit, bool together, Scratch& scratch) {
    for (int rotation = 0; rotation < unit.rotations; ++rotation) {
        const std::uint32_t* weight = scratch.weight[rotation][4];
        auto* fifth = scratch.fifth[together ? 0 : rotation];
        const int shift = together ? 8 * rotation : 0;
        const std::uint32_t keep = shift ? ~std::uint32_t{0} : 0;
        for (int i = 0; i < kChunk; ++i) {
            fifth[0][i] = (fifth[0][i] & keep) | (wide ? weight[i] & 127 : weight[i]) << shift;
            if (wide) fifth[1][i] = (fifth[1][i] & keep) | weight[i] >> 7 << shift;
        }
    }
}

template <class Simd, bool wide>
void run_rows(const StepCall& call) {
    const Step& step = *call.step;
    Scratch& scratch = *call.scratch;
    constexpr int count = kLanes * kChunk;
    constexpr bool words = !wide && requires { Simd::kWordBits; };
    constexpr Weights kind = wide ? Weights::wide : words ? Weights::words : Weights::narrow;
    for (int x = 0; x < call.count; x += kChunk) {
        std::fill_n(scratch.sum, count, 0);
        for (const Unit& unit : step.units) {
            if (!call.has(unit)) continue;
            for (int rotation = 0; rotation < unit.rotations; ++rotation) {
                if constexpr (wide) {
                    gather_fixed_point<Simd>(call, unit, rotation, x);
                    locate<Simd, kind>(step, unit, scratch.taps, rotation, scratch);
                } else {
                    gather_pixels<Simd>(call, unit, rotation, x, scratch.pixels);
                    locate<Simd, kind>(step, unit, scratch.pixels, rotation, scratch);
                }
            }
            if constexpr (!words) pack_fifth<Simd, wide>(unit, !step.round_each, scratch);
            std::int32_t* sums = step.round_apart ? scratch.apart : scratch.sum;
            if (step.round_apart) std::fill_n(sums, count, 0);
            if (step.round_each)
                Simd::template blend_rounded<wide>(step, unit, scratch, sums);
            else
                Simd::template blend_exact<wide>(step, unit, scratch, sums);
            if (step.round_apart)
                for (int i = 0; i < count; ++i) scratch.sum[i] += sums[i];
        }
        finish_sums<Simd>(step, scratch.sum, count, scratch.result);
        write_pixels<Simd>(step, scratch.result, kLanes, x, call.out);
    }
}

}  // namespace lutra
