// Layers in the form of words: a lookup gives bytes, groups of lookups are summed in bytes, groups in 16-bit words.
#pragma once

#include <type_traits>
#include <utility>

#include "vectors_plain.hpp"

namespace lutra {

// Calls run(vectors, x) for spans of up to Simd::kVectors vectors, all of about the same size.
template <class Simd, class Run>
void in_spans(int count, Run run) {
    int left = (count + Simd::kBytes - 1) / Simd::kBytes;
    for (int x = 0, spans = (left + Simd::kVectors - 1) / Simd::kVectors; spans > 0; --spans) {
        const int vectors = (left + spans - 1) / spans;
        const auto run_if = [&](auto number) {
            if (number == vectors) run(number, x);
        };
        [&]<int... i>(std::integer_sequence<int, i...>) {
            (run_if(std::integral_constant<int, i + 1>()), ...);
        }(std::make_integer_sequence<int, Simd::kVectors>());
        x += vectors * Simd::kBytes;
        left -= vectors;
    }
}

// Sums of lookups of a span: `all` adds up whole words of two bytes, modulo 2^16, and `odd` their high bytes.
template <class Simd, int vectors>
struct WordSums {
    typename Simd::Words all[vectors] = {}, odd[vectors] = {};

    typename Simd::Words even(int i) const { return all[i] - (odd[i] << 8); }
};

template <class Simd, bool narrow, int... i, class Index>
WordSums<Simd, sizeof...(i)> sum_groups(const Groups& groups, const std::uint8_t* tables, const Index& index) {
    using Bytes = typename Simd::Bytes;
    using Words = typename Simd::Words;
    Words all[sizeof...(i)] = {}, odd[sizeof...(i)] = {};
    const std::uint8_t* table = tables + groups.tables;
    const std::uint16_t* term = groups.terms.data();
    for (const std::uint8_t size : groups.sizes) {
        const typename Simd::template Table<narrow> first(table);
        Bytes sum[] = {first.look(index(*term, i))...};
        ++term;
        table += kLevels;
        for (int left = size; --left > 0; ++term, table += kLevels) {
            const typename Simd::template Table<narrow> vector(table);
            ((sum[i] += vector.look(index(*term, i))), ...);
        }
        ((all[i] += reinterpret_cast<Words>(sum[i])), ...);
        ((odd[i] += reinterpret_cast<Words>(sum[i]) >> 8), ...);
    }
    return {{all[i]...}, {odd[i]...}};
}

// x / divisor rounded half to even, plus `whole`, where x has the fraction `part` / 2^fraction_bits if there are
// `parts`.
template <class Simd, bool parts>
struct WordDivision {
    using Words = typename Simd::Words;
    using Signed = typename Simd::Signed;

    WordDivision(const Layer& layer, const Packed& packed, const Packed::Output& output)
        : magic(Simd::words(packed.magic)),
          divisor(Simd::words(layer.divisor)),
          half(Simd::words(output.first + layer.divisor / 2)),
          half_part(Simd::words(layer.divisor % 2 ? layer.denominator / 2 : 0)),
          rest(Simd::words((1 << packed.fraction_bits) - 1)),
          whole(reinterpret_cast<Signed>(Simd::words(output.whole))),
          shift(packed.shift),
          bits(packed.fraction_bits),
          multiplies(packed.magic != 0),
          ties(layer.divisor % 2 == 0 || layer.denominator > 1) {}

    Signed operator()(Words x, Words part) const {
        if constexpr (parts) part += half_part;
        x += parts ? half + shifted(part, bits) : half;
        const Words quotient = shifted(multiplies ? Simd::multiply_high(x, magic) : x, shift);
        Signed result = reinterpret_cast<Signed>(quotient) + whole;
        if (ties) {
            Words left = x - quotient * divisor;
            if constexpr (parts) left |= part & rest;
            result -= result & 1 & reinterpret_cast<Signed>(left == 0);
        }
        return result;
    }

    static Words shifted(Words words, int bits) {
        if constexpr (requires { Simd::shift_right(words, bits); })
            return Simd::shift_right(words, bits);
        else
            return words >> bits;
    }

    Words magic, divisor, half, half_part, rest;
    Signed whole;
    int shift, bits;
    bool multiplies, ties;
};

// One output of a span: quotients of even and odd pixels, the planes added, clipped.
template <class Simd>
void finish_words(const LayerCall& call, int row, int output, int x, typename Simd::Signed even,
                  typename Simd::Signed odd) {
    using Bytes = typename Simd::Bytes;
    using Words = typename Simd::Words;
    using Signed = typename Simd::Signed;
    const Operation& operation = *call.operation;
    const auto joined = [](Signed low, Signed high) {
        return reinterpret_cast<Bytes>((reinterpret_cast<Words>(low) & 255) | reinterpret_cast<Words>(high) << 8);
    };
    const int adds = output * call.add_count, end = adds + call.add_count;
    std::uint8_t* out = call.written(row, output) + x;
    if (call.packed->fits && operation.saturates) {
        Bytes result = joined(even, odd);
        for (int add = adds; add < end; ++add) result = Simd::add_saturated(result, Simd::load(call.add(row, add) + x));
        Simd::store(out, Simd::clip(result, operation.low, operation.high));
        return;
    }
    for (int add = adds; add < end; ++add) {
        const auto pixels = reinterpret_cast<Signed>(Simd::load(call.add(row, add) + x));
        even += reinterpret_cast<Signed>(reinterpret_cast<Words>(pixels) << 8) >> 8;
        odd += pixels >> 8;
    }
    const auto low = static_cast<std::int16_t>(operation.low), high = static_cast<std::int16_t>(operation.high);
    Simd::store(out, joined(Simd::clip_words(even, low, high), Simd::clip_words(odd, low, high)));
}

template <class Simd, bool narrow, bool shared, bool parts, int... i>
void words_span(const LayerCall& call, const WordDivision<Simd, parts>& divide, int row, int output, int x,
                std::integer_sequence<int, i...>) {
    constexpr int vectors = sizeof...(i);
    const Packed& packed = *call.packed;
    const std::uint8_t* const* lines = call.lines + row * call.line_count;
    const Place* inputs = call.inputs + output * packed.terms;
    const std::uint8_t* indices = call.scratch->indices;
    const auto index = [=](int term, int number) __attribute__((always_inline)) {
        if constexpr (shared)
            return Simd::prepared(indices, term * vectors + number);
        else
            return Simd::index(lines[inputs[term].line] + inputs[term].offset + x + number * Simd::kBytes);
    };
    const std::uint8_t* tables = packed.tables.data();
    const auto sums = sum_groups<Simd, narrow, i...>(packed.outputs[output].high, tables, index);
    WordSums<Simd, vectors> fractions;
    if constexpr (parts) fractions = sum_groups<Simd, narrow, i...>(packed.outputs[output].fractions, tables, index);
    (finish_words<Simd>(call, row, output, x + i * Simd::kBytes, divide(sums.even(i), fractions.even(i)),
                        divide(sums.odd[i], fractions.odd[i])),
     ...);
}

template <class Simd, bool narrow, bool shared, bool parts>
void run_words(const LayerCall& call) {
    for (int row = 0; row < call.rows; ++row)
        in_spans<Simd>(call.count, [&](auto vectors, int x) {
            for (int term = 0; shared && term < call.packed->terms; ++term)
                for (int i = 0; i < vectors; ++i)
                    Simd::prepare(call.input(row, term) + x + i * Simd::kBytes, call.scratch->indices,
                                  term * vectors + i);
            for (int output = 0; output < call.outputs; ++output) {
                const WordDivision<Simd, parts> divide(*call.layer, *call.packed, call.packed->outputs[output]);
                words_span<Simd, narrow, shared>(call, divide, row, output, x,
                                                 std::make_integer_sequence<int, vectors>());
            }
        });
}

template <class Simd, bool narrow, bool shared>
void run_words(const LayerCall& call) {
    (call.layer->denominator > 1 ? run_words<Simd, narrow, shared, true>
                                 : run_words<Simd, narrow, shared, false>)(call);
}

template <class Simd, bool narrow>
void run_words(const LayerCall& call) {
    (call.layer->shared ? run_words<Simd, narrow, true> : run_words<Simd, narrow, false>)(call);
}

// Sums without a layer.
template <class Simd>
void add_planes(const LayerCall& call) {
    for (int row = 0; row < call.rows; ++row)
        for (int output = 0; output < call.outputs; ++output)
            for (int x = 0; x < call.count; x += Simd::kBytes) {
                const int first = output * call.add_count;
                typename Simd::Bytes sum = Simd::load(call.add(row, first) + x);
                for (int add = first + 1; add < first + call.add_count; ++add)
                    sum = Simd::add_saturated(sum, Simd::load(call.add(row, add) + x));
                Simd::store(call.written(row, output) + x, Simd::clip(sum, call.operation->low, call.operation->high));
            }
}

// A sum in the form of words, or one that needs no lookups of bytes.
template <class Plain, class Simd>
void run_sum_words(const LayerCall& call) {
    if (!call.layer && call.operation->saturates && !call.operation->adds_unsigned && call.operation->high <= 127)
        return add_planes<Simd>(call);
    if (!call.layer || call.packed->form == Form::plain) return run_sum_plain<Plain>(call);
    (call.packed->narrow ? run_words<Simd, true> : run_words<Simd, false>)(call);
}

// As plain_position, where nothing is divided: sums of the even and of the odd pixels.
template <class Simd>
void merge_position(const LayerCall& call, int row, int position, int x, std::uint8_t* result) {
    using Words = typename Simd::Words;
    using Signed = typename Simd::Signed;
    const Operation& operation = *call.operation;
    const int square = operation.upscale * operation.upscale;
    for (int i = 0; i < kChunk; i += Simd::kBytes) {
        Signed even = reinterpret_cast<Signed>(Simd::words(operation.offset)), odd = even;
        for (int input = position; input < operation.rotations * square; input += square) {
            const auto pixels = reinterpret_cast<Words>(Simd::load(call.input(row, input) + x + i));
            even += reinterpret_cast<Signed>(pixels << 8) >> 8;
            odd += reinterpret_cast<Signed>(pixels) >> 8;
        }
        for (int add = 0; add < call.add_count; ++add) {
            const auto pixels = reinterpret_cast<Words>(Simd::load(call.add(row, add) + x + i));
            even += reinterpret_cast<Signed>(pixels & 255);
            odd += reinterpret_cast<Signed>(pixels >> 8);
        }
        const auto low = reinterpret_cast<Words>(Simd::clip_words(even, 0, 255));
        const auto high = reinterpret_cast<Words>(Simd::clip_words(odd, 0, 255));
        Simd::store(result + i, reinterpret_cast<typename Simd::Bytes>(low | high << 8));
    }
}

template <class Simd, class Plain>
void merge_words(const LayerCall& call) {
    const Operation& operation = *call.operation;
    bool whole = operation.divisor == 1;
    for (const Source& input : operation.inputs) whole = whole && input.is_signed;
    if (!whole) return run_merge<Plain>(call, plain_position<Plain>);
    run_merge<Plain>(call, merge_position<Simd>);
}

}  // namespace lutra
