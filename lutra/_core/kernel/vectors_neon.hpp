// Layers with NEON: a table of 64 bytes is four registers, which one instruction looks up.
#pragma once

#include <arm_neon.h>

#include "vectors_words.hpp"

namespace lutra {

struct NeonBytes {
    static constexpr int kBytes = 16, kVectors = 6;
    typedef std::uint8_t Bytes __attribute__((vector_size(16)));
    typedef std::uint16_t Words __attribute__((vector_size(16)));
    typedef std::int16_t Signed __attribute__((vector_size(16)));
    using Index = uint8x16_t;

    template <bool narrow>
    struct Table {
        explicit Table(const std::uint8_t* table) {
            for (int i = 0; i < (narrow ? 1 : 4); ++i) quarters.val[i] = vld1q_u8(table + 16 * i);
        }
        Bytes look(Index index) const {
            if constexpr (narrow)
                return (Bytes)vqtbl1q_u8(quarters.val[0], index);
            else
                return (Bytes)vqtbl4q_u8(quarters, index);
        }
        uint8x16x4_t quarters;
    };

    static Bytes load(const void* from) { return (Bytes)vld1q_u8(static_cast<const std::uint8_t*>(from)); }
    static void store(void* to, Bytes bytes) { vst1q_u8(static_cast<std::uint8_t*>(to), (uint8x16_t)bytes); }
    static Index index(const std::uint8_t* pixels) { return vandq_u8(vld1q_u8(pixels), vdupq_n_u8(kLevels - 1)); }
    static void prepare(const std::uint8_t* pixels, std::uint8_t* indices, int i) {
        vst1q_u8(indices + i * kBytes, index(pixels));
    }
    static Index prepared(const std::uint8_t* indices, int i) { return vld1q_u8(indices + i * kBytes); }

    static Words words(int value) { return (Words)vdupq_n_s16(static_cast<std::int16_t>(value)); }
    static Words multiply_high(Words a, Words b) {
        const auto x = (uint16x8_t)a, y = (uint16x8_t)b;
        const uint16x4_t low = vshrn_n_u32(vmull_u16(vget_low_u16(x), vget_low_u16(y)), 16);
        return (Words)vshrn_high_n_u32(low, vmull_high_u16(x, y), 16);
    }
    static Bytes add_saturated(Bytes a, Bytes b) { return (Bytes)vqaddq_s8((int8x16_t)a, (int8x16_t)b); }
    static Bytes clip(Bytes bytes, int low, int high) {
        const int8x16_t most = vdupq_n_s8(static_cast<std::int8_t>(high));
        const int8x16_t least = vdupq_n_s8(static_cast<std::int8_t>(low));
        return (Bytes)vmaxq_s8(vminq_s8((int8x16_t)bytes, most), least);
    }
    static Signed clip_words(Signed words, std::int16_t low, std::int16_t high) {
        return (Signed)vmaxq_s16(vminq_s16((int16x8_t)words, vdupq_n_s16(high)), vdupq_n_s16(low));
    }
};

}  // namespace lutra
