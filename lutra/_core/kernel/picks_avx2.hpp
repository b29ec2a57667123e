// Vertices picked with AVX2: a permutation picks within 16 bytes, from two cells of three axes or one of four.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "vectors_avx2.hpp"

namespace lutra {

struct Avx2Picks : Avx2Bytes {
    using Sums = __m256i;

    static __m256i vector(Bytes bytes) { return reinterpret_cast<__m256i>(bytes); }
    static Bytes bytes(__m256i vector) { return reinterpret_cast<Bytes>(vector); }
    static Bytes same(int byte) { return bytes(_mm256_set1_epi8(static_cast<char>(byte))); }
    static Bytes byte(int number) { return bytes(_mm256_set1_epi32(static_cast<int>(255U << 8 * number))); }
    static Bytes most(Bytes a, Bytes b) { return bytes(_mm256_max_epu8(vector(a), vector(b))); }
    static Bytes least(Bytes a, Bytes b) { return bytes(_mm256_min_epu8(vector(a), vector(b))); }
    static Bytes low_bytes(Bytes a, Bytes b) { return bytes(_mm256_unpacklo_epi8(vector(a), vector(b))); }
    static Bytes high_bytes(Bytes a, Bytes b) { return bytes(_mm256_unpackhi_epi8(vector(a), vector(b))); }
    static Bytes low_words(Bytes a, Bytes b) { return bytes(_mm256_unpacklo_epi16(vector(a), vector(b))); }
    static Bytes high_words(Bytes a, Bytes b) { return bytes(_mm256_unpackhi_epi16(vector(a), vector(b))); }

    static Sums load_sums(const std::int32_t* from) { return read(from); }
    static void store_sums(std::int32_t* to, Sums sums) { write(to, sums); }
    static Sums dot(Sums sum, Bytes weights, Bytes values) {
        const __m256i pairs = _mm256_maddubs_epi16(vector(weights), vector(values));
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    // As Avx2::round_sums, into the order of pixels.
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        const auto whole = static_cast<float>(divisor);
        const __m256 by = _mm256_set1_ps(reciprocal ? 1.0F / whole : whole);
        const __m256i add = _mm256_set1_epi32(shift);
        const auto levels = [&](const std::int32_t* from) {
            const __m256 sum = _mm256_cvtepi32_ps(_mm256_add_epi32(read(from), add));
            const __m256 quotient = reciprocal ? _mm256_mul_ps(sum, by) : _mm256_div_ps(sum, by);
            return _mm256_cvtps_epi32(_mm256_round_ps(quotient, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
        };
        for (int i = 0; i < count; i += 32)
            write(result + i, _mm256_packus_epi16(_mm256_packs_epi32(levels(sums + i), levels(sums + i + 8)),
                                                  _mm256_packs_epi32(levels(sums + i + 16), levels(sums + i + 24))));
    }
    // From the order of sums to that of pixels.
    static Bytes in_order(Bytes pixels) {
        return bytes(_mm256_permutevar8x32_epi32(vector(pixels), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7)));
    }

    // Where a pixel's cell starts among those that a permutation picks from.
    template <int axes>
    static Bytes cell() {
        return bytes(_mm256_set1_epi32(axes == 3 ? 0x08000800 : 0));
    }

    // The cells of four pixels of both lanes.
    template <int axes>
    struct Cells;
};

template <>
struct Avx2Picks::Cells<3> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        const auto both = [&](int i) {
            const auto pair = [&](const std::uint16_t* at) {
                const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(cells + at[0] * 8));
                const auto* high = reinterpret_cast<const double*>(cells + at[1] * 8);
                return _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(low), high));
            };
            return _mm256_inserti128_si256(_mm256_castsi128_si256(pair(numbers + i)), pair(numbers + 8 + i), 1);
        };
        first = both(0);
        second = both(2);
    }
    Bytes pick(Bytes corners) const {
        return bytes(_mm256_blend_epi32(_mm256_shuffle_epi8(first, vector(corners)),
                                        _mm256_shuffle_epi8(second, vector(corners)), 0xCC));
    }
    __m256i first, second;
};

template <>
struct Avx2Picks::Cells<4> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        for (int i = 0; i < 4; ++i) {
            const auto cell = [&](int number) {
                return _mm_load_si128(reinterpret_cast<const __m128i*>(cells + number * 16));
            };
            pixel[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(cell(numbers[i])), cell(numbers[8 + i]), 1);
        }
    }
    Bytes pick(Bytes corners) const {
        const auto from = [&](int i) { return _mm256_shuffle_epi8(pixel[i], vector(corners)); };
        return bytes(_mm256_blend_epi32(_mm256_blend_epi32(from(0), from(1), 0x22),
                                        _mm256_blend_epi32(from(2), from(3), 0x88), 0xCC));
    }
    __m256i pixel[4];
};

}  // namespace lutra
