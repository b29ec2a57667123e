// The simplex around each of several points, and its weights. See lutra/reference/simplex.py for what they are.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <type_traits>

#include "../ensemble.hpp"

namespace lutra {

namespace {  // local to each level's file
namespace detail {

// A grid's numbers, ready for a loop over pixels.
template <class T>
struct Lattice {
    T scale;  // cells a level
    std::int32_t last;
    std::uint32_t origin, stride[4];

    explicit Lattice(const Grid& grid)
        : scale(T(1) / static_cast<T>(1 << grid.interval)),
          last((1 << (8 - grid.interval)) - 1),
          origin(grid.origin),
          stride{grid.coefficient[0], grid.coefficient[1], grid.coefficient[2], grid.coefficient[3]} {}

    std::uint32_t node(std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) const {
        return origin + static_cast<std::uint32_t>(a) * stride[0] + static_cast<std::uint32_t>(b) * stride[1] +
               static_cast<std::uint32_t>(c) * stride[2] + static_cast<std::uint32_t>(d) * stride[3];
    }
    // Two choices of two, because an index would not become vector code.
    std::uint32_t step(std::uint32_t axis) const {
        const std::uint32_t low = axis == 0 ? stride[0] : stride[1];
        const std::uint32_t high = axis == 2 ? stride[2] : stride[3];
        return axis < 2 ? low : high;
    }
};

// How far b, c and d may lie from a where the diagonal part of a table holds the point, or the node.
template <class T>
struct Band {
    T reach_b = T(1e9), reach_c = T(1e9), reach_d = T(1e9);
    std::int32_t most_b, most_c, most_d;

    Band(const Layout& layout, bool diagonal)
        : most_b(layout.width),
          most_c(layout.bound_axes >= 2 ? layout.width : 256),
          most_d(layout.bound_axes >= 3 ? layout.width : 256) {
        const T reach = static_cast<T>(layout.width << layout.interval);
        if (diagonal && layout.bound_axes >= 1) reach_b = reach;
        if (diagonal && layout.bound_axes >= 2) reach_c = reach;
        if (diagonal && layout.bound_axes >= 3) reach_d = reach;
    }

    static T distance(T x, T y) { return x > y ? x - y : y - x; }
    bool holds(T a, T b, T c, T d) const {
        return (distance(a, b) <= reach_b) & (distance(a, c) <= reach_c) & (distance(a, d) <= reach_d);
    }
    bool lacks(std::int32_t to_b, std::int32_t to_c, std::int32_t to_d) const {
        return (std::abs(to_b) > most_b) | (std::abs(to_c) > most_c) | (std::abs(to_d) > most_d);
    }
};

// Remainders as integers, which order the axes; of equal ones the earlier axis comes first. Two bits of each give way
// to its axis.
template <class T>
struct Order {
    using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
    Bits k1, k2, k3, k4;

    Order(T a, T b, T c, T d) : k1(key(a, 0)), k2(key(b, 1)), k3(key(c, 2)), k4(key(d, 3)) {
        sort(k1, k2);
        sort(k3, k4);
        sort(k1, k3);
        sort(k2, k4);
        sort(k2, k3);
    }

    static Bits key(T remainder, Bits axis) { return (std::bit_cast<Bits>(remainder) & ~Bits{3}) | (3 - axis); }
    static void sort(Bits& above, Bits& below) {
        const Bits high = above > below ? above : below;
        below = above > below ? below : above;
        above = high;
    }
    static std::uint32_t axis(Bits key) { return static_cast<std::uint32_t>(3 - (key & 3)); }
    static T remainder(Bits key) { return std::bit_cast<T>(static_cast<Bits>(key & ~Bits{3})); }
};

template <class T>
std::int32_t cell(T tap, T scale, std::int32_t last) {
    std::int32_t n = static_cast<std::int32_t>(tap * scale);
    n = n < last ? n : last;
    return n > 0 ? n : 0;
}

}  // namespace detail
}  // namespace

// Finds the vertices around the first `count` points of scratch.taps, their weights, and the axis along which the walk
// leaves each vertex. Points beyond 0..256 give wrong values but touch no other memory. A vertex that a diagonal part
// lacks weighs nothing; for `slopes` the one before takes its place.
template <class Simd, class T, bool diagonal, bool slopes>
void find_vertices(const Unit& unit, int count, EnsembleScratch<T>& at) {
    using Order = detail::Order<T>;
    const detail::Lattice<T> fine(unit.node[0]), coarse(unit.node[diagonal ? 1 : 0]);
    const detail::Band<T> band(unit.layout, diagonal);
    for (int i = 0; i < count; ++i) {
        const T a = at.taps[0][i], b = at.taps[1][i], c = at.taps[2][i], d = at.taps[3][i];
        const bool near = band.holds(a, b, c, d);
        const T scale = near ? fine.scale : coarse.scale;
        const std::int32_t last = near ? fine.last : coarse.last;
        const std::int32_t na = detail::cell(a, scale, last), nb = detail::cell(b, scale, last);
        const std::int32_t nc = detail::cell(c, scale, last), nd = detail::cell(d, scale, last);
        const auto beyond = [scale](T tap, std::int32_t n) { return tap * scale - static_cast<T>(n); };
        const Order order(beyond(a, na), beyond(b, nb), beyond(c, nc), beyond(d, nd));
        const std::uint32_t x1 = Order::axis(order.k1), x2 = Order::axis(order.k2);
        const std::uint32_t x3 = Order::axis(order.k3), x4 = Order::axis(order.k4);
        // Of both grids' numbers one is taken: branches would not become vector code.
        const auto stride = [&](std::uint32_t axis) {
            const std::uint32_t of_fine = fine.step(axis), of_coarse = coarse.step(axis);
            return near ? of_fine : of_coarse;
        };
        const std::uint32_t fine_start = fine.node(na, nb, nc, nd), coarse_start = coarse.node(na, nb, nc, nd);
        const std::uint32_t p0 = near ? fine_start : coarse_start;
        const std::uint32_t p1 = p0 + stride(x1), p2 = p1 + stride(x2), p3 = p2 + stride(x3), p4 = p3 + stride(x4);
        const std::uint32_t place[5] = {p0, p1, p2, p3, p4}, axis[4] = {x1, x2, x3, x4};
        for (int v = 0; v < 5; ++v) at.place[v][i] = place[v];
        for (int v = 0; v < 4; ++v) at.axis[v][i] = axis[v];
        if constexpr (diagonal && slopes) {
            std::int32_t to_b = nb - na, to_c = nc - na, to_d = nd - na;
            for (int v = 0; v < 4; ++v) {
                const std::int32_t back = axis[v] == 0;
                to_b += (axis[v] == 1) - back;
                to_c += (axis[v] == 2) - back;
                to_d += (axis[v] == 3) - back;
                at.place[v + 1][i] = near & band.lacks(to_b, to_c, to_d) ? at.place[v][i] : place[v + 1];
            }
        }
        const T f1 = Order::remainder(order.k1), f2 = Order::remainder(order.k2);
        const T f3 = Order::remainder(order.k3), f4 = Order::remainder(order.k4);
        const T weight[5] = {1 - f1, f1 - f2, f2 - f3, f3 - f4, f4};
        for (int v = 0; v < 5; ++v) at.weight[v][i] = weight[v];
        at.scale[i] = scale;
    }
}

}  // namespace lutra
