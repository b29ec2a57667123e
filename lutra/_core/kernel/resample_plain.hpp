// Resampling in plain C++. Each operation rounds to float64 in the order of lutra/reference/resampling.py; the
// compiler must fuse none (-ffp-contract=off). Emscripten 3.1 has no std::bit_cast; compilers have the builtin.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "../resample_kernels.hpp"

namespace lutra {

// 2^(steps / 16). Adding 1.5 * 2^52 rounds to a whole number, halves to even, and leaves it in the lowest bits.
template <class Simd>
double weight_of(double steps, const KernelNumbers& numbers) {
    constexpr double magic = 0x1.8p52;
    const double shifted = steps + magic, rest = steps - (shifted - magic);
    const auto whole = __builtin_bit_cast(std::uint64_t, shifted);
    double power = numbers.polynomial[4];
    for (int term = 3; term >= 0; --term) power = power * rest + numbers.polynomial[term];
    const double sixteenth = power * numbers.powers[whole & 15];
    return __builtin_bit_cast(double,
                              __builtin_bit_cast(std::uint64_t, sixteenth) + ((whole & ~std::uint64_t{15}) << 48));
}

template <class Simd>
double slope_of(const KernelNumbers& numbers, std::uint8_t correlation, std::uint8_t rows, std::uint8_t columns) {
    return numbers.correlation[correlation] * numbers.steepness[rows] * numbers.steepness[columns];
}

template <class Simd>
void resample_line(const LineCall& call) {
    const KernelNumbers& numbers = *call.numbers;
    const ResampleLine& line = call.line;
    for (int x = 0; x < call.width; ++x) {
        const std::uint8_t rows = call.planes[1][x], columns = call.planes[2][x];
        line.pixel[x + 1] = call.pixels ? call.pixels[x] : 0;
        line.curve_rows[x + 1] = numbers.curve[rows];
        line.slope[x + 1] = slope_of<Simd>(numbers, call.planes[0][x], rows, columns);
        line.curve_columns[x + 1] = numbers.curve[columns];
    }
    line.pixel[0] = call.replicate ? line.pixel[1] : 0;
    line.pixel[call.width + 1] = call.replicate ? line.pixel[call.width] : 0;
    for (double* values : {line.curve_rows, line.slope, line.curve_columns}) {
        values[0] = values[1];
        values[call.width + 1] = values[call.width];
    }
}

// What the exponents of a row's weights have in common.
template <class Simd>
void prepare_terms(const RowCall& call) {
    for (int below = 0; below < 2; ++below) {
        const ResampleLine& line = call.lines[below];
        const double down = call.down - below, square = down * down;
        double *constant = call.constant[below], *linear = call.linear[below];
        for (int x = 0; x < call.width + 2; ++x) {
            constant[x] = square * line.curve_rows[x];
            linear[x] = down * line.slope[x];
        }
    }
}

// The weight of a neighbour of an output: right or below of the first one, or both.
template <class Simd>
double neighbour_weight(const RowCall& call, int x, int right, int below) {
    const int at = call.first[x] + right;
    const double across = call.distance[x] - right;
    const double slope = call.linear[below][at] + across * call.lines[below].curve_columns[at];
    return weight_of<Simd>(call.constant[below][at] + across * slope, *call.numbers);
}

template <class Simd>
double mean_of(const RowCall& call, int x) {
    double total = 0, weight = 0;
    for (int right = 0; right < 2; ++right)
        for (int below = 0; below < 2; ++below) {
            const double own = neighbour_weight<Simd>(call, x, right, below);
            total += own * call.lines[below].pixel[call.first[x] + right];
            weight += own;
        }
    return total / weight;
}

template <class Simd>
void resample_row(const RowCall& call) {
    prepare_terms<Simd>(call);
    for (int x = 0; x < call.count; ++x) call.out[x] = static_cast<std::uint8_t>(std::lrint(mean_of<Simd>(call, x)));
}

template <class Simd>
void resample_points(const PointCall& call) {
    const KernelNumbers& numbers = *call.numbers;
    for (int i = 0; i < call.count; ++i) {
        double total = 0, weight = 0;
        for (int right = 0; right < 2; ++right)
            for (int below = 0; below < 2; ++below) {
                const std::int64_t y = std::int64_t{call.top[i]} + below, x = std::int64_t{call.left[i]} + right;
                const std::int64_t row = std::clamp<std::int64_t>(y, 0, call.height - 1);
                const std::int64_t column = std::clamp<std::int64_t>(x, 0, call.width - 1);
                const std::int64_t at = row * call.width + column;
                const std::uint8_t rows = call.planes[2][at], columns = call.planes[3][at];
                const double down = call.down[i] - below, across = call.across[i] - right;
                const double slope = down * slope_of<Simd>(numbers, call.planes[1][at], rows, columns);
                const double steps =
                    down * down * numbers.curve[rows] + across * (slope + across * numbers.curve[columns]);
                const double own = weight_of<Simd>(steps, numbers);
                const int around = call.replicate ? 1 : 0;
                if (std::abs(row - y) <= around && std::abs(column - x) <= around) total += own * call.planes[0][at];
                weight += own;
            }
        call.out[i] = static_cast<std::uint8_t>(std::lrint(total / weight));
    }
}

}  // namespace lutra
