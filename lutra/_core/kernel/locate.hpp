// Where the five vertices of each pixel's simplex lie in a table, and what they weigh.
#pragma once

#include "../kernels.hpp"

namespace lutra {

// How weights are handed on: plain numbers; of 16 bits each (`words`); or four in a word for byte dot products, which
// multiply a weight of 8 bits at most (`narrow`) or of 14 in two parts of 7 (`wide`).
enum class Weights { plain, narrow, wide, words };

// Local to each file that includes this, like every helper that is no template over Simd: the linker must not hand
// one processor's code to another.
namespace {
namespace detail {

void order(std::uint32_t& above, std::uint32_t& below) {
    const std::uint32_t high = above > below ? above : below;
    below = above > below ? below : above;
    above = high;
}

std::uint32_t distance(std::uint32_t x, std::uint32_t y) { return x > y ? x - y : y - x; }

// A grid's numbers, ready for a loop over pixels.
struct Walk {
    std::uint32_t mask, cell_shift, shift, origin, stride[4];

    Walk(const Grid& grid, int tap_bits)
        : mask((1u << (grid.interval + tap_bits)) - 1),
          cell_shift(static_cast<std::uint32_t>(grid.interval + tap_bits)),
          shift(static_cast<std::uint32_t>(grid.shift)),
          origin(grid.origin),
          stride{grid.coefficient[0], grid.coefficient[1], grid.coefficient[2], grid.coefficient[3]} {}

    std::uint32_t base(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) const {
        return origin + (a >> cell_shift) * stride[0] + (b >> cell_shift) * stride[1] + (c >> cell_shift) * stride[2] +
               (d >> cell_shift) * stride[3];
    }
    std::uint32_t remainder(std::uint32_t tap) const { return (tap & mask) << shift; }
    // Remainder above stride: sorting these orders the axes of the walk. Both fit 16 bits: a remainder is below
    // 2^denominator_bits, a stride at most 33^3, that of the finest grid.
    std::uint32_t key(std::uint32_t tap, int axis) const { return remainder(tap) << 16 | stride[axis]; }
};

// Which axes the diagonal part binds, as limits on their distance from a.
struct Near {
    std::uint32_t limit[3];

    explicit Near(const Unit& unit) {
        for (int axis = 1; axis < 4; ++axis)
            limit[axis - 1] = axis <= unit.layout.bound_axes ? unit.near : ~std::uint32_t{0};
    }
    bool operator()(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) const {
        return (distance(a, b) <= limit[0]) & (distance(a, c) <= limit[1]) & (distance(a, d) <= limit[2]);
    }
};

}  // namespace detail
}  // namespace

// Fills place, and weight or quad and fifth, of `rotation`. Narrow and wide weights of the fifth vertex: rotation r's
// in byte r if `together`, else in fifth_apart.
template <class Simd, Weights kind, bool diagonal, class Tap>
void locate_vertices(const Step& step, const Unit& unit, const Tap (*taps)[kChunk], int rotation, Scratch& scratch) {
    const detail::Walk fine(unit.node[0], step.tap_bits), coarse(unit.node[diagonal ? 1 : 0], step.tap_bits);
    const detail::Near near(unit);
    const auto values = static_cast<std::uint32_t>(unit.values);
    if constexpr (requires { typename Simd::Locate; } && kind != Weights::plain)
        return Simd::Locate::template vertices<kind, diagonal>({fine, coarse, near}, taps, values,
                                                               step.denominator_bits, rotation, scratch);
    const std::uint32_t whole = 1u << step.denominator_bits;
    auto* place = scratch.place[rotation];
    auto* weight = scratch.weight[rotation];
    auto* quad = scratch.quad[rotation];
    for (int i = 0; i < kChunk; ++i) {
        const std::uint32_t a = taps[0][i], b = taps[1][i], c = taps[2][i], d = taps[3][i];
        std::uint32_t base = fine.base(a, b, c, d);
        std::uint32_t k1 = fine.key(a, 0), k2 = fine.key(b, 1), k3 = fine.key(c, 2), k4 = fine.key(d, 3);
        if constexpr (diagonal) {
            const bool close = near(a, b, c, d);
            base = close ? base : coarse.base(a, b, c, d);
            k1 = close ? k1 : coarse.key(a, 0);
            k2 = close ? k2 : coarse.key(b, 1);
            k3 = close ? k3 : coarse.key(c, 2);
            k4 = close ? k4 : coarse.key(d, 3);
        }
        detail::order(k1, k2);
        detail::order(k3, k4);
        detail::order(k1, k3);
        detail::order(k2, k4);
        detail::order(k2, k3);
        const std::uint32_t low = 0xFFFF;
        const std::uint32_t second = base + (k1 & low), third = second + (k2 & low), fourth = third + (k3 & low);
        place[0][i] = base * values;
        place[1][i] = second * values;
        place[2][i] = third * values;
        place[3][i] = fourth * values;
        place[4][i] = (fourth + (k4 & low)) * values;
        const std::uint32_t w0 = whole - (k1 >> 16), w1 = (k1 >> 16) - (k2 >> 16), w2 = (k2 >> 16) - (k3 >> 16);
        const std::uint32_t w3 = (k3 >> 16) - (k4 >> 16), w4 = k4 >> 16;
        if constexpr (kind == Weights::narrow) {
            quad[0][i] = w0 | w1 << 8 | w2 << 16 | w3 << 24;
        } else if constexpr (kind == Weights::wide) {
            quad[0][i] = (w0 & 127) | (w1 & 127) << 8 | (w2 & 127) << 16 | (w3 & 127) << 24;
            quad[1][i] = w0 >> 7 | w1 >> 7 << 8 | w2 >> 7 << 16 | w3 >> 7 << 24;
        } else {
            weight[0][i] = w0;
            weight[1][i] = w1;
            weight[2][i] = w2;
            weight[3][i] = w3;
        }
        weight[4][i] = w4;
    }
}

template <class Simd, Weights kind, class Tap>
void locate(const Step& step, const Unit& unit, const Tap (*taps)[kChunk], int rotation, Scratch& scratch) {
    if (unit.diagonal)
        locate_vertices<Simd, kind, true>(step, unit, taps, rotation, scratch);
    else
        locate_vertices<Simd, kind, false>(step, unit, taps, rotation, scratch);
}

}  // namespace lutra
