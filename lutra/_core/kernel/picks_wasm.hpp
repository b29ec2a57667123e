// Vertices picked with WebAssembly's vectors: a swizzle picks from two cells of three axes or one of four.
#pragma once

#include "vectors_wasm.hpp"

namespace lutra {

struct WasmPicks : WasmBytes {
    using Sums = v128_t;

    static Bytes same(int byte) { return (Bytes)wasm_i8x16_splat(static_cast<std::int8_t>(byte)); }
    static Bytes byte(int number) { return (Bytes)wasm_i32x4_splat(static_cast<std::int32_t>(255U << 8 * number)); }
    static Bytes most(Bytes a, Bytes b) { return (Bytes)wasm_u8x16_max((v128_t)a, (v128_t)b); }
    static Bytes least(Bytes a, Bytes b) { return (Bytes)wasm_u8x16_min((v128_t)a, (v128_t)b); }
    static Bytes low_bytes(Bytes a, Bytes b) { return (Bytes)Wasm::low_bytes((v128_t)a, (v128_t)b); }
    static Bytes high_bytes(Bytes a, Bytes b) { return (Bytes)Wasm::high_bytes((v128_t)a, (v128_t)b); }
    static Bytes low_words(Bytes a, Bytes b) { return (Bytes)Wasm::low_words((v128_t)a, (v128_t)b); }
    static Bytes high_words(Bytes a, Bytes b) { return (Bytes)Wasm::high_words((v128_t)a, (v128_t)b); }

    static Sums load_sums(const std::int32_t* from) { return wasm_v128_load(from); }
    static void store_sums(std::int32_t* to, Sums sums) { wasm_v128_store(to, sums); }
    // Four products of at most 16 * 128 stay within 16 bits.
    static Sums dot(Sums sum, Bytes weights, Bytes values) {
        const auto w = (v128_t)weights, v = (v128_t)values;
        const v128_t low = wasm_i16x8_extmul_low_i8x16(w, v), high = wasm_i16x8_extmul_high_i8x16(w, v);
        const v128_t even = wasm_i16x8_shuffle(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
        const v128_t odd = wasm_i16x8_shuffle(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
        return wasm_i32x4_add(sum, wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(even, odd)));
    }
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        Wasm::round_sums<reciprocal>(sums, count, divisor, shift, result);
    }
    static Bytes in_order(Bytes bytes) { return bytes; }

    // Where a pixel's cell starts among those that a swizzle picks from.
    template <int axes>
    static Bytes cell() {
        return (Bytes)wasm_i32x4_splat(axes == 3 ? 0x08000800 : 0);
    }

    // The cells of four pixels.
    template <int axes>
    struct Cells;
};

template <>
struct WasmPicks::Cells<3> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        const auto pair = [&](const std::uint16_t* at) {
            return wasm_v128_load64_lane(cells + at[1] * 8, wasm_v128_load64_zero(cells + at[0] * 8), 1);
        };
        first = pair(numbers);
        second = pair(numbers + 2);
    }
    Bytes pick(Bytes corners) const {
        return (Bytes)wasm_i64x2_shuffle(wasm_i8x16_swizzle(first, (v128_t)corners),
                                         wasm_i8x16_swizzle(second, (v128_t)corners), 0, 3);
    }
    v128_t first, second;
};

template <>
struct WasmPicks::Cells<4> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        for (int i = 0; i < 4; ++i) pixel[i] = wasm_v128_load(cells + numbers[i] * 16);
    }
    Bytes pick(Bytes corners) const {
        const auto from = [&](int i) { return wasm_i8x16_swizzle(pixel[i], (v128_t)corners); };
        const v128_t first = wasm_i32x4_shuffle(from(0), from(1), 0, 5, 0, 0);
        const v128_t second = wasm_i32x4_shuffle(from(2), from(3), 0, 0, 2, 7);
        return (Bytes)wasm_i32x4_shuffle(first, second, 0, 1, 6, 7);
    }
    v128_t pixel[4];
};

}  // namespace lutra
