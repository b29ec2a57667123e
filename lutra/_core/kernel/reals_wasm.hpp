// Two doubles with SIMD128, for resampling.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

#include "../resample_kernels.hpp"

namespace lutra {

struct Reals128 {
    using Reals = v128_t;
    using Powers = const double*;
    static constexpr int lanes = 2;

    // How far the second neighbour lies from the first one.
    struct Window {
        std::int32_t second;
        static constexpr bool near = true;

        explicit Window(const std::int32_t* first) : second(first[1] - first[0]) {}
    };

    static Reals same(double x) { return wasm_f64x2_splat(x); }
    static Reals load(const double* from) { return wasm_v128_load(from); }
    static Reals add(Reals a, Reals b) { return wasm_f64x2_add(a, b); }
    static Reals sub(Reals a, Reals b) { return wasm_f64x2_sub(a, b); }
    static Reals mul(Reals a, Reals b) { return wasm_f64x2_mul(a, b); }
    static Reals div(Reals a, Reals b) { return wasm_f64x2_div(a, b); }

    static Powers powers_of(const KernelNumbers& numbers) { return numbers.powers; }
    // The sixteenth that the lowest four bits choose.
    static Reals power(Powers powers, Reals whole) {
        return pair(powers + (wasm_i32x4_extract_lane(whole, 0) & 15),
                    powers + (wasm_i32x4_extract_lane(whole, 2) & 15));
    }
    // Times the power of two in the bits above them.
    static Reals scaled(Reals x, Reals whole) {
        return wasm_i64x2_add(x, wasm_i64x2_shl(wasm_v128_andnot(whole, wasm_i64x2_splat(15)), 48));
    }
    template <bool near>
    static Reals taken(const double* from, const Window& window) {
        return pair(from, from + window.second);
    }
    static void store(std::uint8_t* to, Reals levels) {
        const v128_t whole = wasm_i32x4_trunc_sat_f64x2_zero(wasm_f64x2_nearest(levels));
        to[0] = static_cast<std::uint8_t>(wasm_i32x4_extract_lane(whole, 0));
        to[1] = static_cast<std::uint8_t>(wasm_i32x4_extract_lane(whole, 1));
    }

  private:
    static Reals pair(const double* first, const double* second) {
        return wasm_v128_load64_lane(second, wasm_v128_load64_zero(first), 1);
    }
};

}  // namespace lutra
