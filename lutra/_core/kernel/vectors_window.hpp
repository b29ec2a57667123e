// Layers of 3x3 taps of one channel in the form of digits: an index that was loaded serves the three rows whose windows
// hold it. Windows make most of their loads cross cache lines, which is slow.
#pragma once

#include "vectors_avx512.hpp"

namespace lutra {

// One output of all rows of a call, for one or two vectors of pixels.
template <bool odd, int... i>
void window_span(const DigitCall& digits, int output, int x, std::integer_sequence<int, i...>) {
    constexpr int vectors = sizeof...(i), rows = kRowsAtOnce;
    const LayerCall& call = digits.call;
    const Packed& packed = *call.packed;
    const std::uint8_t* tables = packed.tables.data() + output * 9 * 2 * kLevels;
    const Place* inputs = call.inputs + (call.layer->shared ? 0 : output * 9);
    __m512i quotient[rows][vectors], remainder[rows][vectors];
    const auto each_row = [](const auto& work) __attribute__((always_inline)) {
        [&]<int... row>(std::integer_sequence<int, row...>) __attribute__((always_inline)) {
            (work(std::integral_constant<int, row>()), ...);
        }(std::make_integer_sequence<int, rows>());
    };
    each_row([&](auto row) __attribute__((always_inline)) {
        ((quotient[row][i] = _mm512_set1_epi8(static_cast<char>(packed.outputs[output].whole))), ...);
        ((remainder[row][i] = _mm512_set1_epi8(static_cast<char>(packed.outputs[output].first))), ...);
    });
    for (int column = 0; column < 3; ++column) {
        const int* terms = call.window + 3 * column;
        const auto table = [&](int down, int digit) {
            return in_register(_mm512_load_si512(tables + (2 * terms[down] + digit) * kLevels));
        };
        const __m512i high[] = {table(0, 0), table(1, 0), table(2, 0)};
        const __m512i low[] = {table(0, 1), table(1, 1), table(2, 1)};
        // `y`: from the upper end of the first row's window.
        const auto add_row = [&](auto y) __attribute__((always_inline)) {
            constexpr int first = y > 2 ? y - 2 : 0;
            const std::uint8_t* from = call.at(first, inputs[terms[y - first]]) + x;
            const __m512i index[] = {in_register(_mm512_loadu_si512(from + i * 64))...};
            const auto add = [&](auto row) __attribute__((always_inline)) {
                constexpr int down = y - row;
                if constexpr (down >= 0 && down <= 2) {
                    ((quotient[row][i] = in_register(
                          _mm512_add_epi8(quotient[row][i], _mm512_permutexvar_epi8(index[i], high[down])))),
                     ...);
                    ((remainder[row][i] = in_register(
                          _mm512_add_epi8(remainder[row][i], _mm512_permutexvar_epi8(index[i], low[down])))),
                     ...);
                }
            };
            each_row(add);
        };
        each_row(add_row);
        add_row(std::integral_constant<int, rows>());
        add_row(std::integral_constant<int, rows + 1>());
    }
    each_row([&](auto row) __attribute__((always_inline)) {
        __m512i sum[] = {digits.finish.rounded<odd>(quotient[row][i], remainder[row][i])...};
        finish_digits<vectors>(digits, sum, row, output, x);
    });
}

template <bool odd>
void run_windows(const LayerCall& call) {
    const DigitCall digits{call, {*call.packed, *call.operation}};
    for (int output = 0; output < call.outputs; ++output) {
        int x = 0;
        for (; x + 64 < call.count; x += 128) window_span<odd>(digits, output, x, std::make_integer_sequence<int, 2>());
        if (x < call.count) window_span<odd>(digits, output, x, std::make_integer_sequence<int, 1>());
    }
}

template <class Simd>
void run_sum_avx512(const LayerCall& call) {
    if (!call.layer && call.operation->saturates && !call.operation->adds_unsigned && call.operation->high <= 127)
        return add_planes<Avx512Bytes>(call);
    if (!call.layer || call.packed->form == Form::plain) return run_sum_plain<Simd>(call);
    if (call.packed->form == Form::rows) return Rows<Simd>::run(call);
    if (call.packed->form == Form::words) return run_words<Avx512Bytes, false>(call);
    const bool odd = call.packed->shift < 1;
    if (call.window && call.rows == kRowsAtOnce) return (odd ? run_windows<true> : run_windows<false>)(call);
    // Loads that cross cache lines are slow: what all outputs read is copied first.
    bool gathered = call.packed->combined > 1;
    for (int i = 0; call.layer->shared && i < call.layer->inputs; ++i) gathered |= call.inputs[i].offset % 64 != 0;
    if (gathered)
        (odd ? run_digits<true, true> : run_digits<false, true>)(call);
    else
        (odd ? run_digits<true, false> : run_digits<false, false>)(call);
}

}  // namespace lutra
