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

// Sums of lookups modulo 256, and how often they wrapped: in quotients where an even divisor divides 256, else counted.
struct Carries {
    __m512i sum, high, before;

    // What was added since `before` was the sum is at most 255: the sum wrapped where it is the lesser.
    inline __attribute__((always_inline)) void count(__m512i unit) {
        high = in_register(_mm512_mask_add_epi8(high, _mm512_cmplt_epu8_mask(sum, before), high, unit));
        before = sum;
    }
};

// From such sums to a plane.
struct CarryFinish {
    CarryFinish(const Packed& packed, const Operation& operation, bool odd)
        : shift(_mm_cvtsi32_si128(packed.shift)),
          rest(same((1 << packed.shift) - 1)),
          whole(same(255 >> packed.shift)),
          unit(same(odd ? 1 : 256 >> packed.shift)),
          magic(_mm512_set1_epi16(static_cast<short>(packed.magic))),
          low(same(operation.low)),
          high(same(operation.high)),
          multiplies(packed.magic != 0) {}

    static __m512i same(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }

    // The sum / divisor, rounded half to even, from what half the divisor was added to. An even divisor is 2^shift:
    // what is left of a tie is 0. Quotients by an odd one are cut at a byte's limits.
    template <bool odd>
    __m512i rounded(const Carries& carries, const Packed::Output& output) const {
        if constexpr (odd) {
            const __m512i least = _mm512_set1_epi16(static_cast<short>(output.whole));
            const auto divided = [&](__m512i sum) {
                return _mm512_add_epi16(multiplies ? _mm512_mulhi_epu16(sum, magic) : sum, least);
            };
            return _mm512_packs_epi16(divided(_mm512_unpacklo_epi8(carries.sum, carries.high)),
                                      divided(_mm512_unpackhi_epi8(carries.sum, carries.high)));
        }
        const __m512i part = _mm512_and_si512(_mm512_srl_epi16(carries.sum, shift), whole);
        const __m512i sum = _mm512_add_epi8(carries.high, part);
        const __mmask64 tie = _mm512_testn_epi8_mask(carries.sum, rest);
        return _mm512_mask_sub_epi8(sum, tie, sum, _mm512_and_si512(sum, ones));
    }

    // Adds the planes, clips and writes.
    template <int vectors>
    inline __attribute__((always_inline)) void write(const LayerCall& call, __m512i* sums, int row, int output,
                                                     int x) const {
        for (int add = output * call.add_count; add < (output + 1) * call.add_count; ++add) {
            const std::uint8_t* pixels = call.add(row, add) + x;
            for (int i = 0; i < vectors; ++i) sums[i] = _mm512_adds_epi8(sums[i], _mm512_loadu_si512(pixels + i * 64));
        }
        std::uint8_t* out = call.written(row, output) + x;
        for (int i = 0; i < vectors; ++i)
            _mm512_storeu_si512(out + i * 64, _mm512_max_epi8(_mm512_min_epi8(sums[i], high), low));
    }

    __m128i shift;
    __m512i ones = _mm512_set1_epi8(1), rest, whole, unit, magic, low, high;
    bool multiplies;
};

// A layer in the form of carries, for several vectors of pixels at once, so that a table is loaded once for all of
// them.
struct CarryCall {
    const LayerCall& call;
    CarryFinish finish;
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

// One output of a span of a row.
template <bool odd, bool gathered, int... i>
void carries_span(const CarryCall& carried, int row, int output, int x, std::integer_sequence<int, i...>) {
    constexpr int vectors = sizeof...(i);
    const LayerCall& call = carried.call;  // no structured binding: clang before 16 has none in a lambda
    const CarryFinish& finish = carried.finish;
    const Packed& packed = *call.packed;
    const Packed::Output& numbers = packed.outputs[output];
    const int terms = packed.terms;
    const std::uint8_t* indices = call.scratch->indices + row * terms * vectors * 64;
    const std::uint8_t* const* lines = call.lines + row * call.line_count;
    const Place* inputs = call.inputs + (call.layer->shared ? 0 : output * terms);
    const std::uint8_t* tables = packed.tables.data() + output * terms * kLevels;
    const std::uint8_t* ranges = packed.ranges.data() + output * terms;
    const __m512i first = CarryFinish::same(numbers.first), start = CarryFinish::same(odd ? 0 : numbers.whole);
    Carries sums[] = {((void)i, Carries{first, start, first})...};
    bool wraps = false;
    for (int term = 0, most = numbers.first; term < terms; ++term, tables += kLevels) {
        if (ranges[term] == 0) continue;
        most += ranges[term];
        if (most > 255) {
            if (wraps)
                (sums[i].count(finish.unit), ...);
            else
                ((sums[i].before = sums[i].sum), ...);
            wraps = true;
            most = ranges[term];
        }
        const __m512i table = in_register(_mm512_load_si512(tables));
        const std::uint8_t* from =
            gathered ? indices + term * vectors * 64 : lines[inputs[term].line] + inputs[term].offset + x;
        ((sums[i].sum = _mm512_add_epi8(
              sums[i].sum, _mm512_permutexvar_epi8(in_register(_mm512_loadu_si512(from + i * 64)), table))),
         ...);
    }
    if (wraps) (sums[i].count(finish.unit), ...);
    __m512i results[] = {finish.rounded<odd>(sums[i], numbers)...};
    finish.write<vectors>(call, results, row, output, x);
}

template <bool odd, bool gathered>
void run_carries(const LayerCall& call) {
    const CarryCall carried{call, {*call.packed, *call.operation, odd}};
    in_spans<Avx512Bytes>(call.count, [&](auto vectors, int x) {
        if (gathered) gather_indices<vectors>(call, x);
        for (int output = 0; output < call.outputs; ++output)
            for (int row = 0; row < call.rows; ++row)
                carries_span<odd, gathered>(carried, row, output, x, std::make_integer_sequence<int, vectors>());
    });
}

}  // namespace lutra
