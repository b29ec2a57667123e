// The pieces of sums.hpp with AVX2: a row of 16 numbers is two registers.
#pragma once

#include <immintrin.h>

#include "ensemble_avx2.hpp"
#include "sums.hpp"
#include "vectors_avx2.hpp"

namespace lutra {

struct Avx2Sums {
    // Sums of the even bytes are those of whole words less 256 times those of the odd bytes.
    static void look_up(const std::int8_t* const* inputs, const std::uint8_t* tables, int count, std::uint16_t* sums) {
        __m256i words[2] = {}, odd[2] = {};
        for (int t = 0; t < count; ++t) {
            const Avx2Bytes::Table<false> table(tables + t * kLevels);
            for (int half = 0; half < 2; ++half) {
                const auto* pixels = reinterpret_cast<const std::uint8_t*>(inputs[t]) + 32 * half;
                const auto found = reinterpret_cast<__m256i>(table.look(Avx2Bytes::index(pixels)));
                words[half] = _mm256_add_epi16(words[half], found);
                odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16(found, 8));
            }
        }
        for (int half = 0; half < 2; ++half) {
            const __m256i even = _mm256_sub_epi16(words[half], _mm256_slli_epi16(odd[half], 8));
            const __m256i low = _mm256_unpacklo_epi16(even, odd[half]), high = _mm256_unpackhi_epi16(even, odd[half]);
            Avx2Bytes::write(sums + 32 * half, _mm256_permute2x128_si256(low, high, 0x20));
            Avx2Bytes::write(sums + 32 * half + 16, _mm256_permute2x128_si256(low, high, 0x31));
        }
    }

    static void finish(const SumsForward& call, int output, std::ptrdiff_t at, const std::uint16_t* sums) {
        finish_plain<Avx2Sums>(call, output, at, sums);
    }

    static void transpose(const float* const* from, float scale, float (*to)[kSumLanes]) {
        for (int row = 0; row < kSumLanes; row += 8)
            for (int column = 0; column < kSumLanes; column += 8) transpose_8(from + row, scale, column, to, row);
    }

    static void add_row(float* to, const float* row) { Row::load(to).plus(Row::load(row)).store(to); }

    static void add_rows(float* to, const std::uint32_t* places, int count, const float* row) {
        const Row more = Row::load(row);
        for (int i = 0; i < count; ++i) {
            float* own = to + places[i * kSumLanes];
            Row::load(own).plus(more).store(own);
        }
    }

    static void dot(const float* a, const float* rows, const std::uint32_t* places, float* to) {
        const Row one = Row::load(a);
        reduce([&](int i) { return product(one, Row::load(rows + places[i * kSumLanes])); }, to);
    }
    static void dot_each(const float (*a)[kSumLanes], const float* rows, const std::uint32_t* places, float* to) {
        reduce([&](int i) { return product(Row::load(a[i]), Row::load(rows + places[i])); }, to);
    }

    // Whole registers are stored: one that is loaded again from two stores would wait for both.
    static void join(const float* const* runs, std::ptrdiff_t at, float* to) {
        const auto both = [&](int run) {
            return _mm256_set_m128(_mm_loadu_ps(runs[run + 1] + at), _mm_loadu_ps(runs[run] + at));
        };
        Row{both(0), both(2)}.store(to);
    }

  private:
    using Row = Avx2Floats::Floats;

    // The products of two rows, halves added.
    static __m256 product(const Row& one, const Row& other) {
        return _mm256_add_ps(_mm256_mul_ps(one.low, other.low), _mm256_mul_ps(one.high, other.high));
    }

    // Adds the sums of 16 vectors of 8 numbers, halves first, as PlainSums::dot.
    template <class Products>
    static void reduce(const Products& products, float* to) {
        for (int first = 0; first < kSumLanes; first += 8) {
            __m256 fours[4], pairs[2];
            for (int i = 0; i < 4; ++i) {  // vectors i and i + 4, in one half each
                const __m256 one = products(first + i), other = products(first + i + 4);
                fours[i] = _mm256_add_ps(_mm256_blend_ps(one, other, 0xF0), _mm256_permute2f128_ps(one, other, 0x21));
            }
            for (int i = 0; i < 2; ++i)
                pairs[i] = _mm256_add_ps(_mm256_shuffle_ps(fours[2 * i], fours[2 * i + 1], 0x44),
                                         _mm256_shuffle_ps(fours[2 * i], fours[2 * i + 1], 0xEE));
            const __m256 sums =
                _mm256_add_ps(_mm256_shuffle_ps(pairs[0], pairs[1], 0x88), _mm256_shuffle_ps(pairs[0], pairs[1], 0xDD));
            _mm256_storeu_ps(to + first, _mm256_add_ps(_mm256_loadu_ps(to + first), sums));
        }
    }

    // Eight columns of eight rows, to eight rows from `row` on.
    static void transpose_8(const float* const* from, float scale, int column, float (*to)[kSumLanes], int row) {
        __m256 now[8], next[8];
        for (int i = 0; i < 8; ++i)
            now[i] =
                from[i] ? _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(from[i] + column)) : _mm256_setzero_ps();
        for (int i = 0; i < 8; i += 2) {
            next[i] = _mm256_unpacklo_ps(now[i], now[i + 1]);
            next[i + 1] = _mm256_unpackhi_ps(now[i], now[i + 1]);
        }
        for (int i = 0; i < 8; i += 4)
            for (int j = 0; j < 2; ++j) {
                now[i + 2 * j] = _mm256_shuffle_ps(next[i + j], next[i + j + 2], 0x44);
                now[i + 2 * j + 1] = _mm256_shuffle_ps(next[i + j], next[i + j + 2], 0xEE);
            }
        for (int j = 0; j < 4; ++j) {
            _mm256_storeu_ps(to[column + j] + row, _mm256_permute2f128_ps(now[j], now[j + 4], 0x20));
            _mm256_storeu_ps(to[column + j + 4] + row, _mm256_permute2f128_ps(now[j], now[j + 4], 0x31));
        }
    }
};

}  // namespace lutra
