// blend_rows and spread_rows for entries of 16 numbers, as two halves, with AVX2.
#pragma once

#include <immintrin.h>

#include "ensemble.hpp"

namespace lutra {

struct Avx2Floats {
    struct Floats {
        __m256 low, high;

        static Floats load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
        void store(float* to) const {
            _mm256_storeu_ps(to, low);
            _mm256_storeu_ps(to + 8, high);
        }
        Floats times(__m256 by) const { return {_mm256_mul_ps(low, by), _mm256_mul_ps(high, by)}; }
        Floats plus(const Floats& other) const {
            return {_mm256_add_ps(low, other.low), _mm256_add_ps(high, other.high)};
        }
        // Lane k takes lane turned[k] of both halves.
        Floats turned(__m256i low_turn, __m256i high_turn) const {
            const auto pick = [&](__m256i turn) {
                const __m256 above = _mm256_castsi256_ps(_mm256_cmpgt_epi32(turn, _mm256_set1_epi32(7)));
                return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, turn), _mm256_permutevar8x32_ps(high, turn),
                                        above);
            };
            return {pick(low_turn), pick(high_turn)};
        }
    };

    static __m256i turn_half(const int* turned) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(turned)); }

    static void blend_row(const float* nodes, const int* turned, bool round, int count, EnsembleScratch<float>& at) {
        const __m256i low_turn = turn_half(turned), high_turn = turn_half(turned + 8);
        for (int i = 0; i < count; ++i) {
            const auto vertex = [&](int v) {
                return Floats::load(nodes + at.place[v][i] * kLanes).times(_mm256_set1_ps(at.weight[v][i]));
            };
            const Floats term = vertex(0).plus(vertex(1)).plus(vertex(2)).plus(vertex(3)).plus(vertex(4));
            Floats sum = Floats::load(at.sum + i * kLanes).plus(term.turned(low_turn, high_turn));
            constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            if (round) sum = {_mm256_round_ps(sum.low, nearest), _mm256_round_ps(sum.high, nearest)};
            sum.store(at.sum + i * kLanes);
        }
    }

    static void add(const EnsembleUnit<float>& call, const Floats& g, int v, int i, const EnsembleScratch<float>& at) {
        float* to = call.node_gradient + at.place[v][i] * kLanes;
        const __m256 w = _mm256_set1_ps(at.weight[v][i]);
        const Floats before = Floats::load(to);
        Floats{_mm256_fmadd_ps(w, g.low, before.low), _mm256_fmadd_ps(w, g.high, before.high)}.store(to);
    }

    static void spread_pixel_within(const EnsembleUnit<float>& call, const NodeRange& range, const int* turned,
                                    const float* gradient, int i, const EnsembleScratch<float>& at) {
        const Floats g = Floats::load(gradient).turned(turn_half(turned), turn_half(turned + 8));
        for (int v = 0; v < 5; ++v)
            if (range.holds(at.place[v][i])) add(call, g, v, i, at);
    }

    template <bool slopes>
    static void spread_row(const EnsembleUnit<float>& call, const int* turned, const float* gradient, int count,
                           EnsembleScratch<float>& at) {
        const __m256i low_turn = turn_half(turned), high_turn = turn_half(turned + 8);
        for (int i = 0; i < count; ++i) {
            const Floats g = Floats::load(gradient + i * kLanes).turned(low_turn, high_turn);
            if (call.node_gradient)
                for (int v = 0; v < 5; ++v) add(call, g, v, i, at);
            if constexpr (slopes) {
                const auto row = [&](int v) { return Floats::load(call.nodes + at.place[v][i] * kLanes); };
                const auto step = [&](const Floats& from, const Floats& to) {
                    return _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(to.low, from.low), g.low),
                                         _mm256_mul_ps(_mm256_sub_ps(to.high, from.high), g.high));
                };
                const Floats r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3), r4 = row(4);
                const __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(step(r0, r1), step(r1, r2)),
                                                _mm256_hadd_ps(step(r2, r3), step(r3, r4)));
                const __m128 sum = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
                alignas(16) float slope[4];
                _mm_store_ps(slope, _mm_mul_ps(sum, _mm_set1_ps(at.scale[i])));
                for (int v = 0; v < 4; ++v) at.slope[at.axis[v][i]][i] = slope[v];
            }
        }
    }
};

}  // namespace lutra
