// What the kernels of sums of one-dimensional tables do, in plain C++. Those of a processor (V) replace its pieces.
#pragma once

#include <algorithm>
#include <cstring>

#include "../sums_kernels.hpp"

namespace lutra {

// Rounds, adds and clips a chunk.
template <class V>
void finish_plain(const SumsForward& call, int output, std::ptrdiff_t at, const std::uint16_t* sums) {
    const Quotient& by = call.quotient;
    const auto add = static_cast<std::uint16_t>(by.add), magic = static_cast<std::uint16_t>(by.magic);
    const auto divisor = static_cast<std::uint16_t>(by.divisor), minus = static_cast<std::uint16_t>(by.minus);
    const std::uint16_t even = by.divisor % 2 == 0 && by.divisor > 1;
    const int shift = by.shift;
    alignas(64) std::int16_t values[kChunk];
    if (by.divisor == 1) {
        for (int i = 0; i < kChunk; ++i) values[i] = static_cast<std::int16_t>(sums[i] + add - minus);
    } else {
        for (int i = 0; i < kChunk; ++i) {
            const auto y = static_cast<std::uint16_t>(sums[i] + add);
            const auto q = static_cast<std::uint16_t>((static_cast<std::uint32_t>(y) * magic >> 16) >> shift);
            const auto rest = static_cast<std::uint16_t>(y - q * divisor);
            const auto value = static_cast<std::uint16_t>(q - minus);
            const auto tie = static_cast<std::uint16_t>(rest == 0 ? even : 0);
            values[i] = static_cast<std::int16_t>(value - (tie & value & 1));
        }
    }
    for (int a = 0; a < call.adds; ++a) {
        const std::int8_t* more = call.added[output * call.adds + a] + at;
        for (int i = 0; i < kChunk; ++i) values[i] = static_cast<std::int16_t>(values[i] + more[i]);
    }
    const auto low = static_cast<std::int16_t>(call.low), high = static_cast<std::int16_t>(call.high);
    std::int8_t* out = call.out[output] + at;
    if (call.passed) {
        std::uint8_t* passed = call.passed[output] + at;
        for (int i = 0; i < kChunk; ++i) passed[i] = values[i] >= low && values[i] <= high;
    }
    for (int i = 0; i < kChunk; ++i)
        out[i] = static_cast<std::int8_t>(values[i] < low ? low : values[i] > high ? high : values[i]);
}

// Sums of 64 lookups each: sums[i] = sum over t of tables[t][inputs[t][i] & 63].
// Level: a type of the file that uses it, so that the linker does not share code between processors.
template <class Level>
struct PlainSums {
    static void look_up(const std::int8_t* const* inputs, const std::uint8_t* tables, int count, std::uint16_t* sums) {
        std::uint16_t now[kChunk] = {};
        for (int t = 0; t < count; ++t, tables += kLevels)
            for (int i = 0; i < kChunk; ++i)
                now[i] = static_cast<std::uint16_t>(now[i] + tables[inputs[t][i] & (kLevels - 1)]);
        std::memcpy(sums, now, sizeof now);
    }

    static void finish(const SumsForward& call, int output, std::ptrdiff_t at, const std::uint16_t* sums) {
        finish_plain<Level>(call, output, at, sums);
    }

    // to[j] = from row by row, turned: to[j][i] = scale * from[i][j]; rows that are null count as zero.
    static void transpose(const float* const* from, float scale, float (*to)[kSumLanes]) {
        for (int i = 0; i < kSumLanes; ++i)
            for (int j = 0; j < kSumLanes; ++j) to[j][i] = from[i] ? scale * from[i][j] : 0.0f;
    }

    static void add_row(float* to, const float* row) {
        for (int i = 0; i < kSumLanes; ++i) to[i] += row[i];
    }
    // places: `count` of them, kSumLanes apart.
    static void add_rows(float* to, const std::uint32_t* places, int count, const float* row) {
        for (int i = 0; i < count; ++i) add_row(to + places[i * kSumLanes], row);
    }

    // to[i] += sum of products of a and the row at places[i], 16 of them, kSumLanes apart; halves first, in all levels.
    static void dot(const float* a, const float* rows, const std::uint32_t* places, float* to) {
        alignas(64) float fours[kSumLanes][4];
        for (int i = 0; i < kSumLanes; ++i) fold(a, rows + places[i * kSumLanes], fours[i]);
        add_fours(fours, to);
    }
    // to[i] += sum of products of a[i] and the row at places[i].
    static void dot_each(const float (*a)[kSumLanes], const float* rows, const std::uint32_t* places, float* to) {
        alignas(64) float fours[kSumLanes][4];
        for (int i = 0; i < kSumLanes; ++i) fold(a[i], rows + places[i], fours[i]);
        add_fours(fours, to);
    }
    static void fold(const float* a, const float* row, float* four) {
        for (int j = 0; j < 4; ++j)
            four[j] = (a[j] * row[j] + a[j + 8] * row[j + 8]) + (a[j + 4] * row[j + 4] + a[j + 12] * row[j + 12]);
    }
    static void add_fours(const float (*fours)[4], float* to) {
        for (int i = 0; i < kSumLanes; ++i) to[i] += (fours[i][0] + fours[i][2]) + (fours[i][1] + fours[i][3]);
    }

    // Four runs of four numbers.
    static void join(const float* const* runs, std::ptrdiff_t at, float* to) {
        for (int run = 0; run < 4; ++run) std::memcpy(to + 4 * run, runs[run] + at, 4 * sizeof(float));
    }
};

template <class V>
void sums_forward(const SumsForward& call) {
    alignas(64) std::uint16_t sums[kChunk] = {};
    const std::int8_t* inputs[kMostTerms];
    for (std::ptrdiff_t at = 0; at < call.count; at += kChunk)
        for (int o = 0; o < call.outputs; ++o) {
            for (int i = 0; i < call.inputs; ++i) inputs[i] = call.read[o * call.inputs + i] + at;
            if (call.inputs)
                V::look_up(inputs, call.tables + std::ptrdiff_t{o} * call.inputs * kLevels, call.inputs, sums);
            V::finish(call, o, at, sums);
        }
}

// For 16 pixels: rows of the vectors of every input and output block get the outputs' gradients; inputs get theirs.
template <class V>
void dense_backward(const DenseBackward& call) {
    const int inputs = call.inputs, groups = (inputs + kSumLanes - 1) / kSumLanes, blocks = call.blocks;
    alignas(64) float gradient[kSumLanes][kSumLanes], slope[kMostTerms / kSumLanes][kSumLanes][kSumLanes];
    alignas(64) float turned[kSumLanes][kSumLanes];
    std::uint32_t row[kMostTerms][kSumLanes];  // behind the last input: that of none
    for (int i = inputs; i < groups * kSumLanes; ++i) std::fill_n(row[i], kSumLanes, 0u);
    const float* rows[kSumLanes];
    for (std::ptrdiff_t at = 0; at < call.count; at += kSumLanes) {
        for (int i = 0; i < inputs; ++i)
            for (int x = 0; x < kSumLanes; ++x)
                row[i][x] =
                    static_cast<std::uint32_t>((i * kLevels + (call.read[i][at + x] & (kLevels - 1))) * kSumLanes);
        if (call.slopes) std::memset(slope, 0, sizeof(float) * kSumLanes * kSumLanes * groups);
        for (int block = 0; block < blocks; ++block) {
            const std::ptrdiff_t table = std::ptrdiff_t{block} * call.inputs * kLevels * kSumLanes;
            for (int o = 0; o < kSumLanes; ++o) {
                const int output = block * kSumLanes + o;
                rows[o] = output < call.outputs ? call.gradient[output] + at : nullptr;
            }
            V::transpose(rows, call.scale, gradient);
            for (int x = 0; x < kSumLanes; ++x) {
                V::add_rows(call.table_gradient + table, &row[0][x], inputs, gradient[x]);
                if (!call.slopes) continue;
                for (int group = 0; group < groups; ++group)
                    V::dot(gradient[x], call.slopes + table, &row[group * kSumLanes][x], slope[group][x]);
            }
        }
        if (!call.slopes) continue;
        for (int group = 0; group < groups; ++group) {
            for (int x = 0; x < kSumLanes; ++x) rows[x] = slope[group][x];
            V::transpose(rows, 1.0f, turned);
            for (int i = 0; i < kSumLanes && group * kSumLanes + i < call.inputs; ++i)
                V::add_row(call.read_gradient[group * kSumLanes + i] + at, turned[i]);
        }
    }
}

// One channel: the pixels of a window lie in lanes, four runs of four. Neighbours often have one value: by turns, their
// rows are summed in four places, because one sum would wait for the other.
template <class V>
void own_backward(const OwnBackward& call) {
    constexpr int kTurns = 4;
    alignas(64) float window[kSumLanes][kSumLanes], sums[kTurns][kLevels * kSumLanes];
    std::memset(sums, 0, sizeof sums);
    std::uint32_t row[kSumLanes];
    const float* runs[4];
    for (int run = 0; run < 4; ++run) runs[run] = call.gradient + call.runs[run];
    for (std::ptrdiff_t at = 0; at < call.count; at += kSumLanes) {
        for (int x = 0; x < kSumLanes; ++x)
            row[x] = static_cast<std::uint32_t>((call.read[at + x] & (kLevels - 1)) * kSumLanes);
        for (int x = 0; x < kSumLanes; ++x) {
            V::join(runs, at + x, window[x]);
            V::add_row(sums[x % kTurns] + row[x], window[x]);
        }
        V::dot_each(window, call.slopes, row, call.read_gradient + at);
    }
    for (int level = 0; level < kLevels * kSumLanes; level += kSumLanes)
        for (int turn = 0; turn < kTurns; ++turn) V::add_row(call.table_gradient + level, sums[turn] + level);
}

template <class V>
constexpr SumsKernels sums_kernels{sums_forward<V>, dense_backward<V>, own_backward<V>};

}  // namespace lutra
