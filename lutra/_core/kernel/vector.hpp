// Which of a vector level's kernels runs a step.
#pragma once

#include <algorithm>

#include "cells.hpp"
#include "lines.hpp"
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

template <class Simd>
void run_vector(const StepCall& call) {
    const Step& step = *call.step;
    if (step.values > kLanes || step.denominator_bits > 14) return run_plain<Simd>(call);
    if (step.denominator_bits > 7 || step.mixes_taps) return run_at_width<Simd, true>(call);
    run_at_width<Simd, false>(call);
}

}  // namespace lutra
