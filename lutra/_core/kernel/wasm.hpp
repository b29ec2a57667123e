// What the vector kernels do with WebAssembly's vectors of 128 bits.
//
// There are no products of bytes that add up neighbours: entries become 16-bit words, of which an instruction
// multiplies and adds pairs. A weight of 14 bits fits a word, so that its parts of 7 bits are put together again.
#pragma once

#include <wasm_simd128.h>

#include "../kernels.hpp"
#include "lines_wasm.hpp"
#include "locate_wasm.hpp"
#include "words_wasm.hpp"

namespace lutra {

struct Wasm {
    using Quad = v128_t;  // four 32-bit sums
    using Locate = WasmLocate;
    using Lines = WasmLines;
    static constexpr int kWordBits = WasmWords::kBits;

    static Quad zero() { return wasm_i32x4_const_splat(0); }
    static Quad load(const std::int32_t* from) { return wasm_v128_load(from); }
    static void store(std::int32_t* to, Quad sums) { wasm_v128_store(to, sums); }
    static Quad joined(Quad high, Quad low) { return wasm_i32x4_add(wasm_i32x4_shl(high, 7), low); }

    static Quad dot(Quad sum, const std::uint8_t* weights, const std::int8_t* values) {
        const v128_t low = wasm_i32x4_dot_i16x8(wasm_u16x8_load8x8(weights), wasm_i16x8_load8x8(values));
        const v128_t high = wasm_i32x4_dot_i16x8(wasm_u16x8_load8x8(weights + 8), wasm_i16x8_load8x8(values + 8));
        return wasm_i32x4_add(sum, wasm_i32x4_add(low, high));
    }

    // The four sums of each of `count` quads added up.
    static void reduce(const std::int32_t (*quads)[4], int count, std::int32_t* sums) {
        const auto pairs = [](Quad a, Quad b) {
            return wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
        };
        for (int i = 0; i < count; i += 4) {
            const Quad first = pairs(load(quads[i]), load(quads[i + 1]));
            const Quad second = pairs(load(quads[i + 2]), load(quads[i + 3]));
            store(sums + i, pairs(first, second));
        }
    }

    // As lutra::add_rounded.
    static void add_rounded(std::int32_t* sums, const std::int32_t* terms, int count, int bits) {
        const v128_t half = wasm_i32x4_splat((1 << (bits - 1)) - 1);
        for (int i = 0; i < count; i += 4)
            store(sums + i, rounded_in(load(sums + i), wasm_i32x4_add(load(terms + i), half), bits));
    }
    // `low` already has half a unit less added.
    static Quad rounded_in(Quad running, Quad low, int bits) {
        const Quad odd =
            wasm_v128_and(wasm_i32x4_add(wasm_i32x4_shr(low, inside(bits)), running), wasm_i32x4_const_splat(1));
        return wasm_i32x4_add(running, wasm_i32x4_shr(wasm_i32x4_add(low, odd), inside(bits)));
    }

    // As lutra::round_sums in single precision.
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        const auto whole = static_cast<float>(divisor);
        const v128_t by = wasm_f32x4_splat(reciprocal ? 1.0F / whole : whole), add = wasm_i32x4_splat(shift);
        const v128_t least = wasm_f32x4_const_splat(0), most = wasm_f32x4_const_splat(255);
        const v128_t magic = wasm_f32x4_const_splat(12582912);
        const auto levels = [&](const std::int32_t* from) {
            const v128_t sum = wasm_f32x4_convert_i32x4(wasm_i32x4_add(load(from), add));
            const v128_t quotient = reciprocal ? wasm_f32x4_mul(sum, by) : wasm_f32x4_div(sum, by);
            const v128_t clipped = wasm_f32x4_pmin(wasm_f32x4_pmax(quotient, least), most);
            return wasm_i32x4_sub(wasm_f32x4_add(clipped, magic), magic);  // the number is in the lowest bits
        };
        for (int i = 0; i < count; i += 16) {
            const v128_t low = wasm_i16x8_narrow_i32x4(levels(sums + i), levels(sums + i + 4));
            const v128_t high = wasm_i16x8_narrow_i32x4(levels(sums + i + 8), levels(sums + i + 12));
            wasm_v128_store(result + i, wasm_u8x16_narrow_i16x8(low, high));
        }
    }

    // The bytes, or words, of the lower or upper halves of two vectors alternating.
    static v128_t low_bytes(v128_t a, v128_t b) {
        return wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    }
    static v128_t high_bytes(v128_t a, v128_t b) {
        return wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    static v128_t low_words(v128_t a, v128_t b) { return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
    static v128_t high_words(v128_t a, v128_t b) { return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }

    // Turns 16 vectors of 16 bytes: interleaving four times sorts them.
    static void turn(v128_t* vectors) {
        v128_t next[16];
        for (int round = 0; round < 4; ++round) {
            for (int i = 0; i < 8; ++i) {
                next[2 * i] = low_bytes(vectors[i], vectors[i + 8]);
                next[2 * i + 1] = high_bytes(vectors[i], vectors[i + 8]);
            }
            for (int i = 0; i < 16; ++i) vectors[i] = next[i];
        }
    }

    // [corner][pixel] to [pixel][corner].
    static void interleave(const std::uint8_t (*from)[kChunk], std::uint8_t (*to)[16]) {
        for (int first = 0; first < kChunk; first += 16) {
            v128_t vectors[16];
            for (int i = 0; i < 16; ++i) vectors[i] = wasm_v128_load(from[i] + first);
            turn(vectors);
            for (int i = 0; i < 16; ++i) wasm_v128_store(to[first + i], vectors[i]);
        }
    }

    // Sixteen 32-bit sums.
    struct Sums {
        Quad quads[4];

        static Sums load(const std::int32_t* from) {
            return {{Wasm::load(from), Wasm::load(from + 4), Wasm::load(from + 8), Wasm::load(from + 12)}};
        }
        void store(std::int32_t* to) const {
            for (int i = 0; i < 4; ++i) Wasm::store(to + 4 * i, quads[i]);
        }
        static Sums all(std::int32_t value) {
            const Quad quad = wasm_i32x4_splat(value);
            return {{quad, quad, quad, quad}};
        }
        // Adds two rows of 16 values times their weights, which alternate in `weights`.
        void add(v128_t first, v128_t second, v128_t weights) {
            const v128_t low = low_bytes(first, second), high = high_bytes(first, second);
            const v128_t words[4] = {wasm_i16x8_extend_low_i8x16(low), wasm_i16x8_extend_high_i8x16(low),
                                     wasm_i16x8_extend_low_i8x16(high), wasm_i16x8_extend_high_i8x16(high)};
            for (int i = 0; i < 4; ++i) quads[i] = wasm_i32x4_add(quads[i], wasm_i32x4_dot_i16x8(words[i], weights));
        }
    };

    // Four weights as words, twice; `parts[1]` holds what exceeds 7 bits.
    template <bool wide>
    static v128_t weights(const std::uint32_t (&parts)[2][kChunk], int i) {
        const v128_t low = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_splat(&parts[0][i]));
        if constexpr (!wide) return low;
        const v128_t high = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_splat(&parts[1][i]));
        return wasm_i16x8_add(low, wasm_i16x8_shl(high, 7));
    }
    static v128_t first_pair(v128_t weights) { return wasm_i32x4_shuffle(weights, weights, 0, 0, 0, 0); }
    static v128_t second_pair(v128_t weights) { return wasm_i32x4_shuffle(weights, weights, 1, 1, 1, 1); }

    // The entry at a vertex of a pixel, turned.
    struct Entry {
        Entry(const Step& step, const Unit& unit, const Scratch& scratch, int rotation)
            : table(unit.nodes.data()),
              place(scratch.place[rotation]),
              order(wasm_v128_load(step.turned_row[rotation].data())) {}

        v128_t operator()(int vertex, int i) const {
            return wasm_i8x16_swizzle(wasm_v128_load(table + place[vertex][i]), order);
        }
        const std::int8_t* table;
        const std::uint32_t (*place)[kChunk];
        v128_t order;
    };

    template <bool wide>
    static void blend_exact(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        if constexpr (!wide) return WasmWords::blend_exact(step, unit, scratch, sums);
        for (int i = 0; i < kChunk; ++i) {
            Sums sum = Sums::load(sums + i * kLanes);
            v128_t fifth[4] = {zero(), zero(), zero(), zero()};
            for (int r = 0; r < unit.rotations; ++r) {
                const Entry entry(step, unit, scratch, r);
                const v128_t four = weights<wide>(scratch.quad[r], i);
                sum.add(entry(0, i), entry(1, i), first_pair(four));
                sum.add(entry(2, i), entry(3, i), second_pair(four));
                fifth[r] = entry(4, i);
            }
            const v128_t last = weights<wide>(scratch.fifth[0], i);
            sum.add(fifth[0], fifth[1], first_pair(last));
            if (unit.rotations > 2) sum.add(fifth[2], fifth[3], second_pair(last));
            sum.store(sums + i * kLanes);
        }
    }

    template <bool wide>
    static void blend_rounded(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        if constexpr (!wide) return WasmWords::blend_rounded(step, unit, scratch, sums);
        const int bits = step.denominator_bits;
        for (int i = 0; i < kChunk; ++i) {
            Sums running = Sums::load(sums + i * kLanes);
            for (int r = 0; r < unit.rotations; ++r) {
                const Entry entry(step, unit, scratch, r);
                Sums sum = Sums::all((1 << (bits - 1)) - 1);  // as add_rounded: half a unit less
                const v128_t four = weights<wide>(scratch.quad[r], i);
                sum.add(entry(0, i), entry(1, i), first_pair(four));
                sum.add(entry(2, i), entry(3, i), second_pair(four));
                sum.add(entry(4, i), zero(), first_pair(weights<wide>(scratch.fifth[r], i)));
                for (int part = 0; part < 4; ++part)
                    running.quads[part] = rounded_in(running.quads[part], sum.quads[part], bits);
            }
            running.store(sums + i * kLanes);
        }
    }

    // Weighted means of a window for eight pixels at once, two of its rows at a time; see sample_pairs.
    static void sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x, Scratch&,
                       std::uint16_t (*taps)[kChunk]) {
        const int kernel = unit.kernel, pairs = (kernel + 1) / 2, shift = kWeightBits - tap_bits;
        const int down = rotation < 2 ? 1 : -1;
        const int left = rotation == 1 || rotation == 2 ? 1 - kernel : 0;
        const v128_t half = wasm_i32x4_splat(1 << (shift - 1));
        for (int i = 0; i < kChunk; i += 8) {
            v128_t low[4] = {half, half, half, half}, high[4] = {half, half, half, half};
            const std::int32_t* weights = unit.pair_weights[rotation].data();
            for (int pair = 0; pair < pairs; ++pair) {
                // The last row may be alone: the weight of the second is 0.
                const int row = 2 * pair, next = row + 1 < kernel ? row + 1 : row;
                const std::uint8_t* first = lines[kMaxReach + down * row] + x + left + i;
                const std::uint8_t* second = lines[kMaxReach + down * next] + x + left + i;
                for (int column = 0; column < kernel; ++column, weights += 4) {
                    const v128_t a = wasm_u16x8_load8x8(first + column), b = wasm_u16x8_load8x8(second + column);
                    const v128_t low_pairs = low_words(a, b), high_pairs = high_words(a, b);
                    for (int tap = 0; tap < 4; ++tap) {
                        const v128_t weight = wasm_i32x4_splat(weights[tap]);
                        low[tap] = wasm_i32x4_add(low[tap], wasm_i32x4_dot_i16x8(low_pairs, weight));
                        high[tap] = wasm_i32x4_add(high[tap], wasm_i32x4_dot_i16x8(high_pairs, weight));
                    }
                }
            }
            for (int tap = 0; tap < 4; ++tap)
                wasm_v128_store(taps[tap] + i, wasm_u16x8_narrow_i32x4(wasm_u32x4_shr(low[tap], inside(shift)),
                                                                       wasm_u32x4_shr(high[tap], inside(shift))));
        }
    }
};

}  // namespace lutra
