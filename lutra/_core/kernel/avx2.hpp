// What the vector kernels do with AVX2.
#pragma once

#include <immintrin.h>

#include "../kernels.hpp"

namespace lutra {

struct Avx2 {
    using Quad = __m128i;  // four 32-bit sums

    static Quad zero() { return _mm_setzero_si128(); }
    static Quad load(const std::int32_t* from) { return _mm_load_si128(reinterpret_cast<const Quad*>(from)); }
    static void store(std::int32_t* to, Quad sums) { _mm_store_si128(reinterpret_cast<Quad*>(to), sums); }
    static Quad joined(Quad high, Quad low) { return _mm_add_epi32(_mm_slli_epi32(high, 7), low); }
    static __m128i row(const std::int8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
    static __m256i wide_load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
    static void wide_store(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

    // Two products of at most 127 * 128 and sums of weights of at most 128 stay within 16 bits.
    static Quad dot(Quad sum, const std::uint8_t* weights, const std::int8_t* values) {
        const __m128i pairs = _mm_maddubs_epi16(row(reinterpret_cast<const std::int8_t*>(weights)), row(values));
        return _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    }
    static __m256i dot(__m256i sum, __m256i weights, __m256i values) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(weights, values), _mm256_set1_epi16(1)));
    }

    // The four sums of each of `count` quads added up.
    static void reduce(const std::int32_t (*quads)[4], int count, std::int32_t* sums) {
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        for (int i = 0; i < count; i += 8) {
            const auto pair = [&](int at) {
                return _mm256_hadd_epi32(wide_load(quads[i + at]), wide_load(quads[i + at + 2]));
            };
            const __m256i added = _mm256_hadd_epi32(pair(0), pair(4));
            wide_store(sums + i, _mm256_permutevar8x32_epi32(added, order));
        }
    }

    // As lutra::round_sums in single precision.
    template <bool reciprocal>
    static void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift,
                           std::uint8_t* result) {
        const __m256 by = _mm256_set1_ps(reciprocal ? 1.0f / static_cast<float>(divisor) : static_cast<float>(divisor));
        const __m256i add = _mm256_set1_epi32(shift), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const auto levels = [&](const std::int32_t* from) {
            const __m256 sum = _mm256_cvtepi32_ps(_mm256_add_epi32(wide_load(from), add));
            const __m256 quotient = reciprocal ? _mm256_mul_ps(sum, by) : _mm256_div_ps(sum, by);
            return _mm256_cvtps_epi32(_mm256_round_ps(quotient, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
        };
        for (int i = 0; i < count; i += 32) {
            const __m256i low = _mm256_packs_epi32(levels(sums + i), levels(sums + i + 8));
            const __m256i high = _mm256_packs_epi32(levels(sums + i + 16), levels(sums + i + 24));
            wide_store(result + i, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
        }
    }

    // [corner][pixel] to [pixel][corner]. Unpacking four times sorts 16 vectors; lanes hold pixels i and i + 16.
    static void interleave(const std::uint8_t (*from)[kChunk], std::uint8_t (*to)[16]) {
        for (int half = 0; half < kChunk; half += 32) {
            __m256i now[16], next[16];
            for (int i = 0; i < 16; ++i) now[i] = wide_load(from[i] + half);
            for (int round = 0; round < 4; ++round) {
                for (int i = 0; i < 8; ++i) {
                    next[2 * i] = _mm256_unpacklo_epi8(now[i], now[i + 8]);
                    next[2 * i + 1] = _mm256_unpackhi_epi8(now[i], now[i + 8]);
                }
                for (int i = 0; i < 16; ++i) now[i] = next[i];
            }
            for (int i = 0; i < 16; ++i) {
                _mm_store_si128(reinterpret_cast<__m128i*>(to[half + i]), _mm256_castsi256_si128(now[i]));
                _mm_store_si128(reinterpret_cast<__m128i*>(to[half + 16 + i]), _mm256_extracti128_si256(now[i], 1));
            }
        }
    }

    // Sixteen 32-bit sums: values 0-3 and 8-11, values 4-7 and 12-15, as unpacking four rows leaves them.
    struct Sums {
        __m256i even, odd;

        static Sums load(const std::int32_t* from) {
            const __m256i low = wide_load(from), high = wide_load(from + 8);
            return {_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)};
        }
        void store(std::int32_t* to) const {
            wide_store(to, _mm256_permute2x128_si256(even, odd, 0x20));
            wide_store(to + 8, _mm256_permute2x128_si256(even, odd, 0x31));
        }
        static Sums zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
        void add_dot(std::uint32_t weights, const Sums& rows) {
            const __m256i w = _mm256_set1_epi32(static_cast<int>(weights));
            even = dot(even, w, rows.even);
            odd = dot(odd, w, rows.odd);
        }
        void add_high(const Sums& high) {
            even = _mm256_add_epi32(even, _mm256_slli_epi32(high.even, 7));
            odd = _mm256_add_epi32(odd, _mm256_slli_epi32(high.odd, 7));
        }
        // Four rows, turned, value by value.
        static Sums rows(__m128i r0, __m128i r1, __m128i r2, __m128i r3) {
            const auto both = [](__m128i p, __m128i q) {
                return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(p, q)), _mm_unpackhi_epi8(p, q),
                                               1);
            };
            const __m256i first = both(r0, r1), second = both(r2, r3);
            return {_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)};
        }
    };

    static __m128i turned(const Step& step, int rotation, const std::int8_t* from) {
        return _mm_shuffle_epi8(row(from), row(reinterpret_cast<const std::int8_t*>(step.turned_row[rotation].data())));
    }

    template <bool wide>
    static void blend_exact(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const std::int8_t* table = unit.nodes.data();
        for (int i = 0; i < kChunk; ++i) {
            Sums sum = Sums::load(sums + i * kLanes), high = Sums::zero();
            const auto add = [&](const Sums& rows, std::uint32_t low_weights, std::uint32_t high_weights) {
                sum.add_dot(low_weights, rows);
                if (wide) high.add_dot(high_weights, rows);
            };
            __m128i fifth[4] = {};
            for (int r = 0; r < unit.rotations; ++r) {
                const auto& place = scratch.place[r];
                const auto vertex = [&](int v) { return turned(step, r, table + place[v][i]); };
                fifth[r] = vertex(4);
                add(Sums::rows(vertex(0), vertex(1), vertex(2), vertex(3)), scratch.quad[r][0][i],
                    scratch.quad[r][1][i]);
            }
            add(Sums::rows(fifth[0], fifth[1], fifth[2], fifth[3]), scratch.fifth[0][0][i], scratch.fifth[0][1][i]);
            if (wide) sum.add_high(high);
            sum.store(sums + i * kLanes);
        }
    }

    // As add_rounded: `low` already has half a unit less added.
    static __m256i round_in(__m256i running, __m256i low, __m128i bits) {
        const __m256i odd =
            _mm256_and_si256(_mm256_add_epi32(_mm256_sra_epi32(low, bits), running), _mm256_set1_epi32(1));
        return _mm256_add_epi32(running, _mm256_sra_epi32(_mm256_add_epi32(low, odd), bits));
    }

    template <bool wide>
    static void blend_rounded(const Step& step, const Unit& unit, const Scratch& scratch, std::int32_t* sums) {
        const std::int8_t* table = unit.nodes.data();
        const __m128i bits = _mm_cvtsi32_si128(step.denominator_bits);
        const __m256i half = _mm256_set1_epi32((1 << (step.denominator_bits - 1)) - 1);
        for (int i = 0; i < kChunk; ++i) {
            Sums running = Sums::load(sums + i * kLanes);
            for (int r = 0; r < unit.rotations; ++r) {
                const auto& place = scratch.place[r];
                const auto vertex = [&](int v) { return turned(step, r, table + place[v][i]); };
                const Sums rows = Sums::rows(vertex(0), vertex(1), vertex(2), vertex(3));
                const __m128i last = vertex(4);
                const Sums fifth = Sums::rows(last, last, last, last);
                Sums sum{half, half}, high = Sums::zero();
                sum.add_dot(scratch.quad[r][0][i], rows);
                sum.add_dot(scratch.fifth[r][0][i], fifth);
                if (wide) {
                    high.add_dot(scratch.quad[r][1][i], rows);
                    high.add_dot(scratch.fifth[r][1][i], fifth);
                    sum.add_high(high);
                }
                running = {round_in(running.even, sum.even, bits), round_in(running.odd, sum.odd, bits)};
            }
            running.store(sums + i * kLanes);
        }
    }

    // For sampling: pixels as 32-bit pairs of two rows.
    using Pairs = __m256i;
    static constexpr int kPairLanes = 8;
    static Pairs load_pairs(const std::uint8_t* from) {
        return _mm256_cvtepu8_epi16(row(reinterpret_cast<const std::int8_t*>(from)));
    }
    static Pairs add_pairs(Pairs sum, Pairs pixels, Pairs weights) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pixels, weights));
    }
    static Pairs same(std::int32_t x) { return _mm256_set1_epi32(x); }
    static void store_taps(std::uint16_t* to, Pairs sums, int shift) {
        const __m256i taps = _mm256_srl_epi32(sums, _mm_cvtsi32_si128(shift));
        _mm_store_si128(reinterpret_cast<__m128i*>(to),
                        _mm_packus_epi32(_mm256_castsi256_si128(taps), _mm256_extracti128_si256(taps, 1)));
    }
    static void sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x,
                       Scratch& scratch, std::uint16_t (*taps)[kChunk]);
};

}  // namespace lutra
