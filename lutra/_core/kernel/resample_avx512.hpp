// Rows of a resampled image with AVX-512: eight outputs at once, in the operations and the order of resample_plain.hpp.
#pragma once

#include <immintrin.h>

#include "resample_plain.hpp"

namespace lutra {

template <class Simd>
struct Weights512 {
    __m512d low, high, polynomial[5];

    explicit Weights512(const KernelNumbers& numbers)
        : low(_mm512_load_pd(numbers.powers)), high(_mm512_load_pd(numbers.powers + 8)) {
        for (int term = 0; term < 5; ++term) polynomial[term] = _mm512_set1_pd(numbers.polynomial[term]);
    }

    __m512d operator()(__m512d steps) const {
        const __m512d magic = _mm512_set1_pd(0x1.8p52), shifted = _mm512_add_pd(steps, magic);
        const __m512d rest = _mm512_sub_pd(steps, _mm512_sub_pd(shifted, magic));
        const __m512i whole = _mm512_castpd_si512(shifted);
        __m512d power = polynomial[4];
        for (int term = 3; term >= 0; --term) power = _mm512_add_pd(_mm512_mul_pd(power, rest), polynomial[term]);
        const __m512d sixteenth = _mm512_mul_pd(power, _mm512_permutex2var_pd(low, whole, high));
        const __m512i exponent = _mm512_slli_epi64(_mm512_andnot_si512(_mm512_set1_epi64(15), whole), 48);
        return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(sixteenth), exponent));
    }
};

// `near`: whether the neighbours of a group lie within eight pixels, as they do where the image does not shrink.
template <class Simd, bool near>
__m512d taken(const double* from, __m512i offsets) {
    if constexpr (near)
        return _mm512_permutexvar_pd(offsets, _mm512_loadu_pd(from));
    else
        return _mm512_i64gather_pd(offsets, from, 8);
}

template <class Simd, bool near>
void resample_group(const RowCall& call, int x, __m512i offsets, const Weights512<Simd>& weights) {
    __m512d total = _mm512_setzero_pd(), weight = total;
    const __m512d distance = _mm512_loadu_pd(call.distance + x);
    for (int right = 0; right < 2; ++right) {
        const int at = call.start[x / kResampleLanes] + right;
        const __m512d across = right ? _mm512_sub_pd(distance, _mm512_set1_pd(1)) : distance;
        for (int below = 0; below < 2; ++below) {
            const auto take = [&](const double* from) { return taken<Simd, near>(from + at, offsets); };
            const __m512d curve = _mm512_mul_pd(across, take(call.lines[below].curve_columns));
            const __m512d slope = _mm512_mul_pd(across, _mm512_add_pd(take(call.linear[below]), curve));
            const __m512d own = weights(_mm512_add_pd(take(call.constant[below]), slope));
            total = _mm512_add_pd(total, _mm512_mul_pd(own, take(call.lines[below].pixel)));
            weight = _mm512_add_pd(weight, own);
        }
    }
    const __m256i levels = _mm512_cvtpd_epi32(_mm512_div_pd(total, weight));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(call.out + x), _mm256_cvtepi32_epi8(levels));
}

template <class Simd>
void resample_row_avx512(const RowCall& call) {
    prepare_terms<Simd>(call);
    const Weights512<Simd> weights(*call.numbers);
    const __m512i most = _mm512_set1_epi64(kResampleLanes - 1);
    for (int x = 0; x < call.count; x += kResampleLanes) {
        const __m512i offsets = _mm512_loadu_si512(call.offset + x);
        if (_mm512_cmpgt_epi64_mask(offsets, most))
            resample_group<Simd, false>(call, x, offsets, weights);
        else
            resample_group<Simd, true>(call, x, offsets, weights);
    }
}

}  // namespace lutra
