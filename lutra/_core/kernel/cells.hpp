// Tables of few values, from cells: the 16 corners of a cell lie side by side, so that a lookup is one dot product.
// A corner's weight needs no sorting: it is what the smallest remainder along its axes exceeds the largest of the
// others by.
#pragma once

#include <algorithm>

#include "finish.hpp"
#include "gather.hpp"
#include "locate.hpp"

namespace lutra {

template <class Simd, bool diagonal, class Tap>
void locate_cells(const Step& step, const Unit& unit, const Tap (*taps)[kChunk], int rotation, Scratch& scratch,
                  Tap (*remainder)[kChunk]) {
    const detail::Walk fine(unit.cell[0], step.tap_bits), coarse(unit.cell[diagonal ? 1 : 0], step.tap_bits);
    const detail::Near near(unit);
    const auto bytes = static_cast<std::uint32_t>(unit.values) * 16;
    if constexpr (requires { typename Simd::Locate; })
        Simd::Locate::template cells<diagonal>({fine, coarse, near}, taps, bytes, scratch.cell[rotation]);
    else
        for (int i = 0; i < kChunk; ++i) {
            const std::uint32_t a = taps[0][i], b = taps[1][i], c = taps[2][i], d = taps[3][i];
            std::uint32_t base = fine.base(a, b, c, d);
            if constexpr (diagonal) base = near(a, b, c, d) ? base : coarse.base(a, b, c, d);
            scratch.cell[rotation][i] = base * bytes;
        }
    const auto least = [](std::uint32_t limit) {
        return static_cast<Tap>(std::min<std::uint32_t>(limit, static_cast<Tap>(~Tap{0})));
    };
    const Tap limit_b = least(near.limit[0]), limit_c = least(near.limit[1]), limit_d = least(near.limit[2]);
    if constexpr (requires { typename Simd::Locate; })
        return Simd::Locate::template remainders<diagonal>(fine, coarse, {limit_b, limit_c, limit_d}, taps, remainder);
    const auto apart = [](Tap x, Tap y) { return static_cast<Tap>(x > y ? x - y : y - x); };
    const auto fine_mask = static_cast<Tap>(fine.mask), coarse_mask = static_cast<Tap>(coarse.mask);
    for (int tap = 0; tap < 4; ++tap)
        for (int i = 0; i < kChunk; ++i) {
            const Tap a = taps[0][i], value = taps[tap][i];
            auto rest = static_cast<Tap>((value & fine_mask) << fine.shift);
            if constexpr (diagonal) {
                const bool close = (apart(a, taps[1][i]) <= limit_b) & (apart(a, taps[2][i]) <= limit_c) &
                                   (apart(a, taps[3][i]) <= limit_d);
                rest = close ? rest : static_cast<Tap>((value & coarse_mask) << coarse.shift);
            }
            remainder[tap][i] = rest;
        }
}

// Weights of the 16 corners, a * 8 + b * 4 + c * 2 + d, in units of 1 / whole.
template <class Simd, class Tap>
void weigh_corners(const Tap (*remainder)[kChunk], Tap whole, Tap (*corner)[kChunk]) {
    const auto low = [](Tap x, Tap y) { return x < y ? x : y; };
    const auto high = [](Tap x, Tap y) { return x > y ? x : y; };
    const auto excess = [&](Tap x, Tap y) { return static_cast<Tap>(high(x, y) - y); };
    for (int i = 0; i < kChunk; ++i) {
        const Tap a = remainder[0][i], b = remainder[1][i], c = remainder[2][i], d = remainder[3][i];
        const Tap low_ab = low(a, b), low_cd = low(c, d), high_ab = high(a, b), high_cd = high(c, d);
        corner[0][i] = static_cast<Tap>(whole - high(high_ab, high_cd));
        corner[1][i] = excess(d, high(high_ab, c));
        corner[2][i] = excess(c, high(high_ab, d));
        corner[3][i] = excess(low_cd, high_ab);
        corner[4][i] = excess(b, high(high_cd, a));
        corner[5][i] = excess(low(b, d), high(a, c));
        corner[6][i] = excess(low(b, c), high(a, d));
        corner[7][i] = excess(low(low_cd, b), a);
        corner[8][i] = excess(a, high(high_cd, b));
        corner[9][i] = excess(low(a, d), high(b, c));
        corner[10][i] = excess(low(a, c), high(b, d));
        corner[11][i] = excess(low(low_cd, a), b);
        corner[12][i] = excess(low_ab, high_cd);
        corner[13][i] = excess(low(low_ab, d), c);
        corner[14][i] = excess(low(low_ab, c), d);
        corner[15][i] = low(low_ab, low_cd);
    }
}

// Fills cell and corners of `rotation`.
template <class Simd, bool wide>
void prepare_cells(const StepCall& call, const Unit& unit, int rotation, int x) {
    const Step& step = *call.step;
    Scratch& scratch = *call.scratch;
    const auto locate = [&](const auto* taps, auto* remainder) {
        if (unit.diagonal)
            locate_cells<Simd, true>(step, unit, taps, rotation, scratch, remainder);
        else
            locate_cells<Simd, false>(step, unit, taps, rotation, scratch, remainder);
    };
    if constexpr (wide) {
        gather_fixed_point<Simd>(call, unit, rotation, x);
        locate(scratch.taps, scratch.remainder);
        weigh_corners<Simd>(scratch.remainder, static_cast<std::uint16_t>(1 << step.denominator_bits),
                            scratch.corner_wide);
        for (int corner = 0; corner < 16; ++corner)
            for (int i = 0; i < kChunk; ++i) {
                const std::uint16_t weight = scratch.corner_wide[corner][i];
                scratch.corner[0][corner][i] = static_cast<std::uint8_t>(weight & 127);
                scratch.corner[1][corner][i] = static_cast<std::uint8_t>(weight >> 7);
            }
        Simd::interleave(scratch.corner[1], scratch.corners[rotation][1]);
    } else {
        gather_pixels<Simd>(call, unit, rotation, x, scratch.pixels);
        locate(scratch.pixels, scratch.remainder_narrow);
        weigh_corners<Simd>(scratch.remainder_narrow, static_cast<std::uint8_t>(1 << step.denominator_bits),
                            scratch.corner[0]);
    }
    Simd::interleave(scratch.corner[0], scratch.corners[rotation][0]);
}

// Lookups of rotations first..end-1 of all pixels; adds to `partial`, or replaces it.
template <class Simd, bool wide, int values, bool add>
void blend_cells(const Step& step, const Unit& unit, const Scratch& scratch, int first, int end,
                 std::int32_t (*partial)[4]) {
    for (int i = 0; i < kChunk; ++i) {
        typename Simd::Quad sum[values], high[values];
        for (int value = 0; value < values; ++value) {
            sum[value] = add ? Simd::load(partial[value * kChunk + i]) : Simd::zero();
            high[value] = Simd::zero();
        }
        for (int rotation = first; rotation < end; ++rotation) {
            const std::int8_t* cell = unit.cells.data() + scratch.cell[rotation][i];
            for (int value = 0; value < values; ++value) {
                // Only the four values of a 2 x 2 square turn.
                const std::int8_t* corners = cell + 16 * (values == 4 ? step.turned[rotation][value] : value);
                sum[value] = Simd::dot(sum[value], scratch.corners[rotation][0][i], corners);
                if (wide) high[value] = Simd::dot(high[value], scratch.corners[rotation][1][i], corners);
            }
        }
        for (int value = 0; value < values; ++value)
            Simd::store(partial[value * kChunk + i], wide ? Simd::joined(high[value], sum[value]) : sum[value]);
    }
}

template <class Simd, bool wide, int values>
void run_cells(const StepCall& call) {
    const Step& step = *call.step;
    Scratch& scratch = *call.scratch;
    constexpr int count = values * kChunk;
    const int bits = step.denominator_bits;
    for (int x = 0; x < call.count; x += kChunk) {
        std::fill_n(scratch.sum, count, 0);
        if (!step.round_each) std::fill_n(&scratch.partial[0][0], count * 4, 0);
        for (const Unit& unit : step.units) {
            if (!call.has(unit)) continue;
            for (int rotation = 0; rotation < unit.rotations; ++rotation)
                prepare_cells<Simd, wide>(call, unit, rotation, x);
            if (!step.round_each) {
                blend_cells<Simd, wide, values, true>(step, unit, scratch, 0, unit.rotations, scratch.partial);
                continue;
            }
            std::int32_t* sums = step.round_apart ? scratch.apart : scratch.sum;
            if (step.round_apart) std::fill_n(sums, count, 0);
            for (int rotation = 0; rotation < unit.rotations; ++rotation) {
                blend_cells<Simd, wide, values, false>(step, unit, scratch, rotation, rotation + 1, scratch.partial);
                Simd::reduce(scratch.partial, count, scratch.term);
                if constexpr (requires { Simd::add_rounded(sums, scratch.term, count, bits); })
                    Simd::add_rounded(sums, scratch.term, count, bits);
                else
                    for (int i = 0; i < count; ++i) sums[i] = add_rounded(sums[i], scratch.term[i], bits);
            }
            if (step.round_apart)
                for (int i = 0; i < count; ++i) scratch.sum[i] += sums[i];
        }
        if (!step.round_each) Simd::reduce(scratch.partial, count, scratch.sum);
        finish_sums<Simd>(step, scratch.sum, count, scratch.result);
        write_values<Simd>(step, scratch.result, x, call.out);
    }
}

}  // namespace lutra
