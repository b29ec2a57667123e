// The pieces of sums.hpp with AVX-512 and its byte permutations: a vector of 64 bytes is one register.
#pragma once

#include <immintrin.h>

#include "sums.hpp"

namespace lutra {

struct Avx512Sums {
    // Sums of the even bytes are those of whole words less 256 times those of the odd bytes.
    static void look_up(const std::int8_t* const* inputs, const std::uint8_t* tables, int count, std::uint16_t* sums) {
        __m512i words = _mm512_setzero_si512(), odd = words;
        for (int t = 0; t < count; ++t) {
            const __m512i index = _mm512_loadu_si512(inputs[t]);
            const __m512i found = _mm512_permutexvar_epi8(index, _mm512_loadu_si512(tables + t * kLevels));
            words = _mm512_add_epi16(words, found);
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16(found, 8));
        }
        const __m512i even = _mm512_sub_epi16(words, _mm512_slli_epi16(odd, 8));
        const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
        const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        _mm512_store_si512(sums, _mm512_permutex2var_epi64(low, first, high));
        _mm512_store_si512(sums + 32, _mm512_permutex2var_epi64(low, second, high));
    }

    static void transpose(const float* const* from, float scale, float (*to)[kSumLanes]) {
        __m512 now[16], next[16];
        const __m512 by = _mm512_set1_ps(scale);
        for (int i = 0; i < 16; ++i)
            now[i] = from[i] ? _mm512_mul_ps(by, _mm512_loadu_ps(from[i])) : _mm512_setzero_ps();
        for (int i = 0; i < 16; i += 2) {
            next[i] = _mm512_unpacklo_ps(now[i], now[i + 1]);
            next[i + 1] = _mm512_unpackhi_ps(now[i], now[i + 1]);
        }
        for (int i = 0; i < 16; i += 4) {
            now[i] = _mm512_shuffle_ps(next[i], next[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
            now[i + 1] = _mm512_shuffle_ps(next[i], next[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
            now[i + 2] = _mm512_shuffle_ps(next[i + 1], next[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
            now[i + 3] = _mm512_shuffle_ps(next[i + 1], next[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
        }
        for (int i = 0; i < 16; i += 8)
            for (int j = 0; j < 4; ++j) {
                next[i + j] = _mm512_shuffle_f32x4(now[i + j], now[i + j + 4], 0x88);
                next[i + j + 4] = _mm512_shuffle_f32x4(now[i + j], now[i + j + 4], 0xDD);
            }
        for (int j = 0; j < 8; ++j) {
            _mm512_store_ps(to[j], _mm512_shuffle_f32x4(next[j], next[j + 8], 0x88));
            _mm512_store_ps(to[j + 8], _mm512_shuffle_f32x4(next[j], next[j + 8], 0xDD));
        }
    }

    static void add_row(float* to, const float* row) {
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_loadu_ps(row)));
    }

    static void add_rows(float* to, const std::uint32_t* places, int count, const float* row) {
        const __m512 more = _mm512_load_ps(row);
        for (int i = 0; i < count; ++i) {
            float* own = to + places[i * kSumLanes];
            _mm512_storeu_ps(own, _mm512_add_ps(_mm512_loadu_ps(own), more));
        }
    }

    // As finish_plain.
    static void finish(const SumsForward& call, int output, std::ptrdiff_t at, const std::uint16_t* sums) {
        const Quotient& by = call.quotient;
        const auto all = [](int x) { return _mm512_set1_epi16(static_cast<short>(x)); };
        const __m512i one = all(1), low = all(call.low), high = all(call.high);
        const __m128i shift = _mm_cvtsi32_si128(by.shift);
        std::uint64_t passed = 0;
        for (int half = 0; half < 2; ++half) {
            __m512i value = _mm512_add_epi16(_mm512_load_si512(sums + 32 * half), all(by.add));
            if (by.divisor > 1) {
                const __m512i q = _mm512_srl_epi16(_mm512_mulhi_epu16(value, all(by.magic)), shift);
                const __mmask32 exact = _mm512_cmpeq_epi16_mask(value, _mm512_mullo_epi16(q, all(by.divisor)));
                value = _mm512_sub_epi16(q, all(by.minus));
                if (by.divisor % 2 == 0)
                    value = _mm512_mask_sub_epi16(value, exact, value, _mm512_and_si512(value, one));
            } else {
                value = _mm512_sub_epi16(value, all(by.minus));
            }
            for (int a = 0; a < call.adds; ++a) {
                const std::int8_t* more = call.added[output * call.adds + a] + at + 32 * half;
                const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(more));
                value = _mm512_add_epi16(value, _mm512_cvtepi8_epi16(bytes));
            }
            const __m512i clipped = _mm512_min_epi16(_mm512_max_epi16(value, low), high);
            passed |= std::uint64_t{_mm512_cmpeq_epi16_mask(value, clipped)} << (32 * half);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(call.out[output] + at + 32 * half),
                                _mm512_cvtepi16_epi8(clipped));
        }
        if (call.passed) _mm512_storeu_si512(call.passed[output] + at, _mm512_maskz_set1_epi8(passed, 1));
    }

    // Adds the sums of 16 vectors of 16 numbers, halves first, as PlainSums::dot.
    static void reduce(__m512* p, float* to) {
        for (int i = 0; i < 8; ++i)
            p[i] = _mm512_add_ps(_mm512_shuffle_f32x4(p[2 * i], p[2 * i + 1], 0x44),
                                 _mm512_shuffle_f32x4(p[2 * i], p[2 * i + 1], 0xEE));
        for (int i = 0; i < 4; ++i)
            p[i] = _mm512_add_ps(_mm512_shuffle_f32x4(p[2 * i], p[2 * i + 1], 0x88),
                                 _mm512_shuffle_f32x4(p[2 * i], p[2 * i + 1], 0xDD));
        for (int i = 0; i < 2; ++i)
            p[i] = _mm512_add_ps(_mm512_shuffle_ps(p[2 * i], p[2 * i + 1], 0x44),
                                 _mm512_shuffle_ps(p[2 * i], p[2 * i + 1], 0xEE));
        const __m512 sum = _mm512_add_ps(_mm512_shuffle_ps(p[0], p[1], 0x88), _mm512_shuffle_ps(p[0], p[1], 0xDD));
        // Lane 4 b + k of the sums is vector 4 k + b.
        const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_permutexvar_ps(order, sum)));
    }

    static void dot(const float* a, const float* rows, const std::uint32_t* places, float* to) {
        const __m512 one = _mm512_load_ps(a);
        __m512 p[16];
        for (int i = 0; i < 16; ++i) p[i] = _mm512_mul_ps(one, _mm512_loadu_ps(rows + places[i * kSumLanes]));
        reduce(p, to);
    }
    static void dot_each(const float (*a)[kSumLanes], const float* rows, const std::uint32_t* places, float* to) {
        __m512 p[16];
        for (int i = 0; i < 16; ++i) p[i] = _mm512_mul_ps(_mm512_load_ps(a[i]), _mm512_loadu_ps(rows + places[i]));
        reduce(p, to);
    }

    static void join(const float* const* runs, std::ptrdiff_t at, float* to) {
        const __m256 low = _mm256_set_m128(_mm_loadu_ps(runs[1] + at), _mm_loadu_ps(runs[0] + at));
        const __m256 high = _mm256_set_m128(_mm_loadu_ps(runs[3] + at), _mm_loadu_ps(runs[2] + at));
        _mm512_store_ps(to, _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
    }
};

}  // namespace lutra
