// Any table under any plan, value by value: the kernel that needs no vector unit, and the fallback of those that do.
#pragma once

#include "finish.hpp"
#include "gather.hpp"
#include "locate.hpp"

namespace lutra {

// `fixed`: the number of values, where the compiler may know it; 0 for any.
template <class Simd, int fixed, bool round>
void blend_values(const Step& step, const Unit& unit, const Scratch& scratch, int rotation, std::int32_t* sums) {
    const auto& place = scratch.place[rotation];
    const auto& weight = scratch.weight[rotation];
    const int* turned = step.turned[rotation].data();
    const int count = fixed ? fixed : step.values;
    for (int i = 0; i < kChunk; ++i) {
        std::int32_t values[fixed ? fixed : 64] = {};
        for (int vertex = 0; vertex < 5; ++vertex) {
            const std::int8_t* row = unit.nodes.data() + place[vertex][i];
            const auto w = static_cast<std::int32_t>(weight[vertex][i]);
            for (int value = 0; value < count; ++value) values[value] += w * row[value];
        }
        std::int32_t* sum = sums + i * count;
        for (int value = 0; value < count; ++value) {
            const std::int32_t term = values[turned[value]];
            sum[value] = round ? add_rounded(sum[value], term, step.denominator_bits) : sum[value] + term;
        }
    }
}

template <class Simd, int fixed>
void blend_plain(const Step& step, const Unit& unit, const Scratch& scratch, int rotation, std::int32_t* sums) {
    if (step.round_each)
        blend_values<Simd, fixed, true>(step, unit, scratch, rotation, sums);
    else
        blend_values<Simd, fixed, false>(step, unit, scratch, rotation, sums);
}

template <class Simd>
auto blend_for(int values) {
    switch (values) {
        case 1:
            return blend_plain<Simd, 1>;
        case 2:
            return blend_plain<Simd, 2>;
        case 4:
            return blend_plain<Simd, 4>;
        case 9:
            return blend_plain<Simd, 9>;
        case 16:
            return blend_plain<Simd, 16>;
        default:
            return blend_plain<Simd, 0>;
    }
}

template <class Simd>
void run_plain(const StepCall& call) {
    const Step& step = *call.step;
    Scratch& scratch = *call.scratch;
    const int count = kChunk * step.values;
    const auto blend = blend_for<Simd>(step.values);
    for (int x = 0; x < call.count; x += kChunk) {
        std::memset(scratch.sum, 0, sizeof(std::int32_t) * static_cast<std::size_t>(count));
        for (const Unit& unit : step.units) {
            if (!call.has(unit)) continue;
            std::int32_t* sums = step.round_apart ? scratch.apart : scratch.sum;
            if (step.round_apart) std::memset(sums, 0, sizeof(std::int32_t) * static_cast<std::size_t>(count));
            for (int rotation = 0; rotation < unit.rotations; ++rotation) {
                gather_fixed_point<Simd>(call, unit, rotation, x);
                locate<Simd, Weights::plain>(step, unit, scratch.taps, rotation, scratch);
                blend(step, unit, scratch, rotation, sums);
            }
            if (step.round_apart)
                for (int i = 0; i < count; ++i) scratch.sum[i] += sums[i];
        }
        finish_sums<Simd>(step, scratch.sum, count, scratch.result);
        write_pixels<Simd>(step, scratch.result, step.values, x, call.out);
    }
}

}  // namespace lutra
