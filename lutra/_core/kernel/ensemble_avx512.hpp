// blend_rows and spread_rows for entries of 16 numbers, with AVX-512.
#pragma once

#include <immintrin.h>

#include "ensemble.hpp"

namespace lutra {

struct Avx512Floats {
    static void blend_row(const float* nodes, const int* turned, bool round, int count, EnsembleScratch<float>& at) {
        const __m512i turn = _mm512_loadu_si512(turned);
        for (int i = 0; i < count; ++i) {
            const auto vertex = [&](int v) {
                return _mm512_mul_ps(_mm512_set1_ps(at.weight[v][i]), _mm512_loadu_ps(nodes + at.place[v][i] * kLanes));
            };
            const __m512 low = _mm512_add_ps(_mm512_add_ps(vertex(0), vertex(1)), vertex(2));
            const __m512 term = _mm512_add_ps(_mm512_add_ps(low, vertex(3)), vertex(4));
            __m512 sum = _mm512_add_ps(_mm512_load_ps(at.sum + i * kLanes), _mm512_permutexvar_ps(turn, term));
            if (round) sum = _mm512_roundscale_ps(sum, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            _mm512_store_ps(at.sum + i * kLanes, sum);
        }
    }

    static void add(const EnsembleUnit<float>& call, __m512 g, int v, int i, const EnsembleScratch<float>& at) {
        float* to = call.node_gradient + at.place[v][i] * kLanes;
        _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_set1_ps(at.weight[v][i]), g, _mm512_loadu_ps(to)));
    }

    static void spread_pixel_within(const EnsembleUnit<float>& call, const NodeRange& range, const int* turned,
                                    const float* gradient, int i, const EnsembleScratch<float>& at) {
        const __m512 g = _mm512_permutexvar_ps(_mm512_loadu_si512(turned), _mm512_loadu_ps(gradient));
        for (int v = 0; v < 5; ++v)
            if (range.holds(at.place[v][i])) add(call, g, v, i, at);
    }

    template <bool slopes>
    static void spread_row(const EnsembleUnit<float>& call, const int* turned, const float* gradient, int count,
                           EnsembleScratch<float>& at) {
        const __m512i turn = _mm512_loadu_si512(turned);
        for (int i = 0; i < count; ++i) {
            const __m512 g = _mm512_permutexvar_ps(turn, _mm512_loadu_ps(gradient + i * kLanes));
            if (call.node_gradient)
                for (int v = 0; v < 5; ++v) add(call, g, v, i, at);
            if constexpr (slopes) {
                const auto row = [&](int v) { return _mm512_loadu_ps(call.nodes + at.place[v][i] * kLanes); };
                const __m512 r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3), r4 = row(4);
                const auto step = [&](__m512 from, __m512 to) { return _mm512_mul_ps(_mm512_sub_ps(to, from), g); };
                // Four sums of 16 products at once.
                const __m512 d1 = step(r0, r1), d2 = step(r1, r2), d3 = step(r2, r3), d4 = step(r3, r4);
                const __m512 s12 = _mm512_add_ps(_mm512_unpacklo_ps(d1, d2), _mm512_unpackhi_ps(d1, d2));
                const __m512 s34 = _mm512_add_ps(_mm512_unpacklo_ps(d3, d4), _mm512_unpackhi_ps(d3, d4));
                const __m512 s = _mm512_add_ps(_mm512_shuffle_ps(s12, s34, _MM_SHUFFLE(1, 0, 1, 0)),
                                               _mm512_shuffle_ps(s12, s34, _MM_SHUFFLE(3, 2, 3, 2)));
                const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
                const __m128 sum = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
                alignas(16) float slope[4];
                _mm_store_ps(slope, _mm_mul_ps(sum, _mm_set1_ps(at.scale[i])));
                for (int v = 0; v < 4; ++v) at.slope[at.axis[v][i]][i] = slope[v];
            }
        }
    }
};

}  // namespace lutra
