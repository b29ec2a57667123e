// Lookups of floating-point tables and their gradients, for a row of pixels. See lutra/reference/simplex.py for what they are.
#pragma once

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "../ensemble.hpp"

namespace lutra {

namespace {
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
};

// As many numbers as an entry has values, in the compiler's own vectors.
template <class T>
struct Lanes {
    typedef T type __attribute__((vector_size(kLanes * sizeof(T))));

    static type load(const T* from) {
        type lanes;
        std::memcpy(&lanes, from, sizeof(lanes));
        return lanes;
    }
    static void store(T* to, const type& lanes) { std::memcpy(to, &lanes, sizeof(lanes)); }
};

inline int rounded_up_to_lanes(int count) { return (count + kLanes - 1) / kLanes * kLanes; }

}  // namespace detail
}  // namespace

// The vertices around the first `count` points of scratch.taps and their weights, and along which axis the walk goes
// on from each. Points beyond 0..256 give wrong values but touch no other memory. A vertex that a diagonal part lacks
// weighs nothing; for `slopes` the one before takes its place.
template <class Simd, class T, bool diagonal, bool slopes>
void find_vertices(const Unit& unit, int count, EnsembleScratch<T>& at) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
    const detail::Lattice<T> fine(unit.node[0]), coarse(unit.node[diagonal ? 1 : 0]);
    const T reach = static_cast<T>(unit.layout.width << unit.layout.interval);
    const T reach_b = diagonal && unit.layout.bound_axes >= 1 ? reach : T(1e9);
    const T reach_c = diagonal && unit.layout.bound_axes >= 2 ? reach : T(1e9);
    const T reach_d = diagonal && unit.layout.bound_axes >= 3 ? reach : T(1e9);
    const std::int32_t most_b = unit.layout.width, most_c = unit.layout.bound_axes >= 2 ? unit.layout.width : 256,
                       most_d = unit.layout.bound_axes >= 3 ? unit.layout.width : 256;
    const auto distance = [](T x, T y) { return x > y ? x - y : y - x; };
    for (int i = 0; i < count; ++i) {
        const T a = at.taps[0][i], b = at.taps[1][i], c = at.taps[2][i], d = at.taps[3][i];
        const bool near = (distance(a, b) <= reach_b) & (distance(a, c) <= reach_c) & (distance(a, d) <= reach_d);
        const T scale = near ? fine.scale : coarse.scale;
        const std::int32_t last = near ? fine.last : coarse.last;
        const auto cell = [&](T tap) {
            std::int32_t n = static_cast<std::int32_t>(tap * scale);
            n = n < last ? n : last;
            return n > 0 ? n : 0;
        };
        // Remainders order the axes; of equal ones the earlier axis comes first. Two bits of each give way to its axis.
        const auto key = [&](T tap, std::int32_t n, Bits axis) {
            return (std::bit_cast<Bits>(tap * scale - static_cast<T>(n)) & ~Bits{3}) | (3 - axis);
        };
        const auto order = [](Bits& above, Bits& below) {
            const Bits high = above > below ? above : below;
            below = above > below ? below : above;
            above = high;
        };
        const std::int32_t na = cell(a), nb = cell(b), nc = cell(c), nd = cell(d);
        Bits k1 = key(a, na, 0), k2 = key(b, nb, 1), k3 = key(c, nc, 2), k4 = key(d, nd, 3);
        order(k1, k2);
        order(k3, k4);
        order(k1, k3);
        order(k2, k4);
        order(k2, k3);
        const auto axis = [](Bits k) { return static_cast<std::uint32_t>(3 - (k & 3)); };
        const auto remainder = [](Bits k) { return std::bit_cast<T>(static_cast<Bits>(k & ~Bits{3})); };
        const auto pick = [](const detail::Lattice<T>& grid, std::uint32_t axis) {
            const std::uint32_t low = axis == 0 ? grid.stride[0] : grid.stride[1];
            const std::uint32_t high = axis == 2 ? grid.stride[2] : grid.stride[3];
            return axis < 2 ? low : high;
        };
        // Both are computed and one is taken: branches would not become vector code.
        const auto stride = [&](std::uint32_t axis) {
            const std::uint32_t of_fine = pick(fine, axis), of_coarse = pick(coarse, axis);
            return near ? of_fine : of_coarse;
        };
        const auto start = [&](const detail::Lattice<T>& grid) {
            return grid.origin + static_cast<std::uint32_t>(na) * grid.stride[0] +
                   static_cast<std::uint32_t>(nb) * grid.stride[1] + static_cast<std::uint32_t>(nc) * grid.stride[2] +
                   static_cast<std::uint32_t>(nd) * grid.stride[3];
        };
        const std::uint32_t x1 = axis(k1), x2 = axis(k2), x3 = axis(k3), x4 = axis(k4);
        const T f1 = remainder(k1), f2 = remainder(k2), f3 = remainder(k3), f4 = remainder(k4);
        const std::uint32_t fine_start = start(fine), coarse_start = start(coarse);
        const std::uint32_t p0 = near ? fine_start : coarse_start;
        const std::uint32_t p1 = p0 + stride(x1), p2 = p1 + stride(x2), p3 = p2 + stride(x3), p4 = p3 + stride(x4);
        at.place[0][i] = p0;
        at.place[1][i] = p1;
        at.place[2][i] = p2;
        at.place[3][i] = p3;
        at.place[4][i] = p4;
        if constexpr (diagonal && slopes) {
            std::int32_t to_b = nb - na, to_c = nc - na, to_d = nd - na;
            const auto walk = [&](std::uint32_t axis, std::uint32_t before, std::uint32_t place) {
                const std::int32_t back = axis == 0;
                to_b += (axis == 1) - back;
                to_c += (axis == 2) - back;
                to_d += (axis == 3) - back;
                const bool lacks =
                    near & ((std::abs(to_b) > most_b) | (std::abs(to_c) > most_c) | (std::abs(to_d) > most_d));
                return lacks ? before : place;
            };
            const std::uint32_t q1 = walk(x1, p0, p1), q2 = walk(x2, q1, p2), q3 = walk(x3, q2, p3);
            at.place[1][i] = q1;
            at.place[2][i] = q2;
            at.place[3][i] = q3;
            at.place[4][i] = walk(x4, q3, p4);
        }
        at.weight[0][i] = 1 - f1;
        at.weight[1][i] = f1 - f2;
        at.weight[2][i] = f2 - f3;
        at.weight[3][i] = f3 - f4;
        at.weight[4][i] = f4;
        at.axis[0][i] = x1;
        at.axis[1][i] = x2;
        at.axis[2][i] = x3;
        at.axis[3][i] = x4;
        at.scale[i] = scale;
    }
}

// Round half up to multiples of 2^-bits.
template <class Simd, class T>
void to_fixed_point(int bits, int count, T* taps) {
    const T up = static_cast<T>(1 << bits), down = 1 / up;
    for (int i = 0; i < count; ++i) taps[i] = std::floor(taps[i] * up + T(0.5)) * down;
}

// Calls visit(number, offset) for every pixel of a turned window; the offset is from the pixel at its corner.
template <class Visit>
void for_each_in_window(const Unit& unit, int rotation, std::ptrdiff_t stride, Visit visit) {
    int number = 0;
    for (int row = 0; row < unit.kernel; ++row)
        for (int column = 0; column < unit.kernel; ++column) {
            int dy = row, dx = column;
            turn(rotation, dy, dx);
            visit(number++, dy * stride + dx);
        }
}

// One plane's taps: fixed offsets or weighted means of a window.
template <class Simd, class T>
void take_taps(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, int plane, int rotation, int x, int count,
               T (*taps)[kChunk]) {
    using Lanes = detail::Lanes<T>;
    const Unit& unit = *call.unit;
    const T* line = row.lines[plane] + x;
    if (unit.taps == TapKind::fixed) {
        for (int tap = 0; tap < 4; ++tap) {
            const T* from = line + unit.row[rotation][tap] * row.stride + unit.column[rotation][tap];
            for (int i = 0; i < count; ++i) taps[tap][i] = from[i];
        }
        return;
    }
    const int square = unit.kernel * unit.kernel;
    for (int i = 0; i < count; i += kLanes) {
        typename Lanes::type sum[4] = {};
        for_each_in_window(unit, rotation, row.stride, [&](int number, std::ptrdiff_t offset) {
            const auto pixels = Lanes::load(line + offset + i);
            for (int tap = 0; tap < 4; ++tap) sum[tap] += call.weights[tap * square + number] * pixels;
        });
        for (int tap = 0; tap < 4; ++tap) Lanes::store(taps[tap] + i, sum[tap]);
    }
    if (row.step->tap_bits >= 0)
        for (int tap = 0; tap < 4; ++tap) to_fixed_point<Simd>(row.step->tap_bits, count, taps[tap]);
}

// Fills scratch.taps, and current and before where AdaRL mixes.
template <class Simd, class T>
void take_all_taps(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, int rotation, int x, int count,
                   EnsembleScratch<T>& scratch) {
    const Unit& unit = *call.unit;
    if (unit.taps == TapKind::channel) {
        for (int tap = 0; tap < 4; ++tap)
            for (int i = 0; i < count; ++i) scratch.taps[tap][i] = row.lines[unit.reads[tap]][x + i];
        return;
    }
    if (unit.previous < 0) return take_taps<Simd>(row, call, unit.reads[0], rotation, x, count, scratch.taps);
    take_taps<Simd>(row, call, unit.reads[0], rotation, x, count, scratch.current);
    take_taps<Simd>(row, call, unit.previous, rotation, x, count, scratch.before);
    for (int tap = 0; tap < 4; ++tap) {
        const T share = call.shares[tap];
        for (int i = 0; i < count; ++i)
            scratch.taps[tap][i] = share * scratch.before[tap][i] + (1 - share) * scratch.current[tap][i];
        if (row.step->tap_bits >= 0) to_fixed_point<Simd>(row.step->tap_bits, count, scratch.taps[tap]);
    }
}

template <class Simd, class T, bool slopes>
void locate_taps(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, int rotation, int x, int count,
                 EnsembleScratch<T>& scratch) {
    const int lanes = detail::rounded_up_to_lanes(count);
    take_all_taps<Simd>(row, call, rotation, x, lanes, scratch);
    if (call.unit->diagonal)
        find_vertices<Simd, T, true, slopes>(*call.unit, lanes, scratch);
    else
        find_vertices<Simd, T, false, slopes>(*call.unit, lanes, scratch);
}

// Adds one rotation's lookups to scratch.sum, rounding the running sums where the step does.
template <class Simd, class T, int fixed>
void blend_rows(const Step& step, const T* nodes, int rotation, int count, EnsembleScratch<T>& at) {
    const int values = fixed ? fixed : step.values;
    if constexpr (fixed == 16 && std::is_same_v<T, float> && requires { Simd::blend_row; }) {
        Simd::blend_row(nodes, step.turned[rotation].data(), step.round_each, count, at);
        return;
    }
    const int* turned = step.turned[rotation].data();
    for (int i = 0; i < count; ++i) {
        const T* row[5];
        for (int v = 0; v < 5; ++v) row[v] = nodes + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
        const T w0 = at.weight[0][i], w1 = at.weight[1][i], w2 = at.weight[2][i], w3 = at.weight[3][i],
                w4 = at.weight[4][i];
        T term[fixed ? fixed : 64];
        for (int v = 0; v < values; ++v)
            term[v] = w0 * row[0][v] + w1 * row[1][v] + w2 * row[2][v] + w3 * row[3][v] + w4 * row[4][v];
        T* sum = at.sum + i * values;
        for (int v = 0; v < values; ++v) {
            const T total = sum[v] + term[turned[v]];
            sum[v] = step.round_each ? std::rint(total) : total;
        }
    }
}

// One rotation's gradients: of the nodes, and into scratch.slope that of the taps.
template <class Simd, class T, int fixed, bool slopes>
void spread_rows(const Step& step, const EnsembleUnit<T>& call, const T* gradient, int rotation, int count,
                 EnsembleScratch<T>& at) {
    const int values = fixed ? fixed : step.values;
    // Turning back is turning on by as much as is missing to a full turn.
    const int* turned = step.turned[(4 - rotation) % 4].data();
    if constexpr (fixed == 16 && std::is_same_v<T, float> && requires { Simd::template spread_row<slopes>; }) {
        Simd::template spread_row<slopes>(call, turned, gradient, count, at);
        return;
    }
    for (int i = 0; i < count; ++i) {
        const T* from = gradient + i * values;
        T g[fixed ? fixed : 64];
        for (int v = 0; v < values; ++v) g[v] = from[turned[v]];
        if (call.node_gradient)
            for (int v = 0; v < 5; ++v) {
                T* to = call.node_gradient + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
                const T w = at.weight[v][i];
                for (int k = 0; k < values; ++k) to[k] += w * g[k];
            }
        if constexpr (slopes) {
            T dot[5] = {};
            for (int v = 0; v < 5; ++v) {
                const T* row = call.nodes + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
                for (int k = 0; k < values; ++k) dot[v] += row[k] * g[k];
            }
            for (int v = 0; v < 4; ++v) at.slope[at.axis[v][i]][i] = (dot[v + 1] - dot[v]) * at.scale[i];
        }
    }
}

// From the taps' gradient, times `share`, to that of one plane and, lane by lane in scratch, of its sampling weights.
template <class Simd, class T>
void spread_taps(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, int plane, int read, const T* share,
                 int rotation, int x, int count, EnsembleScratch<T>& scratch) {
    using Lanes = detail::Lanes<T>;
    const Unit& unit = *call.unit;
    T* to_plane = call.read_gradient[read] ? call.read_gradient[read] + x : nullptr;
    alignas(64) T slope[4][kChunk] = {};
    for (int tap = 0; tap < 4; ++tap)
        for (int i = 0; i < count; ++i) slope[tap][i] = scratch.slope[tap][i] * share[tap];
    if (unit.taps == TapKind::fixed) {
        if (!to_plane) return;
        for (int tap = 0; tap < 4; ++tap) {
            T* to = to_plane + unit.row[rotation][tap] * row.stride + unit.column[rotation][tap];
            for (int i = 0; i < count; ++i) to[i] += slope[tap][i];
        }
        return;
    }
    const int square = unit.kernel * unit.kernel, lanes = detail::rounded_up_to_lanes(count);
    const T* line = row.lines[plane] + x;
    for_each_in_window(unit, rotation, row.stride, [&](int number, std::ptrdiff_t offset) {
        if (to_plane) {
            // Not a number beyond `count`: it may be another part's, which another thread adds to.
            int i = 0;
            for (; i + kLanes <= count; i += kLanes) {
                auto sum = Lanes::load(to_plane + offset + i);
                for (int tap = 0; tap < 4; ++tap)
                    sum += call.weights[tap * square + number] * Lanes::load(slope[tap] + i);
                Lanes::store(to_plane + offset + i, sum);
            }
            for (; i < count; ++i)
                for (int tap = 0; tap < 4; ++tap)
                    to_plane[offset + i] += call.weights[tap * square + number] * slope[tap][i];
        }
        if (call.weight_gradient)
            for (int tap = 0; tap < 4; ++tap) {
                T* to = scratch.sampling[tap * square + number];
                auto sum = Lanes::load(to);
                for (int i = 0; i < lanes; i += kLanes)
                    sum += Lanes::load(slope[tap] + i) * Lanes::load(line + offset + i);
                Lanes::store(to, sum);
            }
    });
}

template <class Simd, class T>
void spread_all_taps(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, int rotation, int x, int count,
                     EnsembleScratch<T>& scratch) {
    const Unit& unit = *call.unit;
    if (unit.taps == TapKind::channel) {
        for (int tap = 0; tap < 4; ++tap)
            if (T* to = call.read_gradient[tap])
                for (int i = 0; i < count; ++i) to[x + i] += scratch.slope[tap][i];
        return;
    }
    T own[4] = {1, 1, 1, 1};
    if (unit.previous >= 0) {
        for (int tap = 0; tap < 4; ++tap) {
            own[tap] = 1 - call.shares[tap];
            if (!call.share_gradient) continue;
            T sum = 0;
            for (int i = 0; i < count; ++i)
                sum += scratch.slope[tap][i] * (scratch.before[tap][i] - scratch.current[tap][i]);
            call.share_gradient[tap] += static_cast<double>(sum);
        }
        spread_taps<Simd>(row, call, unit.previous, 4, call.shares, rotation, x, count, scratch);
    }
    spread_taps<Simd>(row, call, unit.reads[0], 0, own, rotation, x, count, scratch);
}

template <class Simd, class T, int fixed>
void forward_row(const EnsembleRow<T>& row, const std::vector<EnsembleUnit<T>>& units, T* out,
                 EnsembleScratch<T>& scratch) {
    const Step& step = *row.step;
    for (int x = 0; x < row.count; x += kChunk) {
        const int count = std::min(kChunk, row.count - x), size = count * step.values;
        T* result = out + static_cast<std::ptrdiff_t>(x) * step.values;
        std::fill_n(scratch.sum, size, T(0));
        if (step.round_apart) std::fill_n(result, size, T(0));
        for (const EnsembleUnit<T>& call : units) {
            for (int rotation = 0; rotation < call.unit->rotations; ++rotation) {
                locate_taps<Simd, T, false>(row, call, rotation, x, count, scratch);
                blend_rows<Simd, T, fixed>(step, call.nodes, rotation, count, scratch);
            }
            if (step.round_apart) {
                for (int i = 0; i < size; ++i) result[i] += scratch.sum[i];
                std::fill_n(scratch.sum, size, T(0));
            }
        }
        if (!step.round_apart) std::memcpy(result, scratch.sum, static_cast<std::size_t>(size) * sizeof(T));
    }
}

template <class Simd, class T, int fixed>
void backward_row(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, const T* gradient,
                  EnsembleScratch<T>& scratch) {
    const Step& step = *row.step;
    for (int x = 0; x < row.count; x += kChunk) {
        const int count = std::min(kChunk, row.count - x);
        const T* from = gradient + static_cast<std::ptrdiff_t>(x) * step.values;
        for (int rotation = 0; rotation < call.unit->rotations; ++rotation) {
            if (!call.slopes) {
                locate_taps<Simd, T, false>(row, call, rotation, x, count, scratch);
                spread_rows<Simd, T, fixed, false>(step, call, from, rotation, count, scratch);
                continue;
            }
            locate_taps<Simd, T, true>(row, call, rotation, x, count, scratch);
            spread_rows<Simd, T, fixed, true>(step, call, from, rotation, count, scratch);
            spread_all_taps<Simd>(row, call, rotation, x, count, scratch);
        }
    }
    if (!call.weight_gradient) return;
    for (int i = 0; i < 4 * call.unit->kernel * call.unit->kernel; ++i)
        for (T& lane : scratch.sampling[i]) {
            call.weight_gradient[i] += static_cast<double>(lane);
            lane = 0;
        }
}

template <class Simd, class T, class Visit>
void with_values(int values, Visit visit) {
    switch (values) {
        case 1:
            return visit(std::integral_constant<int, 1>());
        case 2:
            return visit(std::integral_constant<int, 2>());
        case 4:
            return visit(std::integral_constant<int, 4>());
        case 9:
            return visit(std::integral_constant<int, 9>());
        case 16:
            return visit(std::integral_constant<int, 16>());
        default:
            return visit(std::integral_constant<int, 0>());
    }
}

template <class Simd, class T>
void forward_any(const EnsembleRow<T>& row, const std::vector<EnsembleUnit<T>>& units, T* out,
                 EnsembleScratch<T>& scratch) {
    with_values<Simd, T>(row.step->values,
                         [&](auto fixed) { forward_row<Simd, T, decltype(fixed)::value>(row, units, out, scratch); });
}

template <class Simd, class T>
void backward_any(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, const T* gradient,
                  EnsembleScratch<T>& scratch) {
    with_values<Simd, T>(row.step->values, [&](auto fixed) {
        backward_row<Simd, T, decltype(fixed)::value>(row, call, gradient, scratch);
    });
}

}  // namespace lutra
