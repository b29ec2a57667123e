// What the vector kernels do with AVX-512, its byte permutations (VBMI) and its dot products (VNNI).
#pragma once

#include <immintrin.h>

#include "../kernels.hpp"

namespace lutra {

struct Avx512 {
    using Quad = __m128i;  // four 32-bit sums

    static Quad zero() { return _mm_setzero_si128(); }
    static Quad load(const std::int32_t* from) { return _mm_load_si128(reinterpret_cast<const Quad*>(from)); }
    static void store(std::int32_t* to, Quad sums) { _mm_store_si128(reinterpret_cast<Quad*>(to), sums); }
    static Quad joined(Quad high, Quad low) { return _mm_add_epi32(_mm_slli_epi32(high, 7), low); }
    static __m128i row(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

    static Quad dot(Quad sum, const std::uint8_t* weights, const std::int8_t* values) {
        return _mm_dpbusd_epi32(sum, row(weights), row(values));
    }
    static __m512i dot(__m512i sum, std::uint32_t weights, __m512i values) {
        return _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(static_cast<int>(weights)), values);
    }

    // The four sums of each of `count` quads added up.
    static void reduce(const std::int32_t (*quads)[4], int count, std::int32_t* sums) {
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        const auto halve = [&](__m512i a, __m512i b) {
            return _mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b));
        };
        for (int i = 0; i < count; i += 16) {
            const auto load = [&](int at) { return _mm512_load_si512(quads[i + at]); };
            _mm512_store_si512(sums + i, halve(halve(load(0), load(4)), halve(load(8), load(12))));
        }
    }

    // As lutra::round_sums in single precision.
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        const __m512 by = _mm512_set1_ps(reciprocal ? 1.0f / static_cast<float>(divisor) : static_cast<float>(divisor));
        const __m512i add = _mm512_set1_epi32(shift);
        for (int i = 0; i < count; i += 16) {
            const __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(sums + i), add));
            const __m512 quotient = reciprocal ? _mm512_mul_ps(sum, by) : _mm512_div_ps(sum, by);
            const __m512i level = _mm512_cvt_roundps_epi32(quotient, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            const __m512i positive = _mm512_max_epi32(level, _mm512_setzero_si512());
            _mm_store_si128(reinterpret_cast<__m128i*>(result + i), _mm512_cvtusepi32_epi8(positive));
        }
    }

    // [corner][pixel] to [pixel][corner]: see Avx2::interleave; lanes hold pixels i, i + 16, i + 32, i + 48.
    static void interleave(const std::uint8_t (*from)[kChunk], std::uint8_t (*to)[16]) {
        __m512i now[16], next[16];
        for (int i = 0; i < 16; ++i) now[i] = _mm512_load_si512(from[i]);
        for (int round = 0; round < 4; ++round) {
            for (int i = 0; i < 8; ++i) {
                next[2 * i] = _mm512_unpacklo_epi8(now[i], now[i + 8]);
                next[2 * i + 1] = _mm512_unpackhi_epi8(now[i], now[i + 8]);
            }
            for (int i = 0; i < 16; ++i) now[i] = next[i];
        }
        for (int i = 0; i < 16; ++i) {
            _mm_store_si128(reinterpret_cast<__m128i*>(to[i]), _mm512_castsi512_si128(now[i]));
            _mm_store_si128(reinterpret_cast<__m128i*>(to[i + 16]), _mm512_extracti32x4_epi32(now[i], 1));
            _mm_store_si128(reinterpret_cast<__m128i*>(to[i + 32]), _mm512_extracti32x4_epi32(now[i], 2));
            _mm_store_si128(reinterpret_cast<__m128i*>(to[i + 48]), _mm512_extracti32x4_epi32(now[i], 3));
        }
    }

    // Four rows side by side; a permutation then puts each value's four bytes into its lane, turned.
    static __m512i rows(const std::int8_t* r0, const std::int8_t* r1, const std::int8_t* r2, const std::int8_t* r3) {
        const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(row(r0)), row(r1), 1);
        const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(row(r2)), row(r3), 1);
        return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }

    template <bool wide>
    static void blend_exact(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        switch (unit.rotations) {
            case 4:
                return blend_exact<wide, 4>(step, unit, scratch, sums);
            case 3:
                return blend_exact<wide, 3>(step, unit, scratch, sums);
            case 2:
                return blend_exact<wide, 2>(step, unit, scratch, sums);
            default:
                return blend_exact<wide, 1>(step, unit, scratch, sums);
        }
    }

    template <bool wide, int rotations>
    static void blend_exact(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const std::int8_t* table = unit.nodes.data();
        __m512i turn[rotations];
        for (int r = 0; r < rotations; ++r) turn[r] = _mm512_load_si512(step.turned_quad[r].data());
        const __m512i turn_fifth = _mm512_load_si512(step.turned_fifth.data());
        for (int i = 0; i < kChunk; ++i) {
            __m512i sum = _mm512_load_si512(sums + i * kLanes), high = _mm512_setzero_si512();
            for (int r = 0; r < rotations; ++r) {
                const auto& place = scratch.place[r];
                const __m512i quad = _mm512_permutexvar_epi8(
                    turn[r], rows(table + place[0][i], table + place[1][i], table + place[2][i], table + place[3][i]));
                sum = dot(sum, scratch.quad[r][0][i], quad);
                if (wide) high = dot(high, scratch.quad[r][1][i], quad);
            }
            const auto last = [&](int r) { return table + scratch.place[r < rotations ? r : 0][4][i]; };
            const __m512i fifth = _mm512_permutexvar_epi8(turn_fifth, rows(last(0), last(1), last(2), last(3)));
            sum = dot(sum, scratch.fifth[0][0][i], fifth);
            if (wide) sum = _mm512_add_epi32(sum, _mm512_slli_epi32(dot(high, scratch.fifth[0][1][i], fifth), 7));
            _mm512_store_si512(sums + i * kLanes, sum);
        }
    }

    template <bool wide>
    static void blend_rounded(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const std::int8_t* table = unit.nodes.data();
        const __m512i bits = _mm512_set1_epi32(step.denominator_bits), one = _mm512_set1_epi32(1);
        const __m512i half = _mm512_set1_epi32((1 << (step.denominator_bits - 1)) - 1);
        for (int i = 0; i < kChunk; ++i) {
            __m512i running = _mm512_load_si512(sums + i * kLanes);
            for (int r = 0; r < unit.rotations; ++r) {
                const auto& place = scratch.place[r];
                const __m512i turn = _mm512_load_si512(step.turned_quad[r].data());
                const __m512i quad = _mm512_permutexvar_epi8(
                    turn, rows(table + place[0][i], table + place[1][i], table + place[2][i], table + place[3][i]));
                const __m512i fifth = _mm512_permutexvar_epi8(turn, _mm512_zextsi128_si512(row(table + place[4][i])));
                __m512i sum = dot(dot(half, scratch.quad[r][0][i], quad), scratch.fifth[r][0][i], fifth);
                if (wide) {
                    const __m512i high =
                        dot(dot(_mm512_setzero_si512(), scratch.quad[r][1][i], quad), scratch.fifth[r][1][i], fifth);
                    sum = _mm512_add_epi32(sum, _mm512_slli_epi32(high, 7));
                }
                // As add_rounded.
                const __m512i odd = _mm512_and_si512(_mm512_add_epi32(_mm512_srav_epi32(sum, bits), running), one);
                running = _mm512_add_epi32(running, _mm512_srav_epi32(_mm512_add_epi32(sum, odd), bits));
            }
            _mm512_store_si512(sums + i * kLanes, running);
        }
    }

    // For sampling: pixels as 32-bit pairs of two rows.
    using Pairs = __m512i;
    static constexpr int kPairLanes = 16;
    static Pairs load_pairs(const std::uint8_t* from) {
        return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    }
    static Pairs add_pairs(Pairs sum, Pairs pixels, Pairs weights) { return _mm512_dpwssd_epi32(sum, pixels, weights); }
    static Pairs same(std::int32_t x) { return _mm512_set1_epi32(x); }
    static void store_taps(std::uint16_t* to, Pairs sums, int shift) {
        const __m512i taps = _mm512_srl_epi32(sums, _mm_cvtsi32_si128(shift));
        _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(taps));
    }
    static void sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x,
                       Scratch& scratch, std::uint16_t (*taps)[kChunk]);
};

}  // namespace lutra
