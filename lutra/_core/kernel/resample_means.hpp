// Means of a row and their gradients, for training: plain loops over the operations of resample_plain.hpp, of which
// compilers make vector code.
#pragma once

#include "resample_plain.hpp"

namespace lutra {

template <class Simd>
void resample_means(const MeansCall& call) {
    const RowCall row = call.row;
    double* __restrict means = call.means;
    prepare_terms<Simd>(row);
    for (int x = 0; x < row.count; ++x) means[x] = mean_of<Simd>(row, x);
}

// The gradients of every output's neighbours: of the pixel, and of the exponent of 2^(1/16).
template <class Simd>
void neighbour_slopes(const SlopesCall& call) {
    constexpr double log_of_power = 0x1.62e42fefa39efp-5;  // ln 2 / 16
    const RowCall row = call.row;
    const double *means = call.means, *gradient = call.gradient;
    double* __restrict terms = call.terms;
    const std::ptrdiff_t stride = row.count;
    for (int x = 0; x < row.count; ++x) {
        double own[4], weight = 0;
        for (int right = 0; right < 2; ++right)
            for (int below = 0; below < 2; ++below) {
                own[2 * right + below] = neighbour_weight<Simd>(row, x, right, below);
                weight += own[2 * right + below];
            }
        const double share = gradient[x] / weight, mean = means[x];
        for (int right = 0; right < 2; ++right)
            for (int below = 0; below < 2; ++below) {
                const int which = 2 * right + below;
                const double pixel = share * own[which];
                terms[2 * which * stride + x] = pixel;
                terms[(2 * which + 1) * stride + x] =
                    pixel * (row.lines[below].pixel[row.first[x] + right] - mean) * log_of_power;
            }
    }
}

template <class Simd>
void resample_slopes(const SlopesCall& call) {
    const RowCall& row = call.row;
    prepare_terms<Simd>(row);
    neighbour_slopes<Simd>(call);
    for (int below = 0; below < 2; ++below) {
        const ResampleLine& sums = call.sums[below];
        const double down = row.down - below;
        for (int right = 0; right < 2; ++right) {
            const double* pixels = call.terms + static_cast<std::ptrdiff_t>(row.count) * 2 * (2 * right + below);
            const double* steps = pixels + row.count;
            for (int x = 0; x < row.count; ++x) {
                const int at = row.first[x] + right;
                const double across = row.distance[x] - right;
                sums.pixel[at] += pixels[x];
                sums.curve_rows[at] += down * down * steps[x];
                sums.slope[at] += down * across * steps[x];
                sums.curve_columns[at] += across * across * steps[x];
            }
        }
    }
}

}  // namespace lutra
