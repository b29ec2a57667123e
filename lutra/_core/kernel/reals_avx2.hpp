// Four doubles with AVX2, for resampling.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "../resample_kernels.hpp"

namespace lutra {

struct Reals256 {
    using Reals = __m256d;
    using Powers = const double*;
    static constexpr int lanes = 4;

    // Where neighbours lie, from the first one's. near: within four pixels, as where the image does not shrink; then
    // `halves` are the 32-bit halves of the doubles there.
    struct Window {
        __m256i offsets, halves;
        bool near;

        explicit Window(const std::int32_t* first) {
            const __m128i from_first =
                _mm_sub_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(first)), _mm_set1_epi32(*first));
            near = !_mm_movemask_epi8(_mm_cmpgt_epi32(from_first, _mm_set1_epi32(lanes - 1)));
            offsets = _mm256_cvtepi32_epi64(from_first);
            const __m256i low = _mm256_slli_epi64(offsets, 1);
            halves = _mm256_or_si256(low, _mm256_slli_epi64(_mm256_add_epi64(low, _mm256_set1_epi64x(1)), 32));
        }
    };

    static Reals same(double x) { return _mm256_set1_pd(x); }
    static Reals load(const double* from) { return _mm256_loadu_pd(from); }
    static Reals add(Reals a, Reals b) { return _mm256_add_pd(a, b); }
    static Reals sub(Reals a, Reals b) { return _mm256_sub_pd(a, b); }
    static Reals mul(Reals a, Reals b) { return _mm256_mul_pd(a, b); }
    static Reals div(Reals a, Reals b) { return _mm256_div_pd(a, b); }

    static Powers powers_of(const KernelNumbers& numbers) { return numbers.powers; }
    // The sixteenth that the lowest four bits choose.
    static Reals power(Powers powers, Reals whole) {
        return _mm256_i64gather_pd(powers, _mm256_and_si256(_mm256_castpd_si256(whole), _mm256_set1_epi64x(15)), 8);
    }
    // Times the power of two in the bits above them.
    static Reals scaled(Reals x, Reals whole) {
        const __m256i bits = _mm256_andnot_si256(_mm256_set1_epi64x(15), _mm256_castpd_si256(whole));
        return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), _mm256_slli_epi64(bits, 48)));
    }
    template <bool near>
    static Reals taken(const double* from, const Window& window) {
        if constexpr (near)
            return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(_mm256_loadu_pd(from)), window.halves));
        else
            return _mm256_i64gather_pd(from, window.offsets, 8);
    }
    static void store(std::uint8_t* to, Reals levels) {
        const __m128i lowest = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
        const int bytes = _mm_cvtsi128_si32(_mm_shuffle_epi8(_mm256_cvtpd_epi32(levels), lowest));
        std::memcpy(to, &bytes, sizeof bytes);
    }
};

}  // namespace lutra
