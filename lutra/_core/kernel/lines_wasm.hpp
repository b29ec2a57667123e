// Bytes of several lines alternating, and back, with WebAssembly's vectors. Clang would take each byte's address apart.
#pragma once

#include <wasm_simd128.h>

#include "lines.hpp"

namespace lutra {

struct WasmLines {
    // Sixteen bytes of each of `side` lines, alternating.
    template <int side>
    static void alternate(const std::uint8_t* const (&from)[side], int i, std::uint8_t* to) {
        v128_t line[side];
        for (int number = 0; number < side; ++number) line[number] = wasm_v128_load(from[number] + i);
        const auto low = [](v128_t a, v128_t b) {
            return wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        };
        const auto high = [](v128_t a, v128_t b) {
            return wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        };
        if constexpr (side == 2) {
            wasm_v128_store(to, low(line[0], line[1]));
            wasm_v128_store(to + 16, high(line[0], line[1]));
        } else if constexpr (side == 3) {
            const v128_t a = line[0], b = line[1], c = line[2];
            const v128_t first = wasm_i8x16_shuffle(a, b, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
            const v128_t second = wasm_i8x16_shuffle(a, b, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
            const v128_t third = wasm_i8x16_shuffle(a, b, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
            wasm_v128_store(to, wasm_i8x16_shuffle(first, c, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15));
            wasm_v128_store(to + 16,
                            wasm_i8x16_shuffle(second, c, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15));
            wasm_v128_store(to + 32,
                            wasm_i8x16_shuffle(third, c, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31));
        } else {
            static_assert(side == 4);
            const v128_t even[] = {low(line[0], line[2]), high(line[0], line[2])};
            const v128_t odd[] = {low(line[1], line[3]), high(line[1], line[3])};
            for (int half = 0; half < 2; ++half) {
                wasm_v128_store(to + 32 * half, low(even[half], odd[half]));
                wasm_v128_store(to + 32 * half + 16, high(even[half], odd[half]));
            }
        }
    }

    // The same of a chunk.
    template <int side>
    static void alternate_chunk(const std::uint8_t (*lines)[kChunk], std::uint8_t* to) {
        const std::uint8_t* from[side];
        for (int number = 0; number < side; ++number) from[number] = lines[number];
        for (int i = 0; i < kChunk; i += 16) alternate<side>(from, i, to + side * i);
    }

    // Sixteen pixels of three channels.
    static void split(const std::uint8_t* pixels, int i, std::uint8_t* const* planes) {
        const v128_t a = wasm_v128_load(pixels), b = wasm_v128_load(pixels + 16), c = wasm_v128_load(pixels + 32);
        const v128_t first = wasm_i8x16_shuffle(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
        const v128_t second = wasm_i8x16_shuffle(a, b, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
        const v128_t third = wasm_i8x16_shuffle(a, b, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
        wasm_v128_store(planes[0] + i,
                        wasm_i8x16_shuffle(first, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29));
        wasm_v128_store(planes[1] + i,
                        wasm_i8x16_shuffle(second, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30));
        wasm_v128_store(planes[2] + i,
                        wasm_i8x16_shuffle(third, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31));
    }
};

inline void split_line_wasm(const std::uint8_t* pixels, int channels, int count, std::uint8_t* const* planes) {
    int i = 0;
    for (; channels == 3 && i + 16 <= count; i += 16) WasmLines::split(pixels + 3 * i, i, planes);
    std::uint8_t* rest[4];
    for (int channel = 0; channel < channels; ++channel) rest[channel] = planes[channel] + i;
    split_line<WasmLines>(pixels + channels * i, channels, count - i, rest);
}

inline void join_line_wasm(const std::uint8_t* const* planes, int channels, int count, std::uint8_t* pixels) {
    int i = 0;
    const std::uint8_t* rest[4] = {planes[0], planes[1], planes[2], planes[3]};
    if (channels == 3) {
        const std::uint8_t* const colours[] = {planes[0], planes[1], planes[2]};
        for (; i + 16 <= count; i += 16) WasmLines::alternate<3>(colours, i, pixels + 3 * i);
        for (int channel = 0; channel < channels; ++channel) rest[channel] += i;
    }
    join_line<WasmLines>(rest, channels, count - i, pixels + channels * i);
}

}  // namespace lutra
