// Layers in the form of words: a lookup gives bytes, groups of lookups are summed in bytes, groups in 16-bit words.
#pragma once

#include <type_traits>

#include "vectors_plain.hpp"

namespace lutra {

// Calls run(vectors, x) for spans of up to Simd::kVectors vectors, all of about the same size.
template <class Simd, class Run>
void in_spans(int count, Run run) {
    int left = (count + Simd::kBytes - 1) / Simd::kBytes;
    for (int x = 0, spans = (left + Simd::kVectors - 1) / Simd::kVectors; spans > 0; --spans) {
        const int vectors = (left + spans - 1) / spans;
        if (vectors == 1) run(std::integral_constant<int, 1>(), x);
        if (vectors == 2) run(std::integral_constant<int, 2>(), x);
        if constexpr (Simd::kVectors > 2) {
            if (vectors == 3) run(std::integral_constant<int, 3>(), x);
            if (vectors == 4) run(std::integral_constant<int, 4>(), x);
        }
        x += vectors * Simd::kBytes;
        left -= vectors;
    }
}

// Indices of a span of `vectors` vectors, ready for Simd's lookups: one row of scratch for every input.
template <class Simd>
void prepare_indices(const SumCall& call, int x, int vectors) {
    for (int term = 0; term < call.packed->terms; ++term)
        for (int i = 0; i < vectors; ++i)
            Simd::prepare(call.inputs[term] + x + i * Simd::kBytes, call.scratch->indices[term], i);
}

// Adds the lookups of groups to the sums of even and odd bytes: `all` adds up whole words, modulo 2^16, and `odd` their
// high bytes.
template <class Simd, int vectors, bool narrow, class Index>
void add_groups(const Groups& groups, const std::uint8_t* tables, const Index& index,
                typename Simd::Words (&all)[vectors], typename Simd::Words (&odd)[vectors]) {
    using Bytes = typename Simd::Bytes;
    const std::uint8_t* table = tables + groups.tables;
    const std::uint16_t* term = groups.terms.data();
    for (const std::uint8_t size : groups.sizes) {
        Bytes sum[vectors];
        for (int i = 0; i < size; ++i, ++term, table += kLevels) {
            const typename Simd::template Table<narrow> vector(table);
            for (int j = 0; j < vectors; ++j) {
                const Bytes found = vector.look(index(*term, j));
                sum[j] = i ? sum[j] + found : found;
            }
        }
        for (int j = 0; j < vectors; ++j) {
            const auto words = reinterpret_cast<typename Simd::Words>(sum[j]);
            all[j] += words;
            odd[j] += words >> 8;
        }
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
void finish_words(const SumCall& call, int output, int x, typename Simd::Signed even, typename Simd::Signed odd) {
    using Bytes = typename Simd::Bytes;
    using Words = typename Simd::Words;
    using Signed = typename Simd::Signed;
    const Operation& operation = *call.operation;
    const auto joined = [](Signed low, Signed high) {
        return reinterpret_cast<Bytes>((reinterpret_cast<Words>(low) & 255) | reinterpret_cast<Words>(high) << 8);
    };
    const std::uint8_t* const* adds = call.adds + output * call.add_count;
    if (call.packed->fits && operation.saturates) {
        Bytes result = joined(even, odd);
        for (int add = 0; add < call.add_count; ++add) result = Simd::add_saturated(result, Simd::load(adds[add] + x));
        Simd::store(call.out[output] + x, Simd::clip(result, operation.low, operation.high));
        return;
    }
    for (int add = 0; add < call.add_count; ++add) {
        const auto pixels = reinterpret_cast<Signed>(Simd::load(adds[add] + x));
        even += reinterpret_cast<Signed>(reinterpret_cast<Words>(pixels) << 8) >> 8;
        odd += pixels >> 8;
    }
    const auto low = static_cast<std::int16_t>(operation.low), high = static_cast<std::int16_t>(operation.high);
    Simd::store(call.out[output] + x, joined(Simd::clip(even, low, high), Simd::clip(odd, low, high)));
}

template <class Simd, int vectors, bool narrow>
void words_span(const SumCall& call, int x) {
    using Words = typename Simd::Words;
    const Packed& packed = *call.packed;
    const bool shared = call.layer->shared;
    if (shared) prepare_indices<Simd>(call, x, vectors);
    for (int output = 0; output < call.outputs; ++output) {
        const Packed::Output& form = packed.outputs[output];
        Words all[2][vectors] = {}, odd[2][vectors] = {};
        const auto add = [&](const Groups& groups, int part) {
            if (shared) {
                const auto index = [&](int term, int i) { return Simd::prepared(call.scratch->indices[term], i); };
                add_groups<Simd, vectors, narrow>(groups, packed.tables.data(), index, all[part], odd[part]);
            } else {
                const std::uint8_t* const* inputs = call.inputs + output * call.layer->inputs;
                const auto index = [&](int term, int i) { return Simd::index(inputs[term] + x + i * Simd::kBytes); };
                add_groups<Simd, vectors, narrow>(groups, packed.tables.data(), index, all[part], odd[part]);
            }
        };
        add(form.high, 0);
        add(form.fractions, 1);
        const WordDivision<Simd> divide(*call.layer, packed, form);
        for (int i = 0; i < vectors; ++i)
            finish_words<Simd>(call, output, x + i * Simd::kBytes,
                               divide(all[0][i] - (odd[0][i] << 8), all[1][i] - (odd[1][i] << 8)),
                               divide(odd[0][i], odd[1][i]));
    }
}

template <class Simd, bool narrow>
void run_words(const SumCall& call) {
    in_spans<Simd>(call.count, [&](auto vectors, int x) { words_span<Simd, vectors, narrow>(call, x); });
}

}  // namespace lutra
