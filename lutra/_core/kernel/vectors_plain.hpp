// Layers of one-dimensional tables in plain C++: any form, any processor; and what is no lookup: adding planes,
// splitting, merging.
#pragma once

#include <algorithm>
#include <cstring>

#include "../kernels.hpp"

namespace lutra {

// Adding 1.5 * 2^23 rounds half to even. Quotients that are ties are representable, and others are at least
// 1 / (2 * divisor) away from one: more than single precision's error, as sums stay below 2^22.
template <class Simd>
std::int16_t rounded(float sum, float divisor) {
    const float quotient = std::clamp(sum / divisor, -32768.0f, 32767.0f);
    return static_cast<std::int16_t>(static_cast<std::int32_t>((quotient + 12582912.0f) - 12582912.0f));
}

// sums[pixel * width + output] of a chunk, by rows of a table that hold all outputs of a value.
template <class Simd, class Sum>
void sum_rows(const LayerCall& call, int row, int x, std::int32_t* sums) {
    const int inputs = call.layer->inputs, width = call.packed->width;
    const std::uint8_t* pixels[kMostInputs];
    for (int input = 0; input < inputs; ++input) pixels[input] = call.input(row, input) + x;
    for (int i = 0; i < kChunk; ++i)
        for (int first = 0; first < width; first += 16) {
            Sum sum[16] = {};
            const std::int16_t* rows = call.packed->rows.data() + first;
            for (int input = 0; input < inputs; ++input, rows += kLevels * width) {
                const std::int16_t* entries = rows + (pixels[input][i] & (kLevels - 1)) * width;
                for (int lane = 0; lane < 16; ++lane) sum[lane] = static_cast<Sum>(sum[lane] + entries[lane]);
            }
            for (int lane = 0; lane < 16; ++lane) sums[i * width + first + lane] = sum[lane];
        }
}

// sums[pixel] of one output.
template <class Simd>
void sum_columns(const LayerCall& call, int row, int output, int x, std::int32_t* sums) {
    const int inputs = call.layer->inputs;
    const std::int16_t* table = call.packed->rows.data() + output * inputs * kLevels;
    std::fill_n(sums, kChunk, 0);
    for (int input = 0; input < inputs; ++input, table += kLevels) {
        const std::uint8_t* pixels = call.input(row, call.layer->shared ? input : output * inputs + input) + x;
        for (int i = 0; i < kChunk; ++i) sums[i] += table[pixels[i] & (kLevels - 1)];
    }
}

template <class Simd, class Value>
void add_plane(const std::uint8_t* pixels, bool is_signed, Value* values) {
    if (is_signed)
        for (int i = 0; i < kChunk; ++i)
            values[i] = static_cast<Value>(values[i] + static_cast<std::int8_t>(pixels[i]));
    else
        for (int i = 0; i < kChunk; ++i) values[i] = static_cast<Value>(values[i] + pixels[i]);
}

// quotients[pixel * stride] plus the added planes, clipped.
template <class Simd>
void write_sum(const LayerCall& call, int row, int output, int x, const std::int16_t* quotients, int stride) {
    std::int32_t values[kChunk] = {};
    if (quotients)
        for (int i = 0; i < kChunk; ++i) values[i] = quotients[i * stride];
    for (int add = output * call.add_count; add < (output + 1) * call.add_count; ++add)
        add_plane<Simd>(call.add(row, add) + x, call.operation->adds[add].is_signed, values);
    const std::int32_t low = call.operation->low, high = call.operation->high;
    std::uint8_t* out = call.written(row, output) + x;
    for (int i = 0; i < kChunk; ++i) out[i] = static_cast<std::uint8_t>(std::clamp(values[i], low, high));
}

template <class Simd>
void sum_row(const LayerCall& call, int row) {
    std::int32_t* sums = call.scratch->sums;
    std::int16_t* quotients = call.scratch->quotients;
    const int width = call.layer ? call.packed->width : 0;
    const auto divisor = call.layer ? static_cast<float>(call.layer->divisor * call.layer->denominator) : 1.0f;
    for (int x = 0; x < call.count; x += kChunk) {
        if (width) {
            (call.packed->short_sums ? sum_rows<Simd, std::int16_t> : sum_rows<Simd, std::int32_t>)(call, row, x, sums);
            for (int i = 0; i < kChunk * width; ++i) quotients[i] = rounded<Simd>(static_cast<float>(sums[i]), divisor);
        }
        for (int output = 0; output < call.outputs; ++output) {
            if (call.layer && !width) {
                sum_columns<Simd>(call, row, output, x, sums);
                for (int i = 0; i < kChunk; ++i) quotients[i] = rounded<Simd>(static_cast<float>(sums[i]), divisor);
            }
            if (width)
                write_sum<Simd>(call, row, output, x, quotients + output, width);
            else
                write_sum<Simd>(call, row, output, x, call.layer ? quotients : nullptr, 1);
        }
    }
}

template <class Simd>
void run_sum_plain(const LayerCall& call) {
    for (int row = 0; row < call.rows; ++row) sum_row<Simd>(call, row);
}

template <class Simd>
void split_bits(const Operation& operation, const std::uint8_t* pixels, int count, std::uint8_t* high,
                std::uint8_t* low) {
    const int mask = (1 << operation.bits) - 1;
    for (int x = 0; x < count; x += kChunk) {
        std::int16_t values[kChunk];
        std::fill_n(values, kChunk, static_cast<std::int16_t>(operation.offset));
        add_plane<Simd>(pixels + x, operation.inputs[0].is_signed, values);
        for (int i = 0; i < kChunk; ++i) high[x + i] = static_cast<std::uint8_t>(values[i] >> operation.bits);
        for (int i = 0; i < kChunk; ++i) low[x + i] = static_cast<std::uint8_t>(values[i] & mask);
    }
}

// One position of the square, for a chunk of pixels.
using MergePosition = void (*)(const LayerCall& call, int row, int position, int x, std::uint8_t* result);

template <class Simd>
void plain_position(const LayerCall& call, int row, int position, int x, std::uint8_t* result) {
    const Operation& operation = *call.operation;
    const int square = operation.upscale * operation.upscale;
    std::int16_t sums[kChunk] = {};
    for (int i = position; i < operation.rotations * square; i += square)
        add_plane<Simd>(call.input(row, i) + x, operation.inputs[i].is_signed, sums);
    if (operation.divisor > 1)
        for (int i = 0; i < kChunk; ++i)
            sums[i] = rounded<Simd>(static_cast<float>(sums[i]), static_cast<float>(operation.divisor));
    for (int i = 0; i < call.add_count; ++i) add_plane<Simd>(call.add(row, i) + x, false, sums);
    const auto offset = static_cast<std::int16_t>(operation.offset);
    for (int i = 0; i < kChunk; ++i) {
        const auto value = static_cast<std::int16_t>(sums[i] + offset);
        result[i] = static_cast<std::uint8_t>(std::clamp<std::int16_t>(value, 0, 255));
    }
}

template <class Simd, int side>
void merge_square(const LayerCall& call, int row, MergePosition position) {
    alignas(64) std::uint8_t result[side][kChunk];
    for (int x = 0; x < call.count; x += kChunk)
        for (int line = 0; line < side; ++line) {
            for (int column = 0; column < side; ++column) position(call, row, line * side + column, x, result[column]);
            std::uint8_t* out = call.written(row, line) + x * side;
            if constexpr (side >= 2 && side <= 4 && requires { typename Simd::Lines; }) {
                Simd::Lines::template alternate_chunk<side>(result, out);
            } else if constexpr (side == 4) {
                for (int i = 0; i < kChunk; ++i) {
                    const std::uint32_t four = result[0][i] | std::uint32_t{result[1][i]} << 8 |
                                               std::uint32_t{result[2][i]} << 16 | std::uint32_t{result[3][i]} << 24;
                    std::memcpy(out + 4 * i, &four, 4);
                }
            } else {
                for (int i = 0; i < kChunk; ++i)
                    for (int column = 0; column < side; ++column) out[i * side + column] = result[column][i];
            }
        }
}

template <class Simd>
void run_merge(const LayerCall& call, MergePosition position) {
    constexpr void (*merges[])(const LayerCall&, int, MergePosition) = {
        merge_square<Simd, 1>, merge_square<Simd, 2>, merge_square<Simd, 3>, merge_square<Simd, 4>,
        merge_square<Simd, 5>, merge_square<Simd, 6>, merge_square<Simd, 7>, merge_square<Simd, 8>};
    for (int row = 0; row < call.rows; ++row) merges[call.operation->upscale - 1](call, row, position);
}

template <class Simd>
void merge_plain(const LayerCall& call) {
    run_merge<Simd>(call, plain_position<Simd>);
}

}  // namespace lutra
