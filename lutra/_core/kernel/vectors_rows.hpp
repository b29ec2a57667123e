// Layers in the form of rows, with AVX2: a row holds 16 outputs of a value in 16 bits, so that a load and an addition
// are 16 lookups. Sums of 16 pixels are divided, and turned into planes.
#pragma once

#include <immintrin.h>

#include <utility>

#include "vectors_rows_loop.hpp"

namespace lutra {

template <class Simd>
struct Rows {
    static constexpr int kPixels = 16;

    // Sums that started at Packed::starts, divided and rounded half to even.
    struct Division {
        explicit Division(const Packed& packed, int by)
            : divisor(_mm256_set1_epi16(static_cast<short>(by))),
              magic(_mm256_set1_epi16(static_cast<short>(packed.magic))),
              whole(_mm256_set1_epi16(packed.starts.data()[1])),
              shift(_mm_cvtsi32_si128(packed.shift)),
              multiplies(packed.magic != 0),
              ties(by % 2 == 0) {}

        __m256i operator()(__m256i sum) const {
            const __m256i part = multiplies ? _mm256_mulhi_epu16(sum, magic) : sum;
            const __m256i quotient = _mm256_srl_epi16(part, shift), result = _mm256_sub_epi16(quotient, whole);
            if (!ties) return result;
            const __m256i tie = _mm256_cmpeq_epi16(_mm256_mullo_epi16(quotient, divisor), sum);
            return _mm256_sub_epi16(result, _mm256_and_si256(_mm256_and_si256(result, _mm256_set1_epi16(1)), tie));
        }

        __m256i divisor, magic, whole;
        __m128i shift;
        bool multiplies, ties;
    };

    // The sums of eight pixels and 16 outputs.
    template <int... i>
    static void add_up(const LayerCall& call, const std::uint16_t* offsets, int first, __m256i* sums,
                       std::integer_sequence<int, i...>) {
        const __m256i start = _mm256_set1_epi16(call.packed->starts.data()[0]);
        __m256i sum[] = {((void)i, start)...};
        const char* table = reinterpret_cast<const char*>(call.packed->rows.data() + first);
        const int bytes = 2 * kLevels * call.packed->width;
        for (int input = 0; input < call.layer->inputs; ++input, table += bytes, offsets += kChunk)
            ((sum[i] =
                  _mm256_add_epi16(sum[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(table + offsets[i])))),
             ...);
        ((sums[i] = sum[i]), ...);
    }

    // quotients[output][pixel] of 16 outputs and 16 pixels: bytes of two pixels to a vector, outputs 8..15 in its upper
    // half. Interleaving the first half of eight vectors with the second four times turns them.
    static void turn(const __m256i* words, std::uint8_t* quotients) {
        __m256i bytes[8], next[8];
        for (int i = 0; i < 8; ++i) bytes[i] = _mm256_packs_epi16(words[2 * i], words[2 * i + 1]);
        for (int pass = 0; pass < 4; ++pass) {
            for (int i = 0; i < 4; ++i) {
                next[2 * i] = _mm256_unpacklo_epi8(bytes[i], bytes[i + 4]);
                next[2 * i + 1] = _mm256_unpackhi_epi8(bytes[i], bytes[i + 4]);
            }
            for (int i = 0; i < 8; ++i) bytes[i] = next[i];
        }
        for (int i = 0; i < 8; ++i) {
            _mm_store_si128(reinterpret_cast<__m128i*>(quotients + i * kChunk), _mm256_castsi256_si128(bytes[i]));
            _mm_store_si128(reinterpret_cast<__m128i*>(quotients + (i + 8) * kChunk),
                            _mm256_extracti128_si256(bytes[i], 1));
        }
    }

    // Quotients of a chunk plus the added planes, clipped.
    static void finish(const LayerCall& call, int row, int output, int x, const std::uint8_t* quotients) {
        const auto load = [](const std::uint8_t* from) {
            return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        };
        const __m256i low = _mm256_set1_epi8(static_cast<char>(call.operation->low));
        const __m256i high = _mm256_set1_epi8(static_cast<char>(call.operation->high));
        for (int i = 0; i < kChunk; i += 32) {
            __m256i result = load(quotients + i);
            for (int add = output * call.add_count; add < (output + 1) * call.add_count; ++add)
                result = _mm256_adds_epi8(result, load(call.add(row, add) + x + i));
            result = _mm256_max_epi8(_mm256_min_epi8(result, high), low);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(call.written(row, output) + x + i), result);
        }
    }

    // quotients[output][pixel] of 16 outputs and kPixels pixels.
    static void divided(const LayerCall& call, const std::uint16_t* offsets, int first, const Division& divide,
                        std::uint8_t* quotients) {
        __m256i words[kPixels];
        for (int half = 0; half < kPixels; half += 8)
            add_up(call, offsets + half, first, words + half, std::make_integer_sequence<int, 8>());
        for (int j = 0; j < kPixels; ++j) words[j] = divide(words[j]);
        turn(words, quotients);
    }
};

}  // namespace lutra
