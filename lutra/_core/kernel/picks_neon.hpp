// Vertices picked with NEON: a lookup of bytes picks from four cells at once.
#pragma once

#include <arm_neon.h>

#include "neon.hpp"
#include "vectors_neon.hpp"

namespace lutra {

struct NeonPicks : NeonBytes {
    using Sums = int32x4_t;

    static Bytes same(int byte) { return (Bytes)vdupq_n_u8(static_cast<std::uint8_t>(byte)); }
    static Bytes byte(int number) { return (Bytes)vdupq_n_u32(255U << 8 * number); }
    static Bytes most(Bytes a, Bytes b) { return (Bytes)vmaxq_u8((uint8x16_t)a, (uint8x16_t)b); }
    static Bytes least(Bytes a, Bytes b) { return (Bytes)vminq_u8((uint8x16_t)a, (uint8x16_t)b); }
    static Bytes low_bytes(Bytes a, Bytes b) { return (Bytes)vzip1q_u8((uint8x16_t)a, (uint8x16_t)b); }
    static Bytes high_bytes(Bytes a, Bytes b) { return (Bytes)vzip2q_u8((uint8x16_t)a, (uint8x16_t)b); }
    static Bytes low_words(Bytes a, Bytes b) { return (Bytes)vzip1q_u16((uint16x8_t)a, (uint16x8_t)b); }
    static Bytes high_words(Bytes a, Bytes b) { return (Bytes)vzip2q_u16((uint16x8_t)a, (uint16x8_t)b); }

    static Sums load_sums(const std::int32_t* from) { return vld1q_s32(from); }
    static void store_sums(std::int32_t* to, Sums sums) { vst1q_s32(to, sums); }
    static Sums dot(Sums sum, Bytes weights, Bytes values) {
        const auto w = (int8x16_t)weights, v = (int8x16_t)values;  // weights are at most 16
        return vpadalq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(v)), vmull_high_s8(w, v)));
    }
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        Neon::round_sums<reciprocal>(sums, count, divisor, shift, result);
    }
    static Bytes in_order(Bytes bytes) { return bytes; }

    // Where a pixel's cell starts among those that a lookup picks from.
    template <int axes>
    static Bytes cell() {
        return (Bytes)vdupq_n_u32(axes == 3 ? 0x18100800 : 0x30201000);
    }

    // The cells of four pixels.
    template <int axes>
    struct Cells;
};

template <>
struct NeonPicks::Cells<3> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        const auto cell = [&](int i) { return vld1_u8(reinterpret_cast<const std::uint8_t*>(cells) + numbers[i] * 8); };
        four = {{vcombine_u8(cell(0), cell(1)), vcombine_u8(cell(2), cell(3))}};
    }
    Bytes pick(Bytes corners) const { return (Bytes)vqtbl2q_u8(four, (uint8x16_t)corners); }
    uint8x16x2_t four;
};

template <>
struct NeonPicks::Cells<4> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        const auto cell = [&](int i) {
            return vld1q_u8(reinterpret_cast<const std::uint8_t*>(cells) + numbers[i] * 16);
        };
        four = {{cell(0), cell(1), cell(2), cell(3)}};
    }
    Bytes pick(Bytes corners) const { return (Bytes)vqtbl4q_u8(four, (uint8x16_t)corners); }
    uint8x16x4_t four;
};

}  // namespace lutra
