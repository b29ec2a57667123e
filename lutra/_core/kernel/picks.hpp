// Tables of one value, three or four axes and 16 cells an axis: permutations of bytes pick the vertices of a pixel's
// simplex from its cell, and a dot product of four bytes weighs them.
//
// `Picks` are vectors of a level that work on lanes of 16 bytes. A lane has 16 pixels, and turns into four vectors of
// four bytes a pixel: vector `part` holds the pixels from 4 * part on of every lane. Sums stay in this order until
// they are rounded.
#pragma once

#include <algorithm>
#include <type_traits>

#include "finish.hpp"
#include "gather.hpp"

namespace lutra {

// A pixel's simplex through its cell: the corners between the first and the last one, and the weights of all, in units
// of 1 / 16. A remainder has four bits, and so has the corner that a step along an axis adds to: one byte has both, so
// that sorting bytes orders the steps.
template <class Picks, int axes>
struct Simplex {
    using Bytes = typename Picks::Bytes;

    explicit Simplex(const Bytes (&taps)[axes]) {
        Bytes step[axes];
        for (int axis = 0; axis < axes; ++axis) step[axis] = taps[axis] << 4 | Picks::same(1 << (axes - 1 - axis));
        const auto order = [&](int first, int second) {
            const Bytes most = Picks::most(step[first], step[second]);
            step[second] = Picks::least(step[first], step[second]);
            step[first] = most;
        };
        order(0, 1);
        if constexpr (axes == 4) order(2, 3);
        order(0, 2);
        if constexpr (axes == 4) order(1, 3);
        order(1, 2);
        Bytes before = Picks::same(16);
        for (int i = 0; i < axes; ++i) {
            const Bytes rest = step[i] >> 4;
            weight[i] = before - rest;
            before = rest;
        }
        weight[axes] = before;
        const Bytes cell = Picks::template cell<axes>();
        corner[0] = (step[0] & 15) | cell;
        if constexpr (axes == 4) corner[1] = (step[1] & 15) | corner[0];
        corner[axes - 2] = (step[axes - 1] & 15) ^ (cell | ((1 << axes) - 1));
    }

    Bytes weight[axes + 1], corner[axes - 1];
};

// Four bytes a pixel, in four vectors.
template <class Picks>
struct Quads {
    using Bytes = typename Picks::Bytes;

    Quads(Bytes a, Bytes b, Bytes c, Bytes d) {
        const Bytes low[] = {Picks::low_bytes(a, b), Picks::low_bytes(c, d)};
        const Bytes high[] = {Picks::high_bytes(a, b), Picks::high_bytes(c, d)};
        part[0] = Picks::low_words(low[0], low[1]);
        part[1] = Picks::high_words(low[0], low[1]);
        part[2] = Picks::low_words(high[0], high[1]);
        part[3] = Picks::high_words(high[0], high[1]);
    }

    Bytes part[4];
};

template <class Visit>
inline __attribute__((always_inline)) void for_each_part(Visit visit) {
    visit(std::integral_constant<int, 0>());
    visit(std::integral_constant<int, 1>());
    visit(std::integral_constant<int, 2>());
    visit(std::integral_constant<int, 3>());
}

// The numbers of the cells that a rotation's pixels lie in: a lane's first eight pixels, then its others.
template <class Picks, int axes>
void number_cells(const std::uint8_t* const* taps, int x, std::uint16_t* numbers) {
    using Bytes = typename Picks::Bytes;
    const auto digits = [&](int first, int second) {
        return (Picks::load(taps[first] + x) & 0xF0) | Picks::load(taps[second] + x) >> 4;
    };
    const Bytes low = digits(1, 2), high = axes == 3 ? Picks::load(taps[0] + x) >> 4 : digits(0, 3);
    Picks::store(numbers, Picks::low_bytes(low, high));
    Picks::store(numbers + Picks::kBytes / 2, Picks::high_bytes(low, high));
}

// Adds a unit's lookups of a vector of pixels to their sums.
template <class Picks, int axes>
void pick_and_blend(const Unit& unit, const std::uint8_t* const (*taps)[4], int x, Scratch& scratch,
                    std::int32_t* sums) {
    using Bytes = typename Picks::Bytes;
    constexpr int size = Picks::kBytes;
    for (int rotation = 0; rotation < unit.rotations; ++rotation)
        number_cells<Picks, axes>(taps[rotation], x, scratch.numbers[rotation]);
    typename Picks::Sums sum[4];
    Bytes ends[4] = {};  // of four axes: every rotation's last vertex, a byte each
    for (int part = 0; part < 4; ++part) sum[part] = Picks::load_sums(sums + part * size / 4);
    const Bytes cell = Picks::template cell<axes>(), end = cell | ((1 << axes) - 1);
    const Quads<Picks> all_ends(end, end, end, end);
    for (int rotation = 0; rotation < unit.rotations; ++rotation) {
        Bytes tap[axes];
        for (int axis = 0; axis < axes; ++axis) tap[axis] = Picks::load(taps[rotation][axis] + x);
        const Simplex<Picks, axes> simplex(tap);
        const auto& w = simplex.weight;
        const auto& v = simplex.corner;
        const Quads<Picks> weights(w[1], w[2], w[axes == 3 ? 0 : 3], w[axes == 3 ? 3 : 0]);
        const Quads<Picks> corners(v[0], v[1], axes == 3 ? cell : v[axes - 2], axes == 3 ? end : cell);
        const Bytes own = Picks::byte(rotation);
        if constexpr (axes == 4) Picks::store(scratch.last[rotation], w[4]);
        for_each_part([&](auto number) {
            constexpr int part = decltype(number)::value;
            const std::uint16_t* numbers = scratch.numbers[rotation] + part / 2 * (size / 2) + part % 2 * 4;
            const typename Picks::template Cells<axes> cells(unit.cells.data(), numbers);
            sum[part] = Picks::dot(sum[part], weights.part[part], cells.pick(corners.part[part]));
            if constexpr (axes == 4) ends[part] |= cells.pick(all_ends.part[part]) & own;
        });
    }
    if constexpr (axes == 4) {
        for (int rotation = unit.rotations; rotation < 4; ++rotation)
            Picks::store(scratch.last[rotation], Picks::same(0));
        const auto& last = scratch.last;
        const Quads<Picks> weights(Picks::load(last[0]), Picks::load(last[1]), Picks::load(last[2]),
                                   Picks::load(last[3]));
        for (int part = 0; part < 4; ++part) sum[part] = Picks::dot(sum[part], weights.part[part], ends[part]);
    }
    for (int part = 0; part < 4; ++part) Picks::store_sums(sums + part * size / 4, sum[part]);
}

template <class Simd, class Picks>
void run_picks(const StepCall& call) {
    const Step& step = *call.step;
    Scratch& scratch = *call.scratch;
    for (std::size_t number = 0; number < step.units.size(); ++number)
        for (int rotation = 0; rotation < step.units[number].rotations; ++rotation)
            for (int tap = 0; tap < 4; ++tap)
                scratch.lines[number][rotation][tap] = tap_line(call, step.units[number], rotation, tap);
    for (int x = 0; x < call.count; x += kChunk) {
        std::fill_n(scratch.sum, kChunk, 0);
        for (std::size_t number = 0; number < step.units.size(); ++number) {
            const Unit& unit = step.units[number];
            if (!call.has(unit)) continue;
            for (int i = 0; i < kChunk; i += Picks::kBytes)
                (unit.layout.axes() == 3
                     ? pick_and_blend<Picks, 3>
                     : pick_and_blend<Picks, 4>)(unit, scratch.lines[number], x + i, scratch, scratch.sum + i);
        }
        std::uint8_t* out = call.out[0] + x;
        if (step.single_precision) {
            finish_sums<Picks>(step, scratch.sum, kChunk, out);
            continue;
        }
        finish_sums<Simd>(step, scratch.sum, kChunk, scratch.result);
        for (int i = 0; i < kChunk; i += Picks::kBytes)
            Picks::store(out + i, Picks::in_order(Picks::load(scratch.result + i)));
    }
}

}  // namespace lutra
