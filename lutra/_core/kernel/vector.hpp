// Which of a vector level's kernels runs a step.
#pragma once

#include <algorithm>

#include "cells.hpp"
#include "lines.hpp"
#include "picks.hpp"
#include "plain.hpp"
#include "rows.hpp"

namespace lutra {

template <class Simd, bool wide>
void run_at_width(const StepCall& call) {
    const Step& step = *call.step;
    const bool cells =
        std::all_of(step.units.begin(), step.units.end(), [](const Unit& unit) { return unit.cells.size() > 0; });
    if (cells && step.values == 1) return run_cells<Simd, wide, 1>(call);
    if (cells && step.values == 2) return run_cells<Simd, wide, 2>(call);
    if (cells && step.values == 4) return run_cells<Simd, wide, 4>(call);
    run_rows<Simd, wide>(call);
}

// Each kernel is exact where it is chosen. Weights of a lookup sum to 2^denominator_bits, which is at most 2^16: 8 bits
// of interval and 8 of taps.
// - Picks: 2^4, and taps are whole pixels.
// - Narrow: up to 2^7. A weight is one byte, two products stay within 16 bits (Avx2::dot), and taps are whole pixels:
//   nothing may mix them, not even into taps without fractional bits.
//   WebAssembly's kernels sum the products of four rotations in 16 bits: up to 2^6.
// - Wide: up to 2^14. A weight is two parts of 7 bits, whose high parts sum to at most 2^7 as well.
// - Plain: any. Weights and sums have 32 bits.
// All keep sums in 32 bits; Plan::finish refuses steps that could leave them.
template <class Simd, class Picks>
void run_vector(const StepCall& call) {
    const Step& step = *call.step;
    if (step.picks) return run_picks<Simd, Picks>(call);
    if (step.values > kLanes || step.denominator_bits > 14) return run_plain<Simd>(call);
    int narrow = 7;
    if constexpr (requires { Simd::kWordBits; }) narrow = Simd::kWordBits;
    if (step.denominator_bits > narrow || step.mixes_taps) return run_at_width<Simd, true>(call);
    run_at_width<Simd, false>(call);
}

}  // namespace lutra
