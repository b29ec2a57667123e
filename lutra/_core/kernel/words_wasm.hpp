// Lookups of up to 16 values whose weights have few bits, with WebAssembly's vectors: a value times its weight is a
// word of 16 bits, and so is the sum of all rotations.
#pragma once

#include <wasm_simd128.h>

#include "locate_wasm.hpp"

namespace lutra {

struct WasmWords {
    // A word holds the sum of four rotations: 4 * 2^6 * 128 at most.
    static constexpr int kBits = 6;

    // Sixteen words.
    struct Row {
        v128_t low, high;

        Row(v128_t first, v128_t second) : low(first), high(second) {}
        // The values of a pixel's simplex times their weights.
        Row(const std::int8_t* table, const Scratch& scratch, int rotation, int i)
            : low(wasm_i16x8_const_splat(0)), high(low) {
            for (int vertex = 0; vertex < 5; ++vertex) {
                const std::int8_t* values = table + scratch.place[rotation][vertex][i];
                const v128_t weight = wasm_v128_load16_splat(&scratch.word[rotation][vertex][i]);
                low = wasm_i16x8_add(low, wasm_i16x8_mul(wasm_i16x8_load8x8(values), weight));
                high = wasm_i16x8_add(high, wasm_i16x8_mul(wasm_i16x8_load8x8(values + 8), weight));
            }
        }
        // Adds them to 32-bit sums.
        void add_to(std::int32_t* sums) const {
            const v128_t parts[4] = {wasm_i32x4_extend_low_i16x8(low), wasm_i32x4_extend_high_i16x8(low),
                                     wasm_i32x4_extend_low_i16x8(high), wasm_i32x4_extend_high_i16x8(high)};
            for (int i = 0; i < 4; ++i)
                wasm_v128_store(sums + 4 * i, wasm_i32x4_add(wasm_v128_load(sums + 4 * i), parts[i]));
        }
    };

    // Where a rotation takes the bytes of its words from: an index beyond a vector gives 0.
    struct Turn {
        Turn(const Step& step, int rotation) {
            const v128_t from = wasm_v128_load(step.turned_row[rotation].data());
            for (int half = 0; half < 2; ++half) {
                const v128_t words = half ? wasm_u16x8_extend_high_u8x16(from) : wasm_u16x8_extend_low_u8x16(from);
                const v128_t bytes = wasm_i16x8_add(wasm_i16x8_mul(words, wasm_i16x8_const_splat(0x0202)),
                                                    wasm_i16x8_const_splat(0x0100));
                order[half][0] = wasm_v128_or(bytes, wasm_i8x16_gt(bytes, wasm_i8x16_const_splat(15)));
                order[half][1] = wasm_i8x16_sub(bytes, wasm_i8x16_const_splat(16));
            }
        }
        v128_t operator()(const Row& row, int half) const {
            return wasm_v128_or(wasm_i8x16_swizzle(row.low, order[half][0]),
                                wasm_i8x16_swizzle(row.high, order[half][1]));
        }
        v128_t order[2][2];
    };

    static void blend_exact(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const std::int8_t* table = unit.nodes.data();
        const Turn turns[] = {{step, 1}, {step, 2}, {step, 3}};
        for (int i = 0; i < kChunk; ++i) {
            Row sum(table, scratch, 0, i);  // which does not turn
            for (int r = 1; r < unit.rotations; ++r) {
                const Row row(table, scratch, r, i);
                sum.low = wasm_i16x8_add(sum.low, turns[r - 1](row, 0));
                sum.high = wasm_i16x8_add(sum.high, turns[r - 1](row, 1));
            }
            sum.add_to(sums + i * kLanes);
        }
    }

    // As add_rounded. The sums so far count by their parity alone.
    static void blend_rounded(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const std::int8_t* table = unit.nodes.data();
        const int bits = step.denominator_bits;
        const v128_t half = wasm_i16x8_splat(static_cast<std::int16_t>((1 << (bits - 1)) - 1));
        const v128_t one = wasm_i16x8_const_splat(1), lowest = wasm_i32x4_const_splat(1);
        const Turn turns[] = {{step, 0}, {step, 1}, {step, 2}, {step, 3}};
        for (int i = 0; i < kChunk; ++i) {
            const std::int32_t* from = sums + i * kLanes;
            const auto parity = [&](int first) {
                return wasm_i16x8_narrow_i32x4(wasm_v128_and(wasm_v128_load(from + first), lowest),
                                               wasm_v128_and(wasm_v128_load(from + first + 4), lowest));
            };
            const v128_t before[2] = {parity(0), parity(8)};
            v128_t after[2] = {before[0], before[1]};
            for (int r = 0; r < unit.rotations; ++r) {
                const Row row(table, scratch, r, i);
                for (int part = 0; part < 2; ++part) {
                    const v128_t low = wasm_i16x8_add(turns[r](row, part), half);
                    const v128_t odd =
                        wasm_v128_and(wasm_i16x8_add(wasm_i16x8_shr(low, inside(bits)), after[part]), one);
                    after[part] = wasm_i16x8_add(after[part], wasm_i16x8_shr(wasm_i16x8_add(low, odd), inside(bits)));
                }
            }
            const Row change(wasm_i16x8_sub(after[0], before[0]), wasm_i16x8_sub(after[1], before[1]));
            change.add_to(sums + i * kLanes);
        }
    }
};

}  // namespace lutra
