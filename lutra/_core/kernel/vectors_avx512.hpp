// Layers with AVX-512: a table of 64 bytes is one register, and 64 lookups are one byte permutation (VBMI).
#pragma once

#include <immintrin.h>

#include <utility>

#include "vectors_rows.hpp"
#include "vectors_words.hpp"

namespace lutra {

struct Avx512Bytes {
    static constexpr int kBytes = 64, kVectors = 6;
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
    static void prepare(const std::uint8_t* pixels, std::uint8_t* indices, int i) {
        store(indices + i * 64, load(pixels));
    }
    static Bytes prepared(const std::uint8_t* indices, int i) { return load(indices + i * 64); }

    static Words words(int value) { return reinterpret_cast<Words>(_mm512_set1_epi16(static_cast<short>(value))); }
    static Words multiply_high(Words a, Words b) {
        return reinterpret_cast<Words>(_mm512_mulhi_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
    }
    static Bytes add_saturated(Bytes a, Bytes b) {
        return reinterpret_cast<Bytes>(_mm512_adds_epi8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
    }
    static Bytes clip(Bytes bytes, int low, int high) {
        const __m512i most = _mm512_set1_epi8(static_cast<char>(high)),
                      least = _mm512_set1_epi8(static_cast<char>(low));
        return reinterpret_cast<Bytes>(_mm512_max_epi8(_mm512_min_epi8(reinterpret_cast<__m512i>(bytes), most), least));
    }
    static Signed clip_words(Signed words, std::int16_t low, std::int16_t high) {
        const __m512i most = _mm512_set1_epi16(high), least = _mm512_set1_epi16(low);
        return reinterpret_cast<Signed>(
            _mm512_max_epi16(_mm512_min_epi16(reinterpret_cast<__m512i>(words), most), least));
    }
};

// Compilers would read a table from memory for every lookup.
inline __m512i in_register(__m512i vector) {
    asm("" : "+v"(vector));
    return vector;
}

// From sums of digits to a plane.
struct DigitFinish {
    DigitFinish(const Packed& packed, const Operation& operation)
        : shift(_mm_cvtsi32_si128(std::max(packed.shift, 0))),
          rest(_mm512_set1_epi8(static_cast<char>((1 << std::max(packed.shift, 0)) - 1))),
          whole(_mm512_set1_epi8(static_cast<char>(255 >> std::max(packed.shift, 0)))),
          quotients{_mm512_load_si512(packed.quotients.data()), _mm512_load_si512(packed.quotients.data() + 64)},
          low(_mm512_set1_epi8(static_cast<char>(operation.low))),
          high(_mm512_set1_epi8(static_cast<char>(operation.high))) {}

    // quotient + remainder / divisor, rounded half to even. Even divisors are 2^shift, and half of it was added to the
    // remainders: what is left of a tie is 0.
    template <bool odd>
    __m512i rounded(__m512i quotient, __m512i remainder) const {
        if constexpr (odd)
            return _mm512_add_epi8(quotient, _mm512_permutex2var_epi8(quotients[0], remainder, quotients[1]));
        const __m512i sum = _mm512_add_epi8(quotient, _mm512_and_si512(_mm512_srl_epi16(remainder, shift), whole));
        const __mmask64 tie = _mm512_testn_epi8_mask(remainder, rest);
        return _mm512_mask_sub_epi8(sum, tie, sum, _mm512_and_si512(sum, ones));
    }

    __m512i clipped(__m512i sum) const { return _mm512_max_epi8(_mm512_min_epi8(sum, high), low); }

    __m128i shift;
    __m512i ones = _mm512_set1_epi8(1), rest, whole, quotients[2], low, high;
};

// A layer in the form of digits: both digits are looked up and summed in bytes, for several vectors of pixels, so that
// a table is loaded once for all of them.
struct DigitCall {
    const LayerCall& call;
    DigitFinish finish;
};

// The indices of a span of every row: of one input, or of several inputs of a few bits side by side.
template <int vectors>
void gather_indices(const LayerCall& call, int x) {
    const Packed& packed = *call.packed;
    std::uint8_t* indices = call.scratch->indices;
    for (int row = 0; row < call.rows; ++row)
        for (int term = 0, first = 0; term < packed.terms; ++term, first += packed.combined) {
            const std::uint8_t* from = call.input(row, first) + x;
            __m512i index[vectors];
            for (int i = 0; i < vectors; ++i) index[i] = _mm512_loadu_si512(from + i * 64);
            for (int next = 1; next < packed.combined && first + next < call.layer->inputs; ++next) {
                const std::uint8_t* more = call.input(row, first + next) + x;
                const __m128i bits = _mm_cvtsi32_si128(next * packed.bits);
                for (int i = 0; i < vectors; ++i)
                    index[i] = _mm512_or_si512(index[i], _mm512_sll_epi16(_mm512_loadu_si512(more + i * 64), bits));
            }
            for (int i = 0; i < vectors; ++i, indices += 64) _mm512_store_si512(indices, index[i]);
        }
}

// Adds the planes, clips and writes.
template <int vectors>
inline __attribute__((always_inline)) void finish_digits(const DigitCall& digits, __m512i* sums, int row, int output,
                                                         int x) {
    const LayerCall& call = digits.call;
    for (int add = output * call.add_count; add < (output + 1) * call.add_count; ++add) {
        const std::uint8_t* pixels = call.add(row, add) + x;
        for (int i = 0; i < vectors; ++i) sums[i] = _mm512_adds_epi8(sums[i], _mm512_loadu_si512(pixels + i * 64));
    }
    std::uint8_t* out = call.written(row, output) + x;
    for (int i = 0; i < vectors; ++i) _mm512_storeu_si512(out + i * 64, digits.finish.clipped(sums[i]));
}

// One output of a span of a row.
template <bool odd, bool gathered, int... i>
void digits_span(const DigitCall& digits, int row, int output, int x, std::integer_sequence<int, i...>) {
    constexpr int vectors = sizeof...(i);
    const LayerCall& call = digits.call;
    const Packed& packed = *call.packed;
    const int terms = packed.terms;
    const std::uint8_t* indices = call.scratch->indices + row * terms * vectors * 64;
    const std::uint8_t* const* lines = call.lines + row * call.line_count;
    const Place* inputs = call.inputs + (call.layer->shared ? 0 : output * terms);
    const std::uint8_t* tables = packed.tables.data() + output * terms * 2 * kLevels;
    __m512i quotient[vectors], remainder[vectors];
    ((quotient[i] = _mm512_set1_epi8(static_cast<char>(packed.outputs[output].whole))), ...);
    ((remainder[i] = _mm512_set1_epi8(static_cast<char>(packed.outputs[output].first))), ...);
    for (int term = 0; term < terms; ++term, tables += 2 * kLevels) {
        const __m512i high = in_register(_mm512_load_si512(tables));
        const __m512i low = in_register(_mm512_load_si512(tables + kLevels));
        const std::uint8_t* from =
            gathered ? indices + term * vectors * 64 : lines[inputs[term].line] + inputs[term].offset + x;
        const auto add = [&](int number) __attribute__((always_inline)) {
            const __m512i at = in_register(_mm512_loadu_si512(from + number * 64));
            quotient[number] = _mm512_add_epi8(quotient[number], _mm512_permutexvar_epi8(at, high));
            remainder[number] = _mm512_add_epi8(remainder[number], _mm512_permutexvar_epi8(at, low));
        };
        (add(i), ...);
    }
    ((quotient[i] = digits.finish.rounded<odd>(quotient[i], remainder[i])), ...);
    for (int add = output * call.add_count; add < (output + 1) * call.add_count; ++add) {
        const std::uint8_t* pixels = call.add(row, add) + x;
        ((quotient[i] = _mm512_adds_epi8(quotient[i], _mm512_loadu_si512(pixels + i * 64))), ...);
    }
    std::uint8_t* out = call.written(row, output) + x;
    (_mm512_storeu_si512(out + i * 64, digits.finish.clipped(quotient[i])), ...);
}

template <bool odd, bool gathered>
void run_digits(const LayerCall& call) {
    const DigitCall digits{call, {*call.packed, *call.operation}};
    in_spans<Avx512Bytes>(call.count, [&](auto vectors, int x) {
        if (gathered) gather_indices<vectors>(call, x);
        for (int output = 0; output < call.outputs; ++output)
            for (int row = 0; row < call.rows; ++row)
                digits_span<odd, gathered>(digits, row, output, x, std::make_integer_sequence<int, vectors>());
    });
}

}  // namespace lutra
