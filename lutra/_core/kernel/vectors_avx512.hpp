// Layers with AVX-512: a table of 64 bytes is one register, and 64 lookups are one byte permutation (VBMI).
#pragma once

#include <immintrin.h>

#include "vectors_words.hpp"

namespace lutra {

struct Avx512Bytes {
    static constexpr int kBytes = 64, kVectors = 4;
    typedef std::uint8_t Bytes __attribute__((vector_size(64)));
    typedef std::uint16_t Words __attribute__((vector_size(64)));
    typedef std::int16_t Signed __attribute__((vector_size(64)));

    template <bool narrow>
    struct Table {
        explicit Table(const std::uint8_t* table) : bytes(_mm512_load_si512(table)) {}
        Bytes look(Bytes index) const {
            return reinterpret_cast<Bytes>(_mm512_permutexvar_epi8(reinterpret_cast<__m512i>(index), bytes));
        }
        __m512i bytes;
    };

    static Bytes load(const void* from) { return reinterpret_cast<Bytes>(_mm512_loadu_si512(from)); }
    static void store(void* to, Bytes bytes) { _mm512_storeu_si512(to, reinterpret_cast<__m512i>(bytes)); }
    static Bytes index(const std::uint8_t* pixels) { return load(pixels); }
    static void prepare(const std::uint8_t* pixels, std::uint8_t* indices, int i) { store(indices + i * 64, load(pixels)); }
    static Bytes prepared(const std::uint8_t* indices, int i) { return load(indices + i * 64); }

    static Words words(int value) { return reinterpret_cast<Words>(_mm512_set1_epi16(static_cast<short>(value))); }
    static Words multiply_high(Words a, Words b) {
        return reinterpret_cast<Words>(_mm512_mulhi_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
    }
    static Bytes add_saturated(Bytes a, Bytes b) {
        return reinterpret_cast<Bytes>(_mm512_adds_epi8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
    }
    static Bytes clip(Bytes bytes, int low, int high) {
        const __m512i most = _mm512_set1_epi8(static_cast<char>(high)), least = _mm512_set1_epi8(static_cast<char>(low));
        return reinterpret_cast<Bytes>(_mm512_max_epi8(_mm512_min_epi8(reinterpret_cast<__m512i>(bytes), most), least));
    }
    static Signed clip(Signed words, std::int16_t low, std::int16_t high) {
        const __m512i most = _mm512_set1_epi16(high), least = _mm512_set1_epi16(low);
        return reinterpret_cast<Signed>(
            _mm512_max_epi16(_mm512_min_epi16(reinterpret_cast<__m512i>(words), most), least));
    }
};

// Layers in the form of digits: both digits are looked up and summed in bytes, for up to four vectors of pixels, so
// that a table is loaded once for all of them.
template <int vectors>
struct DigitSums {
    __m512i quotient[vectors], remainder[vectors];

    explicit DigitSums(const Packed::Output& output) {
        for (int i = 0; i < vectors; ++i) {
            quotient[i] = _mm512_set1_epi8(static_cast<char>(output.whole));
            remainder[i] = _mm512_set1_epi8(static_cast<char>(output.first));
        }
    }

    template <class Index>
    void add(const std::uint8_t* tables, int terms, const Index& index) {
        for (int term = 0; term < terms; ++term, tables += 2 * kLevels) {
            const __m512i high = _mm512_load_si512(tables), low = _mm512_load_si512(tables + kLevels);
            for (int i = 0; i < vectors; ++i) {
                const __m512i at = index(term, i);
                quotient[i] = _mm512_add_epi8(quotient[i], _mm512_permutexvar_epi8(at, high));
                remainder[i] = _mm512_add_epi8(remainder[i], _mm512_permutexvar_epi8(at, low));
            }
        }
    }

    // The remainders' sum over a divisor of 2^shift, rounded half to even: one more than its whole part where the rest
    // is more than half, or half and the sum odd.
    __m512i rounded(int i, int shift) const {
        const __m512i ones = _mm512_set1_epi8(1), mask = _mm512_set1_epi8(static_cast<char>((1 << shift) - 1));
        const __m512i shifted = _mm512_srl_epi16(remainder[i], _mm_cvtsi32_si128(shift));
        const __m512i whole = _mm512_and_si512(shifted, _mm512_set1_epi8(static_cast<char>(255 >> shift)));
        const __m512i sum = _mm512_add_epi8(quotient[i], whole);
        const __m512i rest = _mm512_add_epi8(_mm512_and_si512(remainder[i], mask), _mm512_and_si512(sum, ones));
        const __mmask64 more = _mm512_cmpgt_epu8_mask(rest, _mm512_set1_epi8(static_cast<char>(1 << shift >> 1)));
        return _mm512_mask_add_epi8(sum, more, sum, ones);
    }

    __m512i rounded(int i, const std::uint8_t* quotients) const {
        const __m512i low = _mm512_load_si512(quotients), high = _mm512_load_si512(quotients + 64);
        return _mm512_add_epi8(quotient[i], _mm512_permutex2var_epi8(low, remainder[i], high));
    }
};

// Indices of several inputs, each of a few bits, side by side.
inline void combine_indices(const SumCall& call, int x, int vectors) {
    const Packed& packed = *call.packed;
    for (int i = 0; i < vectors; ++i)
        for (int term = 0, input = 0; term < packed.terms; ++term) {
            __m512i index = _mm512_loadu_si512(call.inputs[input++] + x + i * 64);
            for (int next = 1; next < packed.combined && input < call.layer->inputs; ++next) {
                const __m512i more = _mm512_loadu_si512(call.inputs[input++] + x + i * 64);
                index = _mm512_or_si512(index, _mm512_sll_epi16(more, _mm_cvtsi32_si128(next * packed.bits)));
            }
            _mm512_store_si512(call.scratch->indices[term] + i * 64, index);
        }
}

template <int vectors>
void finish_digits(const SumCall& call, const DigitSums<vectors>& sums, int output, int x) {
    const Operation& operation = *call.operation;
    const std::uint8_t* const* adds = call.adds + output * call.add_count;
    for (int i = 0; i < vectors; ++i, x += 64) {
        __m512i result = call.packed->shift >= 1 ? sums.rounded(i, call.packed->shift)
                                                 : sums.rounded(i, call.packed->quotients.data());
        for (int add = 0; add < call.add_count; ++add)
            result = _mm512_adds_epi8(result, _mm512_loadu_si512(adds[add] + x));
        Avx512Bytes::store(call.out[output] + x, Avx512Bytes::clip(reinterpret_cast<Avx512Bytes::Bytes>(result),
                                                                   operation.low, operation.high));
    }
}

template <int vectors>
void digits_span(const SumCall& call, int x) {
    const Packed& packed = *call.packed;
    const bool shared = call.layer->shared;
    if (shared) combine_indices(call, x, vectors);
    const std::uint8_t* tables = packed.tables.data();
    for (int output = 0; output < call.outputs; ++output, tables += packed.terms * 2 * kLevels) {
        DigitSums<vectors> sums(packed.outputs[output]);
        const auto& indices = call.scratch->indices;
        const std::uint8_t* const* inputs = call.inputs + output * call.layer->inputs;
        if (shared)
            sums.add(tables, packed.terms, [&](int term, int i) { return _mm512_load_si512(indices[term] + i * 64); });
        else
            sums.add(tables, packed.terms,
                     [&](int term, int i) { return _mm512_loadu_si512(inputs[term] + x + i * 64); });
        finish_digits(call, sums, output, x);
    }
}

template <class Simd>
void run_sum_avx512(const SumCall& call) {
    if (!call.layer || call.packed->form == Form::plain) return run_sum_plain<Simd>(call);
    if (call.packed->form == Form::words) return run_words<Avx512Bytes, false>(call);
    in_spans<Avx512Bytes>(call.count, [&](auto vectors, int x) { digits_span<vectors>(call, x); });
}

}  // namespace lutra
