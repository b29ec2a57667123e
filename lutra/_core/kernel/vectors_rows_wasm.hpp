// Layers in the form of rows, with WebAssembly's vectors, two of which hold 16 outputs of a value in 16 bits; see
// vectors_rows.hpp. A lookup of 64 bytes takes four shuffles and four checks of the index, a row two loads and two
// additions.
#pragma once

#include <utility>

#include "vectors_rows_loop.hpp"
#include "vectors_wasm.hpp"

namespace lutra {

struct WasmRows {
    static constexpr int kPixels = 16;

    struct Sums {
        v128_t low, high;  // outputs 0..7, 8..15
    };

    // Sums that started at Packed::starts, divided and rounded half to even.
    struct Division {
        Division(const Packed& packed, int by)
            : divisor(wasm_i16x8_splat(static_cast<std::int16_t>(by))),
              magic(WasmBytes::words(packed.magic)),
              whole(wasm_i16x8_splat(packed.starts.data()[1])),
              shift(packed.shift),
              multiplies(packed.magic != 0),
              ties(by % 2 == 0) {}

        v128_t operator()(v128_t sum) const {
            const v128_t part = multiplies ? (v128_t)WasmBytes::multiply_high((WasmBytes::Words)sum, magic) : sum;
            const v128_t quotient = wasm_u16x8_shr(part, inside(shift)), result = wasm_i16x8_sub(quotient, whole);
            if (!ties) return result;
            const v128_t tie = wasm_i16x8_eq(wasm_i16x8_mul(quotient, divisor), sum);
            return wasm_i16x8_sub(result, wasm_v128_and(wasm_v128_and(result, wasm_i16x8_const_splat(1)), tie));
        }

        v128_t divisor;
        WasmBytes::Words magic;
        v128_t whole;
        int shift;
        bool multiplies, ties;
    };

    // The sums of some pixels and 16 outputs.
    template <int... i>
    static void add_up(const LayerCall& call, const std::uint16_t* offsets, int first, Sums* sums,
                       std::integer_sequence<int, i...>) {
        const v128_t start = wasm_i16x8_splat(call.packed->starts.data()[0]);
        v128_t low[] = {((void)i, start)...}, high[] = {((void)i, start)...};
        const char* table = reinterpret_cast<const char*>(call.packed->rows.data() + first);
        const int bytes = 2 * kLevels * call.packed->width;
        for (int input = 0; input < call.layer->inputs; ++input, table += bytes, offsets += kChunk) {
            ((low[i] = wasm_i16x8_add(low[i], wasm_v128_load(table + offsets[i])),
              high[i] = wasm_i16x8_add(high[i], wasm_v128_load(table + offsets[i] + 16))),
             ...);
        }
        ((sums[i] = {low[i], high[i]}), ...);
    }

    // quotients[output][pixel] of 16 outputs and 16 pixels. Interleaving the first half of the vectors with the second
    // four times turns them.
    static void turn(const Sums* sums, const Division& divide, std::uint8_t* quotients) {
        v128_t bytes[16], next[16];
        for (int i = 0; i < 16; ++i) bytes[i] = wasm_i8x16_narrow_i16x8(divide(sums[i].low), divide(sums[i].high));
        for (int pass = 0; pass < 4; ++pass) {
            for (int i = 0; i < 8; ++i) {
                next[2 * i] =
                    wasm_i8x16_shuffle(bytes[i], bytes[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                next[2 * i + 1] = wasm_i8x16_shuffle(bytes[i], bytes[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                                     29, 14, 30, 15, 31);
            }
            for (int i = 0; i < 16; ++i) bytes[i] = next[i];
        }
        for (int i = 0; i < 16; ++i) wasm_v128_store(quotients + i * kChunk, bytes[i]);
    }

    // Quotients of a chunk plus the added planes, clipped.
    static void finish(const LayerCall& call, int row, int output, int x, const std::uint8_t* quotients) {
        for (int i = 0; i < kChunk; i += WasmBytes::kBytes) {
            WasmBytes::Bytes result = WasmBytes::load(quotients + i);
            for (int add = output * call.add_count; add < (output + 1) * call.add_count; ++add)
                result = WasmBytes::add_saturated(result, WasmBytes::load(call.add(row, add) + x + i));
            WasmBytes::store(call.written(row, output) + x + i,
                             WasmBytes::clip(result, call.operation->low, call.operation->high));
        }
    }

    // quotients[output][pixel] of 16 outputs and kPixels pixels.
    static void divided(const LayerCall& call, const std::uint16_t* offsets, int first, const Division& divide,
                        std::uint8_t* quotients) {
        constexpr int kAtOnce = 4;
        Sums sums[kPixels];
        for (int part = 0; part < kPixels; part += kAtOnce)
            add_up(call, offsets + part, first, sums + part, std::make_integer_sequence<int, kAtOnce>());
        turn(sums, divide, quotients);
    }
};

inline void run_sum_wasm(const LayerCall& call) {
    if (call.layer && call.packed->form == Form::rows) return run_rows<WasmRows>(call);
    run_sum_words<Wasm, WasmBytes>(call);
}

}  // namespace lutra
