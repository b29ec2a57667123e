// The taps of a row of pixels, and from their gradients those of planes, sampling weights and shares.
#pragma once

#include <cmath>
#include <cstring>

#include "vertices.hpp"

namespace lutra {

namespace {  // local to each level's file
namespace detail {

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

// How far from its pixel a tap at a fixed offset lies.
template <class T>
std::ptrdiff_t tap_offset(const EnsembleRow<T>& row, const Unit& unit, int rotation, int tap) {
    return unit.row[rotation][tap] * row.stride + unit.column[rotation][tap];
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
            const T* from = line + tap_offset(row, unit, rotation, tap);
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
        for (int tap = 0; tap < 4; ++tap) {
            const T* from = row.lines[unit.reads[tap]] + x + tap_offset(row, unit, rotation, tap);
            for (int i = 0; i < count; ++i) scratch.taps[tap][i] = from[i];
        }
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
            T* to = to_plane + tap_offset(row, unit, rotation, tap);
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
            if (T* to = call.read_gradient[tap]) {
                to += x + tap_offset(row, unit, rotation, tap);
                for (int i = 0; i < count; ++i) to[i] += scratch.slope[tap][i];
            }
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

}  // namespace lutra
