// Layers of 3x3 taps of one channel in the form of carries: an index that was loaded serves the three rows whose
// windows hold it. Windows make most of their loads cross cache lines, which is slow.
#pragma once

#include "vectors_avx512.hpp"

namespace lutra {

// Which of an output's columns begin after what wrapped is counted; or, if a column alone may wrap, that every tap
// does.
struct WindowChecks {
    WindowChecks(const LayerCall& call, int output) {
        const std::uint8_t* ranges = call.packed->ranges.data() + output * 9;
        for (int column = 0, most = call.packed->outputs[output].first; column < 3; ++column) {
            int range = 0;
            for (int down = 0; down < 3; ++down) range += ranges[call.window[3 * column + down]];
            most += range;
            before[column] = most > 255;
            wraps |= before[column];
            if (before[column]) most = range;
            every_tap |= range > 255;
        }
    }

    bool before[3], wraps = false, every_tap = false;
};

// One output of all rows of a call, for one or two vectors of pixels.
template <bool odd, bool every_tap, int... i>
void window_span(const CarryCall& carried, const WindowChecks& checks, int output, int x,
                 std::integer_sequence<int, i...>) {
    constexpr int vectors = sizeof...(i), rows = kRowsAtOnce;
    const LayerCall& call = carried.call;  // no structured binding: clang before 16 has none in a lambda
    const CarryFinish& finish = carried.finish;
    const Packed& packed = *call.packed;
    const Packed::Output& numbers = packed.outputs[output];
    const std::uint8_t* tables = packed.tables.data() + output * 9 * kLevels;
    const Place* inputs = call.inputs + (call.layer->shared ? 0 : output * 9);
    const __m512i first = CarryFinish::same(numbers.first), start = CarryFinish::same(odd ? 0 : numbers.whole);
    Carries sums[rows][vectors];
    const auto each_row = [](const auto& work) __attribute__((always_inline)) {
        [&]<int... row>(std::integer_sequence<int, row...>) __attribute__((always_inline)) {
            (work(std::integral_constant<int, row>()), ...);
        }(std::make_integer_sequence<int, rows>());
    };
    const auto count = [&](auto row) __attribute__((always_inline)) { (sums[row][i].count(finish.unit), ...); };
    each_row([&](auto row) __attribute__((always_inline)) { ((sums[row][i] = {first, start, first}), ...); });
    for (int column = 0; column < 3; ++column) {
        if (!every_tap && checks.before[column]) each_row(count);
        const int* terms = call.window + 3 * column;
        const auto table = [&](int down) { return in_register(_mm512_load_si512(tables + terms[down] * kLevels)); };
        const __m512i columns[] = {table(0), table(1), table(2)};
        // `y`: from the upper end of the first row's window.
        const auto add_row = [&](auto y) __attribute__((always_inline)) {
            constexpr int top = y > 2 ? y - 2 : 0;
            const std::uint8_t* from = call.at(top, inputs[terms[y - top]]) + x;
            const __m512i index[] = {in_register(_mm512_loadu_si512(from + i * 64))...};
            each_row([&](auto row) __attribute__((always_inline)) {
                constexpr int down = y - row;
                if constexpr (down >= 0 && down <= 2) {
                    if constexpr (every_tap) count(row);
                    ((sums[row][i].sum = in_register(
                          _mm512_add_epi8(sums[row][i].sum, _mm512_permutexvar_epi8(index[i], columns[down])))),
                     ...);
                }
            });
        };
        each_row(add_row);
        add_row(std::integral_constant<int, rows>());
        add_row(std::integral_constant<int, rows + 1>());
    }
    if (every_tap || checks.wraps) each_row(count);
    each_row([&](auto row) __attribute__((always_inline)) {
        __m512i results[] = {finish.rounded<odd>(sums[row][i], numbers)...};
        finish.write<vectors>(call, results, row, output, x);
    });
}

template <bool odd>
void run_windows(const LayerCall& call) {
    const CarryCall carried{call, {*call.packed, *call.operation, odd}};
    for (int output = 0; output < call.outputs; ++output) {
        const WindowChecks checks(call, output);
        const auto run = [&](auto every_tap) {
            int x = 0;
            for (; x + 64 < call.count; x += 128)
                window_span<odd, every_tap>(carried, checks, output, x, std::make_integer_sequence<int, 2>());
            if (x < call.count)
                window_span<odd, every_tap>(carried, checks, output, x, std::make_integer_sequence<int, 1>());
        };
        if (checks.every_tap)
            run(std::true_type());
        else
            run(std::false_type());
    }
}

template <class Simd>
void run_sum_avx512(const LayerCall& call) {
    if (!call.layer && call.operation->saturates && !call.operation->adds_unsigned && call.operation->high <= 127)
        return add_planes<Avx512Bytes>(call);
    if (!call.layer || call.packed->form == Form::plain) return run_sum_plain<Simd>(call);
    if (call.packed->form == Form::rows) return run_rows<Rows<Simd>>(call);
    if (call.packed->form == Form::words) return run_words<Avx512Bytes, false>(call);
    const bool odd = call.layer->divisor % 2 != 0;
    if (call.window && call.rows == kRowsAtOnce) return (odd ? run_windows<true> : run_windows<false>)(call);
    // Loads that cross cache lines are slow: what all outputs read is copied first.
    bool gathered = call.packed->combined > 1;
    for (int i = 0; call.layer->shared && i < call.layer->inputs; ++i) gathered |= call.inputs[i].offset % 64 != 0;
    if (gathered)
        (odd ? run_carries<true, true> : run_carries<false, true>)(call);
    else
        (odd ? run_carries<true, false> : run_carries<false, false>)(call);
}

}  // namespace lutra
