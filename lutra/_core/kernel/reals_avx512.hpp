// Eight doubles with AVX-512, for resampling.
#pragma once

#include <immintrin.h>

#include "../resample_kernels.hpp"

namespace lutra {

struct Reals512 {
    using Reals = __m512d;
    static constexpr int lanes = 8;

    struct Powers {
        __m512d low, high;
    };

    // Where neighbours lie, from the first one's. near: within eight pixels, as where the image does not shrink.
    struct Window {
        __m512i offsets;
        bool near;

        explicit Window(const std::int32_t* first)
            : offsets(_mm512_sub_epi64(
                  _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(first))),
                  _mm512_set1_epi64(*first))),
              near(!_mm512_cmpgt_epi64_mask(offsets, _mm512_set1_epi64(lanes - 1))) {}
    };

    static Reals same(double x) { return _mm512_set1_pd(x); }
    static Reals load(const double* from) { return _mm512_loadu_pd(from); }
    static Reals add(Reals a, Reals b) { return _mm512_add_pd(a, b); }
    static Reals sub(Reals a, Reals b) { return _mm512_sub_pd(a, b); }
    static Reals mul(Reals a, Reals b) { return _mm512_mul_pd(a, b); }
    static Reals div(Reals a, Reals b) { return _mm512_div_pd(a, b); }

    static Powers powers_of(const KernelNumbers& numbers) {
        return {_mm512_load_pd(numbers.powers), _mm512_load_pd(numbers.powers + 8)};
    }
    // The sixteenth that the lowest four bits choose.
    static Reals power(const Powers& powers, Reals whole) {
        return _mm512_permutex2var_pd(powers.low, _mm512_castpd_si512(whole), powers.high);
    }
    // Times the power of two in the bits above them.
    static Reals scaled(Reals x, Reals whole) {
        const __m512i bits = _mm512_andnot_si512(_mm512_set1_epi64(15), _mm512_castpd_si512(whole));
        return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), _mm512_slli_epi64(bits, 48)));
    }
    template <bool near>
    static Reals taken(const double* from, const Window& window) {
        if constexpr (near)
            return _mm512_permutexvar_pd(window.offsets, _mm512_loadu_pd(from));
        else
            return _mm512_i64gather_pd(window.offsets, from, 8);
    }
    static void store(std::uint8_t* to, Reals levels) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm256_cvtepi32_epi8(_mm512_cvtpd_epi32(levels)));
    }
};

}  // namespace lutra
