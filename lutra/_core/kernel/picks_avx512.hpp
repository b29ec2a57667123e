// Vertices picked with AVX-512: a permutation of two vectors picks from 16 cells of three axes or 8 of four.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "vectors_avx512.hpp"

namespace lutra {

struct Avx512Picks : Avx512Bytes {
    using Sums = __m512i;

    static __m512i vector(Bytes bytes) { return reinterpret_cast<__m512i>(bytes); }
    static Bytes bytes(__m512i vector) { return reinterpret_cast<Bytes>(vector); }
    static Bytes same(int byte) { return bytes(_mm512_set1_epi8(static_cast<char>(byte))); }
    static Bytes byte(int number) { return bytes(_mm512_set1_epi32(static_cast<int>(255U << 8 * number))); }
    static Bytes most(Bytes a, Bytes b) { return bytes(_mm512_max_epu8(vector(a), vector(b))); }
    static Bytes least(Bytes a, Bytes b) { return bytes(_mm512_min_epu8(vector(a), vector(b))); }
    static Bytes low_bytes(Bytes a, Bytes b) { return bytes(_mm512_unpacklo_epi8(vector(a), vector(b))); }
    static Bytes high_bytes(Bytes a, Bytes b) { return bytes(_mm512_unpackhi_epi8(vector(a), vector(b))); }
    static Bytes low_words(Bytes a, Bytes b) { return bytes(_mm512_unpacklo_epi16(vector(a), vector(b))); }
    static Bytes high_words(Bytes a, Bytes b) { return bytes(_mm512_unpackhi_epi16(vector(a), vector(b))); }

    static Sums load_sums(const std::int32_t* from) { return _mm512_load_si512(from); }
    static void store_sums(std::int32_t* to, Sums sums) { _mm512_store_si512(to, sums); }
    static Sums dot(Sums sum, Bytes weights, Bytes values) {
        return _mm512_dpbusd_epi32(sum, vector(weights), vector(values));
    }
    // As Avx512::round_sums, into the order of pixels.
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        const auto whole = static_cast<float>(divisor);
        const __m512 by = _mm512_set1_ps(reciprocal ? 1.0F / whole : whole);
        const __m512i add = _mm512_set1_epi32(shift);
        const auto levels = [&](const std::int32_t* from) {
            const __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(load_sums(from), add));
            const __m512 quotient = reciprocal ? _mm512_mul_ps(sum, by) : _mm512_div_ps(sum, by);
            return _mm512_cvt_roundps_epi32(quotient, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        };
        for (int i = 0; i < count; i += 64)
            store(result + i,
                  bytes(_mm512_packus_epi16(_mm512_packs_epi32(levels(sums + i), levels(sums + i + 16)),
                                            _mm512_packs_epi32(levels(sums + i + 32), levels(sums + i + 48)))));
    }
    // From the order of sums to that of pixels.
    static Bytes in_order(Bytes pixels) {
        const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        return bytes(_mm512_permutexvar_epi32(order, vector(pixels)));
    }

    // Where a pixel's cell starts among those that a permutation picks from: 16 cells, or 8 for two lanes at a time.
    template <int axes>
    static Bytes cell() {
        const auto lane = [](int first, int second) {
            const __m256i starts = _mm256_set1_epi32(axes == 3 ? 0x18100800 : 0x30201000);
            return _mm256_or_si256(starts, _mm256_setr_m128i(_mm_set1_epi8(static_cast<char>(first)),
                                                             _mm_set1_epi8(static_cast<char>(second))));
        };
        const __m256i low = axes == 3 ? lane(0, 32) : lane(0, 64), high = axes == 3 ? lane(64, 96) : lane(0, 64);
        return bytes(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    }

    // The cells of four pixels of every lane. Four numbers are one load: the processor loads two values a cycle.
    template <int axes>
    struct Cells;
};

template <>
struct Avx512Picks::Cells<3> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        const auto four = [&](int lane) {
            std::uint64_t number;
            std::memcpy(&number, numbers + 8 * lane, 8);
            const auto pair = [&](std::uint64_t first, std::uint64_t second) {
                const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(cells + first * 8));
                const auto* high = reinterpret_cast<const double*>(cells + second * 8);
                return _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(low), high));
            };
            return _mm256_inserti128_si256(_mm256_castsi128_si256(pair(number & 0xFFFF, number >> 16 & 0xFFFF)),
                                           pair(number >> 32 & 0xFFFF, number >> 48), 1);
        };
        low = _mm512_inserti64x4(_mm512_castsi256_si512(four(0)), four(1), 1);
        high = _mm512_inserti64x4(_mm512_castsi256_si512(four(2)), four(3), 1);
    }
    Bytes pick(Bytes corners) const { return bytes(_mm512_permutex2var_epi8(low, vector(corners), high)); }
    __m512i low, high;
};

template <>
struct Avx512Picks::Cells<4> {
    Cells(const std::int8_t* cells, const std::uint16_t* numbers) {
        for (int i = 0; i < 4; ++i) {
            std::uint64_t number;
            std::memcpy(&number, numbers + 8 * i, 8);
            const auto cell = [&](std::uint64_t at) {
                return _mm_load_si128(reinterpret_cast<const __m128i*>(cells + at * 16));
            };
            const auto pair = [&](std::uint64_t first, std::uint64_t second) {
                return _mm256_inserti128_si256(_mm256_castsi128_si256(cell(first)), cell(second), 1);
            };
            lane[i] = _mm512_inserti64x4(_mm512_castsi256_si512(pair(number & 0xFFFF, number >> 16 & 0xFFFF)),
                                         pair(number >> 32 & 0xFFFF, number >> 48), 1);
        }
    }
    // Where a mask leaves a byte, it stays what it was: the place to pick from, or what was picked.
    Bytes pick(Bytes corners) const {
        constexpr __mmask64 first = 0xFFFFFFFF;
        const __m512i half = _mm512_mask2_permutex2var_epi8(lane[0], vector(corners), first, lane[1]);
        return bytes(_mm512_mask2_permutex2var_epi8(lane[2], half, ~first, lane[3]));
    }
    __m512i lane[4];
};

}  // namespace lutra
