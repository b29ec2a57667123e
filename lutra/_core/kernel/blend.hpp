// From vertices and weights to a row's values, and back to the gradients of nodes and taps.
#pragma once

#include <cmath>
#include <type_traits>

#include "../ensemble.hpp"

namespace lutra {

// Adds one rotation's lookups to scratch.sum, rounding the running sums where the step does.
template <class Simd, class T, int fixed>
void blend_rows(const Step& step, const T* nodes, int rotation, int count, EnsembleScratch<T>& at) {
    const int values = fixed ? fixed : step.values;
    if constexpr (fixed == 16 && std::is_same_v<T, float> && requires { Simd::blend_row; }) {
        Simd::blend_row(nodes, step.turned[rotation].data(), step.round_each, count, at);
        return;
    }
    const int* turned = step.turned[rotation].data();
    for (int i = 0; i < count; ++i) {
        const T* row[5];
        for (int v = 0; v < 5; ++v) row[v] = nodes + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
        const T w0 = at.weight[0][i], w1 = at.weight[1][i], w2 = at.weight[2][i], w3 = at.weight[3][i],
                w4 = at.weight[4][i];
        T term[fixed ? fixed : 64];
        for (int v = 0; v < values; ++v)
            term[v] = w0 * row[0][v] + w1 * row[1][v] + w2 * row[2][v] + w3 * row[3][v] + w4 * row[4][v];
        T* sum = at.sum + i * values;
        for (int v = 0; v < values; ++v) {
            const T total = sum[v] + term[turned[v]];
            sum[v] = step.round_each ? std::rint(total) : total;
        }
    }
}

// One rotation's gradients: of the nodes, and into scratch.slope that of the taps.
template <class Simd, class T, int fixed, bool slopes>
void spread_rows(const Step& step, const EnsembleUnit<T>& call, const T* gradient, int rotation, int count,
                 EnsembleScratch<T>& at) {
    const int values = fixed ? fixed : step.values;
    // Turning back is turning on by as much as is missing to a full turn.
    const int* turned = step.turned[(4 - rotation) % 4].data();
    if constexpr (fixed == 16 && std::is_same_v<T, float> && requires { Simd::template spread_row<slopes>; }) {
        Simd::template spread_row<slopes>(call, turned, gradient, count, at);
        return;
    }
    for (int i = 0; i < count; ++i) {
        const T* from = gradient + i * values;
        T g[fixed ? fixed : 64];
        for (int v = 0; v < values; ++v) g[v] = from[turned[v]];
        if (call.node_gradient)
            for (int v = 0; v < 5; ++v) {
                T* to = call.node_gradient + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
                const T w = at.weight[v][i];
                for (int k = 0; k < values; ++k) to[k] += w * g[k];
            }
        if constexpr (slopes) {
            T dot[5] = {};
            for (int v = 0; v < 5; ++v) {
                const T* row = call.nodes + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
                for (int k = 0; k < values; ++k) dot[v] += row[k] * g[k];
            }
            for (int v = 0; v < 4; ++v) at.slope[at.axis[v][i]][i] = (dot[v + 1] - dot[v]) * at.scale[i];
        }
    }
}

// As spread_rows, for the nodes of a range alone and in the same arithmetic. Few pixels touch one: they are found first.
template <class Simd, class T, int fixed>
void spread_rows_within(const Step& step, const EnsembleUnit<T>& call, const NodeRange& range, const T* gradient,
                        int rotation, int count, EnsembleScratch<T>& at) {
    const int values = fixed ? fixed : step.values;
    const int* turned = step.turned[(4 - rotation) % 4].data();
    std::uint8_t touches[kChunk];
    for (int i = 0; i < count; ++i) {
        bool any = false;
        for (int v = 0; v < 5; ++v) any |= range.holds(at.place[v][i]);
        touches[i] = any;
    }
    for (int i = 0; i < count; ++i) {
        if (!touches[i]) continue;
        const T* from = gradient + i * values;
        if constexpr (fixed == 16 && std::is_same_v<T, float> && requires { Simd::spread_pixel_within; }) {
            Simd::spread_pixel_within(call, range, turned, from, i, at);
            continue;
        }
        T g[fixed ? fixed : 64];
        for (int v = 0; v < values; ++v) g[v] = from[turned[v]];
        for (int v = 0; v < 5; ++v) {
            if (!range.holds(at.place[v][i])) continue;
            T* to = call.node_gradient + std::size_t{at.place[v][i]} * static_cast<std::size_t>(values);
            const T w = at.weight[v][i];
            for (int k = 0; k < values; ++k) to[k] += w * g[k];
        }
    }
}

}  // namespace lutra
