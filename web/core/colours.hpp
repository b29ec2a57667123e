// Pixels of red, green, blue and alpha, and those that models restore: three colours, or the one of a gray image.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

namespace lutra {

inline constexpr int kPixelsReached = 6;  // of three bytes, by 16 bytes, of which four pixels are used

inline void take_colours(const std::uint8_t* rgba, int colours, int count, std::uint8_t* to) {
    int i = 0;
    if (colours == 3)
        for (; i + kPixelsReached <= count; i += 4) {
            const v128_t pixels = wasm_v128_load(rgba + 4 * i);
            wasm_v128_store(to + 3 * i,
                            wasm_i8x16_shuffle(pixels, pixels, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0));
        }
    for (; i < count; ++i)
        for (int channel = 0; channel < colours; ++channel) to[colours * i + channel] = rgba[4 * i + channel];
}

// With alpha 255.
inline void give_colours(const std::uint8_t* from, int colours, int count, std::uint8_t* rgba) {
    const v128_t opaque = wasm_i32x4_splat(static_cast<std::int32_t>(0xff000000U));
    int i = 0;
    for (; colours == 3 && i + kPixelsReached <= count; i += 4) {
        const v128_t pixels = wasm_v128_load(from + 3 * i);
        const v128_t apart = wasm_i8x16_shuffle(pixels, pixels, 0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0);
        wasm_v128_store(rgba + 4 * i, wasm_v128_or(apart, opaque));
    }
    for (; i < count; ++i) {
        for (int channel = 0; channel < 3; ++channel) rgba[4 * i + channel] = from[colours * i + channel % colours];
        rgba[4 * i + 3] = 255;
    }
}

}  // namespace lutra
