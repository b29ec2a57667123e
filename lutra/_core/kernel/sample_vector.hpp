// AutoSample's weighted means with 16-bit dot products: two rows of the window at once.
#pragma once

#include <immintrin.h>

#include "../kernels.hpp"

namespace lutra {

// Pixels of two rows alternating.
static inline void pair_rows(const std::uint8_t* first, const std::uint8_t* second, int count, std::uint8_t* to) {
    for (int i = 0; i < count; i += 16) {
        const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first + i));
        const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(second + i));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * i), _mm_unpacklo_epi8(a, b));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * i + 16), _mm_unpackhi_epi8(a, b));
    }
}

template <class Simd>
void sample_pairs(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x,
                  Scratch& scratch, std::uint16_t (*taps)[kChunk]) {
    const int kernel = unit.kernel, pairs = (kernel + 1) / 2, shift = kWeightBits - tap_bits;
    // Turned windows lie below and right, below and left, above and left, above and right of the pixel.
    const int down = rotation < 2 ? 1 : -1;
    const int first = rotation == 1 || rotation == 2 ? 1 - kernel : 0;
    for (int pair = 0; pair < pairs; ++pair) {
        const int row = 2 * pair,
                  next = row + 1 < kernel ? row + 1 : row;  // the last row may be alone: its weight is 0
        pair_rows(lines[kMaxReach + down * row] + x + first, lines[kMaxReach + down * next] + x + first,
                  kChunk + kernel - 1, scratch.pairs[pair]);
    }
    constexpr int lanes = Simd::kPairLanes, blocks = 2;  // sums of two blocks hide each other's latency
    for (int i = 0; i < kChunk; i += blocks * lanes) {
        const auto half = Simd::same(1 << (shift - 1));
        typename Simd::Pairs sum[blocks][4] = {{half, half, half, half}, {half, half, half, half}};
        const std::int32_t* weights = unit.pair_weights[rotation].data();
        for (int pair = 0; pair < pairs; ++pair)
            for (int column = 0; column < kernel; ++column, weights += 4) {
                const std::uint8_t* pixels = scratch.pairs[pair] + 2 * (i + column);
                const auto first_block = Simd::load_pairs(pixels), second_block = Simd::load_pairs(pixels + 2 * lanes);
                for (int tap = 0; tap < 4; ++tap) {
                    const auto weight = Simd::same(weights[tap]);
                    sum[0][tap] = Simd::add_pairs(sum[0][tap], first_block, weight);
                    sum[1][tap] = Simd::add_pairs(sum[1][tap], second_block, weight);
                }
            }
        for (int tap = 0; tap < 4; ++tap)
            for (int block = 0; block < blocks; ++block)
                Simd::store_taps(taps[tap] + i + block * lanes, sum[block][tap], shift);
    }
}

}  // namespace lutra
