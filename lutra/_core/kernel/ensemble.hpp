// Lookups of floating-point tables and their gradients, for a row of pixels, as training needs them.
#pragma once

#include <algorithm>
#include <cstring>

#include "blend.hpp"
#include "taps.hpp"

namespace lutra {

template <class Simd, class T, int fixed>
void forward_row(const EnsembleRow<T>& row, const std::vector<EnsembleUnit<T>>& units, T* out,
                 EnsembleScratch<T>& scratch) {
    const Step& step = *row.step;
    for (int x = 0; x < row.count; x += kChunk) {
        const int count = std::min(kChunk, row.count - x), size = count * step.values;
        T* result = out + static_cast<std::ptrdiff_t>(x) * step.values;
        std::fill_n(scratch.sum, size, T(0));
        if (step.round_apart) std::fill_n(result, size, T(0));
        for (const EnsembleUnit<T>& call : units) {
            for (int rotation = 0; rotation < call.unit->rotations; ++rotation) {
                locate_taps<Simd, T, false>(row, call, rotation, x, count, scratch);
                blend_rows<Simd, T, fixed>(step, call.nodes, rotation, count, scratch);
            }
            if (step.round_apart) {
                for (int i = 0; i < size; ++i) result[i] += scratch.sum[i];
                std::fill_n(scratch.sum, size, T(0));
            }
        }
        if (!step.round_apart) std::memcpy(result, scratch.sum, static_cast<std::size_t>(size) * sizeof(T));
    }
}

template <class Simd, class T, int fixed>
void backward_row(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, const T* gradient,
                  EnsembleScratch<T>& scratch) {
    const Step& step = *row.step;
    for (int x = 0; x < row.count; x += kChunk) {
        const int count = std::min(kChunk, row.count - x);
        const T* from = gradient + static_cast<std::ptrdiff_t>(x) * step.values;
        for (int rotation = 0; rotation < call.unit->rotations; ++rotation) {
            if (!call.slopes) {
                locate_taps<Simd, T, false>(row, call, rotation, x, count, scratch);
                spread_rows<Simd, T, fixed, false>(step, call, from, rotation, count, scratch);
                continue;
            }
            locate_taps<Simd, T, true>(row, call, rotation, x, count, scratch);
            spread_rows<Simd, T, fixed, true>(step, call, from, rotation, count, scratch);
            spread_all_taps<Simd>(row, call, rotation, x, count, scratch);
        }
    }
    if (!call.weight_gradient) return;
    for (int i = 0; i < 4 * call.unit->kernel * call.unit->kernel; ++i)
        for (T& lane : scratch.sampling[i]) {
            call.weight_gradient[i] += static_cast<double>(lane);
            lane = 0;
        }
}

template <class Simd, class T, int fixed>
void backward_row_within(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, const NodeRange& range,
                         const T* gradient, EnsembleScratch<T>& scratch) {
    for (int x = 0; x < row.count; x += kChunk) {
        const int count = std::min(kChunk, row.count - x);
        const T* from = gradient + static_cast<std::ptrdiff_t>(x) * row.step->values;
        for (int rotation = 0; rotation < call.unit->rotations; ++rotation) {
            // As backward_row finds them: where vertices are missing, slopes decide which take their places.
            if (call.slopes)
                locate_taps<Simd, T, true>(row, call, rotation, x, count, scratch);
            else
                locate_taps<Simd, T, false>(row, call, rotation, x, count, scratch);
            spread_rows_within<Simd, T, fixed>(*row.step, call, range, from, rotation, count, scratch);
        }
    }
}

template <class Simd, class T>
void count_any(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, int shift, std::uint32_t* counts,
               EnsembleScratch<T>& scratch) {
    for (int x = 0; x < row.count; x += kChunk) {
        const int count = std::min(kChunk, row.count - x);
        for (int rotation = 0; rotation < call.unit->rotations; ++rotation) {
            locate_taps<Simd, T, false>(row, call, rotation, x, count, scratch);
            for (int v = 0; v < 5; ++v)
                for (int i = 0; i < count; ++i) ++counts[scratch.place[v][i] >> shift];
        }
    }
}

template <class Simd, class T, class Visit>
void with_values(int values, Visit visit) {
    switch (values) {
        case 1:
            return visit(std::integral_constant<int, 1>());
        case 2:
            return visit(std::integral_constant<int, 2>());
        case 4:
            return visit(std::integral_constant<int, 4>());
        case 9:
            return visit(std::integral_constant<int, 9>());
        case 16:
            return visit(std::integral_constant<int, 16>());
        default:
            return visit(std::integral_constant<int, 0>());
    }
}

template <class Simd, class T>
void forward_any(const EnsembleRow<T>& row, const std::vector<EnsembleUnit<T>>& units, T* out,
                 EnsembleScratch<T>& scratch) {
    with_values<Simd, T>(row.step->values,
                         [&](auto fixed) { forward_row<Simd, T, decltype(fixed)::value>(row, units, out, scratch); });
}

template <class Simd, class T>
void backward_any(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, const T* gradient,
                  EnsembleScratch<T>& scratch) {
    with_values<Simd, T>(row.step->values, [&](auto fixed) {
        backward_row<Simd, T, decltype(fixed)::value>(row, call, gradient, scratch);
    });
}

template <class Simd, class T>
void backward_any_within(const EnsembleRow<T>& row, const EnsembleUnit<T>& call, const NodeRange& range,
                         const T* gradient, EnsembleScratch<T>& scratch) {
    with_values<Simd, T>(row.step->values, [&](auto fixed) {
        backward_row_within<Simd, T, decltype(fixed)::value>(row, call, range, gradient, scratch);
    });
}

template <class Simd, class T>
constexpr EnsembleKernels<T> ensemble_kernels{forward_any<Simd, T>, backward_any<Simd, T>, backward_any_within<Simd, T>,
                                              count_any<Simd, T>};

}  // namespace lutra
