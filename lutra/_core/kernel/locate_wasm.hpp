// Where simplexes and cells lie, for four pixels at once with WebAssembly's vectors; see locate.hpp.
#pragma once

#include <wasm_simd128.h>

#include <algorithm>

#include "locate.hpp"

namespace lutra {

// A number of bits to shift by, made inside a loop: clang 14 shifts lane by lane by a vector from outside.
inline __attribute__((always_inline)) int inside(int bits) {
    asm volatile("" : "+r"(bits));
    return bits;
}

struct WasmLocate {
    struct Taps {
        v128_t axis[4];

        Taps(const std::uint8_t (*taps)[kChunk], int i) {
            for (int tap = 0; tap < 4; ++tap)
                axis[tap] =
                    wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(taps[tap] + i)));
        }
        Taps(const std::uint16_t (*taps)[kChunk], int i) {
            for (int tap = 0; tap < 4; ++tap) axis[tap] = wasm_u32x4_load16x4(taps[tap] + i);
        }
    };

    struct Walk {
        explicit Walk(const detail::Walk& walk)
            : mask(same(walk.mask)),
              origin(same(walk.origin)),
              cell_shift(static_cast<int>(walk.cell_shift)),
              key_shift(static_cast<int>(walk.shift) + 16) {
            for (int axis = 0; axis < 4; ++axis) stride[axis] = same(walk.stride[axis]);
        }
        v128_t base(const Taps& taps) const {
            v128_t sum = origin;
            for (int axis = 0; axis < 4; ++axis)
                sum = wasm_i32x4_add(sum,
                                     wasm_i32x4_mul(wasm_u32x4_shr(taps.axis[axis], inside(cell_shift)), stride[axis]));
            return sum;
        }
        v128_t key(const Taps& taps, int axis) const {
            const v128_t rest = wasm_i32x4_shl(wasm_v128_and(taps.axis[axis], mask), inside(key_shift));
            return wasm_v128_or(rest, stride[axis]);
        }

        v128_t mask, origin, stride[4];
        int cell_shift, key_shift;
    };

    // All bits are set where a pixel's taps are too far from each other.
    struct Far {
        explicit Far(const detail::Near& near) {
            for (int axis = 0; axis < 3; ++axis)
                limit[axis] = same(std::min<std::uint32_t>(near.limit[axis], 0x7fffffff));
        }
        v128_t operator()(const Taps& taps) const {
            v128_t far = wasm_i32x4_const_splat(0);
            for (int axis = 1; axis < 4; ++axis) {
                const v128_t a = taps.axis[0], b = taps.axis[axis];
                const v128_t distance = wasm_i32x4_sub(wasm_i32x4_max(a, b), wasm_i32x4_min(a, b));
                far = wasm_v128_or(far, wasm_i32x4_gt(distance, limit[axis - 1]));
            }
            return far;
        }
        v128_t limit[3];
    };

    // The first node, or cell, of four pixels, in entries.
    template <bool diagonal>
    struct Bases {
        Bases(const detail::Walk& fine_walk, const detail::Walk& coarse_walk, const detail::Near& near)
            : fine(fine_walk), coarse(coarse_walk), far(near) {}

        v128_t operator()(const Taps& taps, v128_t apart) const {
            const v128_t base = fine.base(taps);
            return diagonal ? wasm_v128_bitselect(coarse.base(taps), base, apart) : base;
        }
        v128_t apart(const Taps& taps) const { return diagonal ? far(taps) : wasm_i32x4_const_splat(0); }
        v128_t key(const Taps& taps, v128_t apart, int axis) const {
            const v128_t key = fine.key(taps, axis);
            return diagonal ? wasm_v128_bitselect(coarse.key(taps, axis), key, apart) : key;
        }

        Walk fine, coarse;
        Far far;
    };

    static v128_t same(std::uint32_t x) { return wasm_i32x4_splat(static_cast<std::int32_t>(x)); }
    static void order(v128_t& above, v128_t& below) {
        const v128_t high = wasm_u32x4_max(above, below);
        below = wasm_u32x4_min(above, below);
        above = high;
    }

    // As locate_vertices does it.
    template <Weights kind, bool diagonal, class Tap>
    static void vertices(const Bases<diagonal>& bases, const Tap (*taps)[kChunk], std::uint32_t entry, int bits,
                         int rotation, Scratch& scratch) {
        auto* place = scratch.place[rotation];
        const v128_t values = same(entry), whole = same(1U << bits), low = same(0xffff);
        for (int i = 0; i < kChunk; i += 4) {
            const Taps four(taps, i);
            const v128_t apart = bases.apart(four);
            v128_t vertex = bases(four, apart), key[4];
            for (int axis = 0; axis < 4; ++axis) key[axis] = bases.key(four, apart, axis);
            order(key[0], key[1]);
            order(key[2], key[3]);
            order(key[0], key[2]);
            order(key[1], key[3]);
            order(key[1], key[2]);
            v128_t weights[5], before = whole;
            wasm_v128_store(&place[0][i], wasm_i32x4_mul(vertex, values));
            for (int step = 0; step < 4; ++step) {
                vertex = wasm_i32x4_add(vertex, wasm_v128_and(key[step], low));
                wasm_v128_store(&place[step + 1][i], wasm_i32x4_mul(vertex, values));
                const v128_t rest = wasm_u32x4_shr(key[step], 16);
                weights[step] = wasm_i32x4_sub(before, rest);
                before = rest;
            }
            weights[4] = before;
            store<kind>(weights, scratch, rotation, i);
        }
    }

    template <Weights kind>
    static void store(const v128_t (&weights)[5], Scratch& scratch, int rotation, int i) {
        if constexpr (kind == Weights::words) {
            for (int vertex = 0; vertex < 5; ++vertex)
                wasm_v128_store64_lane(&scratch.word[rotation][vertex][i],
                                       wasm_i16x8_narrow_i32x4(weights[vertex], weights[vertex]), 0);
        } else {
            static_assert(kind == Weights::wide);
            const auto packed = [&](auto part) {
                return wasm_v128_or(
                    wasm_v128_or(part(weights[0]), wasm_i32x4_shl(part(weights[1]), 8)),
                    wasm_v128_or(wasm_i32x4_shl(part(weights[2]), 16), wasm_i32x4_shl(part(weights[3]), 24)));
            };
            wasm_v128_store(&scratch.quad[rotation][0][i],
                            packed([](v128_t w) { return wasm_v128_and(w, wasm_i32x4_const_splat(127)); }));
            wasm_v128_store(&scratch.quad[rotation][1][i], packed([](v128_t w) { return wasm_u32x4_shr(w, 7); }));
            wasm_v128_store(&scratch.weight[rotation][4][i], weights[4]);
        }
    }

    // A chunk's remainders, as locate_cells takes them. No remainder leaves its tap, so that words shift bytes too.
    template <bool diagonal, class Tap>
    static void remainders(const detail::Walk& fine, const detail::Walk& coarse, const Tap (&limits)[3],
                           const Tap (*taps)[kChunk], Tap (*remainder)[kChunk]) {
        constexpr bool bytes = sizeof(Tap) == 1;
        const auto all = [](std::uint32_t x) {
            return bytes ? wasm_i8x16_splat(static_cast<std::int8_t>(x))
                         : wasm_i16x8_splat(static_cast<std::int16_t>(x));
        };
        const auto above = [](v128_t x, v128_t y) {
            return bytes ? wasm_u8x16_sub_sat(x, y) : wasm_u16x8_sub_sat(x, y);
        };
        const auto is_zero = [](v128_t x) {
            const v128_t none = wasm_i32x4_const_splat(0);
            return bytes ? wasm_i8x16_eq(x, none) : wasm_i16x8_eq(x, none);
        };
        const auto rest = [&](v128_t tap, const detail::Walk& walk) {
            return wasm_i16x8_shl(wasm_v128_and(tap, all(walk.mask)), inside(static_cast<int>(walk.shift)));
        };
        for (int i = 0; i < kChunk; i += 16 / static_cast<int>(sizeof(Tap))) {
            v128_t tap[4], apart = wasm_i32x4_const_splat(0);
            for (int axis = 0; axis < 4; ++axis) tap[axis] = wasm_v128_load(taps[axis] + i);
            for (int axis = 1; diagonal && axis < 4; ++axis) {
                const v128_t distance = wasm_v128_or(above(tap[0], tap[axis]), above(tap[axis], tap[0]));
                apart = wasm_v128_or(apart, above(distance, all(limits[axis - 1])));
            }
            const v128_t close = is_zero(apart);
            for (int axis = 0; axis < 4; ++axis) {
                v128_t result = rest(tap[axis], fine);
                if constexpr (diagonal) result = wasm_v128_bitselect(result, rest(tap[axis], coarse), close);
                wasm_v128_store(remainder[axis] + i, result);
            }
        }
    }

    // Bytes to the cells of a chunk.
    template <bool diagonal, class Tap>
    static void cells(const Bases<diagonal>& bases, const Tap (*taps)[kChunk], std::uint32_t bytes,
                      std::uint32_t* cell) {
        for (int i = 0; i < kChunk; i += 4) {
            const Taps four(taps, i);
            wasm_v128_store(cell + i, wasm_i32x4_mul(bases(four, bases.apart(four)), same(bytes)));
        }
    }
};

}  // namespace lutra
