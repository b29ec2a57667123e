// What the vector kernels do with NEON.
//
// Weights are bytes of 0..128, which a signed byte does not hold: products take their negatives, and are subtracted.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "../kernels.hpp"

namespace lutra {

struct Neon {
    using Quad = int32x4_t;  // four 32-bit sums

    static Quad zero() { return vdupq_n_s32(0); }
    static Quad load(const std::int32_t* from) { return vld1q_s32(from); }
    static void store(std::int32_t* to, Quad sums) { vst1q_s32(to, sums); }
    static Quad joined(Quad high, Quad low) { return vaddq_s32(vshlq_n_s32(high, 7), low); }

    // Two products of at most 127 * 128 and sums of weights of at most 128 stay within 16 bits.
    static Quad dot(Quad sum, const std::uint8_t* weights, const std::int8_t* values) {
        const int8x16_t minus = vnegq_s8(vreinterpretq_s8_u8(vld1q_u8(weights))), row = vld1q_s8(values);
        int16x8_t products = vmlsl_s8(vdupq_n_s16(0), vget_low_s8(minus), vget_low_s8(row));
        products = vmlsl_high_s8(products, minus, row);
        return vpadalq_s16(sum, products);
    }

    // The four sums of each of `count` quads added up.
    static void reduce(const std::int32_t (*quads)[4], int count, std::int32_t* sums) {
        for (int i = 0; i < count; i += 4) {
            const Quad first = vpaddq_s32(load(quads[i]), load(quads[i + 1]));
            const Quad second = vpaddq_s32(load(quads[i + 2]), load(quads[i + 3]));
            store(sums + i, vpaddq_s32(first, second));
        }
    }

    // As lutra::round_sums in single precision.
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        const auto whole = static_cast<float>(divisor);
        const float32x4_t by = vdupq_n_f32(reciprocal ? 1.0F / whole : whole);
        const Quad add = vdupq_n_s32(shift);
        const auto levels = [&](const std::int32_t* from) {
            const float32x4_t sum = vcvtq_f32_s32(vaddq_s32(load(from), add));
            return vqmovn_s32(vcvtnq_s32_f32(reciprocal ? vmulq_f32(sum, by) : vdivq_f32(sum, by)));
        };
        for (int i = 0; i < count; i += 16) {
            const int16x8_t low = vcombine_s16(levels(sums + i), levels(sums + i + 4));
            const int16x8_t high = vcombine_s16(levels(sums + i + 8), levels(sums + i + 12));
            vst1q_u8(result + i, vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)));
        }
    }

    // [corner][pixel] to [pixel][corner]. Interleaving four times sorts 16 vectors.
    static void interleave(const std::uint8_t (*from)[kChunk], std::uint8_t (*to)[16]) {
        for (int first = 0; first < kChunk; first += 16) {
            uint8x16_t now[16], next[16];
            for (int i = 0; i < 16; ++i) now[i] = vld1q_u8(from[i] + first);
            for (int round = 0; round < 4; ++round) {
                for (int i = 0; i < 8; ++i) {
                    next[2 * i] = vzip1q_u8(now[i], now[i + 8]);
                    next[2 * i + 1] = vzip2q_u8(now[i], now[i + 8]);
                }
                for (int i = 0; i < 16; ++i) now[i] = next[i];
            }
            for (int i = 0; i < 16; ++i) vst1q_u8(to[first + i], now[i]);
        }
    }

    // Sixteen 32-bit sums.
    struct Sums {
        Quad quads[4];

        static Sums load(const std::int32_t* from) {
            return {{vld1q_s32(from), vld1q_s32(from + 4), vld1q_s32(from + 8), vld1q_s32(from + 12)}};
        }
        void store(std::int32_t* to) const {
            for (int i = 0; i < 4; ++i) vst1q_s32(to + 4 * i, quads[i]);
        }
        static Sums all(std::int32_t value) {
            const Quad quad = vdupq_n_s32(value);
            return {{quad, quad, quad, quad}};
        }
        void add(int16x8_t low, int16x8_t high) {
            quads[0] = vaddw_s16(quads[0], vget_low_s16(low));
            quads[1] = vaddw_high_s16(quads[1], low);
            quads[2] = vaddw_s16(quads[2], vget_low_s16(high));
            quads[3] = vaddw_high_s16(quads[3], high);
        }
        void add_high(const Sums& high) {
            for (int i = 0; i < 4; ++i) quads[i] = joined(high.quads[i], quads[i]);
        }
    };

    // Rows of 16 values times weights, added up in 16 bits.
    struct Products {
        int16x8_t low = vdupq_n_s16(0), high = vdupq_n_s16(0);

        void add(int8x16_t row, int8x16_t minus) {
            low = vmlsl_s8(low, vget_low_s8(row), vget_low_s8(minus));
            high = vmlsl_high_s8(high, row, minus);
        }
    };

    // The entries at the five vertices of a pixel, turned.
    struct Entries {
        int8x16_t rows[5];

        Entries(const Step& step, const Unit& unit, const Scratch& scratch, int rotation, int i) {
            const uint8x16_t turned = vld1q_u8(step.turned_row[rotation].data());
            for (int vertex = 0; vertex < 5; ++vertex)
                rows[vertex] = vqtbl1q_s8(vld1q_s8(unit.nodes.data() + scratch.place[rotation][vertex][i]), turned);
        }
    };

    // Minus the weights of the five vertices of a lookup, each in all lanes. `fifth` has the last one as a byte.
    struct Minus {
        int8x16_t weights[5];

        Minus(std::uint32_t four, std::uint32_t fifth, int byte) {
            const int8x16_t words = vnegq_s8(vreinterpretq_s8_u32(vdupq_n_u32(four)));
            weights[0] = vdupq_laneq_s8(words, 0);
            weights[1] = vdupq_laneq_s8(words, 1);
            weights[2] = vdupq_laneq_s8(words, 2);
            weights[3] = vdupq_laneq_s8(words, 3);
            weights[4] = vnegq_s8(vdupq_n_s8(static_cast<std::int8_t>(fifth >> (8 * byte))));
        }
    };

    // Adds one lookup. The sums of all parts of 7 bits of its weights are too large for 16 bits, those of two are not.
    static void add_parts(Sums& sums, const Entries& entries, const Minus& minus) {
        for (int vertex = 0; vertex < 5; vertex += 2) {
            Products products;
            products.add(entries.rows[vertex], minus.weights[vertex]);
            if (vertex < 4) products.add(entries.rows[vertex + 1], minus.weights[vertex + 1]);
            sums.add(products.low, products.high);
        }
    }
    // The same where weights sum to at most 128.
    static void add_whole(Sums& sums, const Entries& entries, const Minus& minus) {
        Products products;
        for (int vertex = 0; vertex < 5; ++vertex) products.add(entries.rows[vertex], minus.weights[vertex]);
        sums.add(products.low, products.high);
    }

    template <bool wide>
    static void blend_exact(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        for (int i = 0; i < kChunk; ++i) {
            Sums sum = Sums::load(sums + i * kLanes), high = Sums::all(0);
            for (int r = 0; r < unit.rotations; ++r) {
                const Entries entries(step, unit, scratch, r, i);
                if constexpr (wide) {
                    add_parts(sum, entries, {scratch.quad[r][0][i], scratch.fifth[0][0][i], r});
                    add_whole(high, entries, {scratch.quad[r][1][i], scratch.fifth[0][1][i], r});
                } else {
                    add_whole(sum, entries, {scratch.quad[r][0][i], scratch.fifth[0][0][i], r});
                }
            }
            if (wide) sum.add_high(high);
            sum.store(sums + i * kLanes);
        }
    }

    template <bool wide>
    static void blend_rounded(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const Quad down = vdupq_n_s32(-step.denominator_bits), one = vdupq_n_s32(1);
        const std::int32_t half = (1 << (step.denominator_bits - 1)) - 1;
        for (int i = 0; i < kChunk; ++i) {
            Sums running = Sums::load(sums + i * kLanes);
            for (int r = 0; r < unit.rotations; ++r) {
                const Entries entries(step, unit, scratch, r, i);
                Sums sum = Sums::all(half);
                if constexpr (wide) {
                    Sums high = Sums::all(0);
                    add_parts(sum, entries, {scratch.quad[r][0][i], scratch.fifth[r][0][i], 0});
                    add_whole(high, entries, {scratch.quad[r][1][i], scratch.fifth[r][1][i], 0});
                    sum.add_high(high);
                } else {
                    add_whole(sum, entries, {scratch.quad[r][0][i], scratch.fifth[r][0][i], 0});
                }
                // As add_rounded: half a unit less is already added.
                for (int part = 0; part < 4; ++part) {
                    Quad& whole = running.quads[part];
                    const Quad low = sum.quads[part];
                    const Quad odd = vandq_s32(vaddq_s32(vshlq_s32(low, down), whole), one);
                    whole = vaddq_s32(whole, vshlq_s32(vaddq_s32(low, odd), down));
                }
            }
            running.store(sums + i * kLanes);
        }
    }

    // Weighted means of a window for eight pixels at once; see sample_plain.
    static void sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x, Scratch&,
                       std::uint16_t (*taps)[kChunk]) {
        const int kernel = unit.kernel, square = kernel * kernel, shift = kWeightBits - tap_bits;
        const uint32x4_t half = vdupq_n_u32(1U << (shift - 1));
        const int32x4_t down = vdupq_n_s32(-shift);
        for (int i = 0; i < kChunk; i += 8) {
            uint32x4_t low[4] = {half, half, half, half}, high[4] = {half, half, half, half};
            for (int number = 0; number < square; ++number) {
                int dy = number / kernel, dx = number % kernel;
                turn(rotation, dy, dx);
                const uint16x8_t pixels = vmovl_u8(vld1_u8(lines[kMaxReach + dy] + x + dx + i));
                for (int tap = 0; tap < 4; ++tap) {
                    const auto weight = static_cast<std::uint16_t>(unit.weights[tap * square + number]);
                    low[tap] = vmlal_n_u16(low[tap], vget_low_u16(pixels), weight);
                    high[tap] = vmlal_high_n_u16(high[tap], pixels, weight);
                }
            }
            for (int tap = 0; tap < 4; ++tap)
                vst1q_u16(taps[tap] + i, vcombine_u16(vmovn_u32(vshlq_u32(low[tap], down)),
                                                      vmovn_u32(vshlq_u32(high[tap], down))));
        }
    }
};

}  // namespace lutra
