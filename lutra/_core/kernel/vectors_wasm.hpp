// Layers with WebAssembly's vectors: a table of 64 bytes is four vectors. A shuffle returns 0 for an index beyond its
// 16 bytes, so that of four lookups, at indices 16 apart, one counts.
#pragma once

#include "vectors_words.hpp"
#include "wasm.hpp"

namespace lutra {

struct WasmBytes {
    static constexpr int kBytes = 16, kVectors = 4;
    typedef std::uint8_t Bytes __attribute__((vector_size(16)));
    typedef std::uint16_t Words __attribute__((vector_size(16)));
    typedef std::int16_t Signed __attribute__((vector_size(16)));

    struct Index {
        v128_t quarters[4];
    };

    template <bool narrow>
    struct Table {
        explicit Table(const std::uint8_t* table) {
            for (int i = 0; i < (narrow ? 1 : 4); ++i) quarters[i] = wasm_v128_load(table + 16 * i);
        }
        Bytes look(const Index& index) const {
            const auto in = [&](int i) { return wasm_i8x16_swizzle(quarters[i], index.quarters[i]); };
            if constexpr (narrow) return (Bytes)in(0);
            return (Bytes)wasm_v128_or(wasm_v128_or(in(0), in(1)), wasm_v128_or(in(2), in(3)));
        }
        v128_t quarters[4];
    };

    static Bytes load(const void* from) { return (Bytes)wasm_v128_load(from); }
    static void store(void* to, Bytes bytes) { wasm_v128_store(to, (v128_t)bytes); }
    static Index index(const std::uint8_t* pixels) {
        const v128_t value = wasm_v128_and(wasm_v128_load(pixels), wasm_i8x16_const_splat(kLevels - 1));
        return {{value, wasm_i8x16_sub(value, wasm_i8x16_const_splat(16)),
                 wasm_i8x16_sub(value, wasm_i8x16_const_splat(32)), wasm_i8x16_sub(value, wasm_i8x16_const_splat(48))}};
    }
    static void prepare(const std::uint8_t* pixels, std::uint8_t* indices, int i) {
        const Index made = index(pixels);
        for (int quarter = 0; quarter < 4; ++quarter)
            wasm_v128_store(indices + (4 * i + quarter) * kBytes, made.quarters[quarter]);
    }
    static Index prepared(const std::uint8_t* indices, int i) {
        const auto at = [&](int quarter) { return wasm_v128_load(indices + (4 * i + quarter) * kBytes); };
        return {{at(0), at(1), at(2), at(3)}};
    }

    static Words words(int value) { return (Words)wasm_i16x8_splat(static_cast<std::int16_t>(value)); }
    static Words multiply_high(Words a, Words b) {
        const auto x = (v128_t)a, y = (v128_t)b;
        const v128_t low = wasm_u32x4_extmul_low_u16x8(x, y), high = wasm_u32x4_extmul_high_u16x8(x, y);
        return (Words)wasm_i16x8_shuffle(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
    }
    static Words shift_right(Words words, int bits) { return (Words)wasm_u16x8_shr((v128_t)words, inside(bits)); }
    static Bytes add_saturated(Bytes a, Bytes b) { return (Bytes)wasm_i8x16_add_sat((v128_t)a, (v128_t)b); }
    static Bytes clip(Bytes bytes, int low, int high) {
        const v128_t least = wasm_i8x16_splat(static_cast<std::int8_t>(low));
        const v128_t most = wasm_i8x16_splat(static_cast<std::int8_t>(high));
        return (Bytes)wasm_i8x16_max(wasm_i8x16_min((v128_t)bytes, most), least);
    }
    static Signed clip_words(Signed words, std::int16_t low, std::int16_t high) {
        return (Signed)wasm_i16x8_max(wasm_i16x8_min((v128_t)words, wasm_i16x8_splat(high)), wasm_i16x8_splat(low));
    }
};

}  // namespace lutra
