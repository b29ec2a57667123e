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

// Adds the lookups of groups to the sums of even and odd bytes: `all` adds up whole words, modulo 2^16, and `odd` their
// high bytes.
template <class Simd, bool narrow, int... i, class Index>
void add_groups(const Groups& groups, const std::uint8_t* tables, const Index& index,
                typename Simd::Words (&all)[sizeof...(i)], typename Simd::Words (&odd)[sizeof...(i)]) {
    using Bytes = typename Simd::Bytes;
    const std::uint8_t* table = tables + groups.tables;
    const std::uint16_t* term = groups.terms.data();
    for (const std::uint8_t size : groups.sizes) {
        const typename Simd::template Table<narrow> first(table);
        Bytes sum[] = {first.look(index(*term, i))...};
        for (int left = size; --left > 0;) {
            ++term;
            table += kLevels;
            const typename Simd::template Table<narrow> vector(table);
            ((sum[i] += vector.look(index(*term, i))), ...);
        }
        ++term;
        table += kLevels;
        ((all[i] += reinterpret_cast<typename Simd::Words>(sum[i])), ...);
        ((odd[i] += reinterpret_cast<typename Simd::Words>(sum[i]) >> 8), ...);
    }
}

// x / divisor rounded half to even, plus `whole`, where x has the fraction `part` / 2^fraction_bits.
template <class Simd>
struct WordDivision {
    using Words = typename Simd::Words;
    using Signed = typename Simd::Signed;

    WordDivision(const Layer& layer, const Packed& packed, const Packed::Output& output)
        : magic(packed.magic),
          shift(packed.shift),
          bits(packed.fraction_bits),
          divisor(static_cast<std::uint16_t>(layer.divisor)),
          half(static_cast<std::uint16_t>(output.first + layer.divisor / 2)),
          half_part(static_cast<std::uint16_t>(layer.divisor % 2 ? layer.denominator / 2 : 0)),
          whole(static_cast<std::int16_t>(output.whole)),
          ties(layer.divisor % 2 == 0 || layer.denominator > 1) {}

    Signed operator()(Words x, Words part) const {
        part += half_part;
        x += half + (part >> bits);
        const Words quotient = (magic ? Simd::multiply_high(x, Simd::words(magic)) : x) >> shift;
        Signed result = reinterpret_cast<Signed>(quotient) + whole;
        if (ties) {
            const Words left = (x - quotient * divisor) | (part & static_cast<std::uint16_t>((1 << bits) - 1));
            result -= result & 1 & reinterpret_cast<Signed>(left == 0);
        }
        return result;
    }

    int magic, shift, bits;
    std::uint16_t divisor, half, half_part;
    std::int16_t whole;
    bool ties;
};

// One output of a span: quotients of even and odd pixels, the planes added, clipped.
template <class Simd>
void finish_words(const LayerCall& call, int row, int output, int x, typename Simd::Signed even, typename Simd::Signed odd) {
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
        for (int add = adds; add < end; ++add)
            result = Simd::add_saturated(result, Simd::load(call.add(row, add) + x));
        Simd::store(out, Simd::clip(result, operation.low, operation.high));
        return;
    }
    for (int add = adds; add < end; ++add) {
        const auto pixels = reinterpret_cast<Signed>(Simd::load(call.add(row, add) + x));
        even += reinterpret_cast<Signed>(reinterpret_cast<Words>(pixels) << 8) >> 8;
        odd += pixels >> 8;
    }
    const auto low = static_cast<std::int16_t>(operation.low), high = static_cast<std::int16_t>(operation.high);
    Simd::store(out, joined(Simd::clip(even, low, high), Simd::clip(odd, low, high)));
}

template <class Simd, bool narrow, bool shared, int... i>
void words_span(const LayerCall& call, int row, int output, int x, std::integer_sequence<int, i...>) {
    using Words = typename Simd::Words;
    constexpr int vectors = sizeof...(i);
    const Packed& packed = *call.packed;
    const Packed::Output& form = packed.outputs[output];
    const auto index = [&](int term, int number) __attribute__((always_inline)) {
        if constexpr (shared) return Simd::prepared(call.scratch->indices, term * vectors + number);
        else return Simd::index(call.input(row, output * packed.terms + term) + x + number * Simd::kBytes);
    };
    Words all[2][vectors] = {}, odd[2][vectors] = {};
    add_groups<Simd, narrow, i...>(form.high, packed.tables.data(), index, all[0], odd[0]);
    add_groups<Simd, narrow, i...>(form.fractions, packed.tables.data(), index, all[1], odd[1]);
    const WordDivision<Simd> divide(*call.layer, packed, form);
    (finish_words<Simd>(call, row, output, x + i * Simd::kBytes,
                        divide(all[0][i] - (odd[0][i] << 8), all[1][i] - (odd[1][i] << 8)),
                        divide(odd[0][i], odd[1][i])),
     ...);
}

template <class Simd, bool narrow, bool shared>
void words_row(const LayerCall& call, int row) {
    in_spans<Simd>(call.count, [&](auto vectors, int x) {
        for (int term = 0; shared && term < call.packed->terms; ++term)
            for (int i = 0; i < vectors; ++i)
                Simd::prepare(call.input(row, term) + x + i * Simd::kBytes, call.scratch->indices, term * vectors + i);
        for (int output = 0; output < call.outputs; ++output)
            words_span<Simd, narrow, shared>(call, row, output, x, std::make_integer_sequence<int, vectors>());
    });
}

template <class Simd, bool narrow>
void run_words(const LayerCall& call) {
    const auto run = call.layer->shared ? words_row<Simd, narrow, true> : words_row<Simd, narrow, false>;
    for (int row = 0; row < call.rows; ++row) run(call, row);
}

}  // namespace lutra
