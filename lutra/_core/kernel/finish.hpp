// From a step's sums to pixels: round half to even, clip, and put every value where it belongs.
#pragma once

#include <cstring>

#include "../kernels.hpp"

namespace lutra {

// round(sum / divisor + offset) in floating point, exactly: quotients that are ties are representable, and others lie
// at least 1 / (2 * divisor) away from one, which the format tells apart over 0..255. Adding 1.5 * 2^(bits - 1)
// rounds half to even.
template <class Simd, class Real, bool reciprocal>
void round_sums(const std::int32_t* sums, int count, std::int32_t divisor, std::int32_t shift, std::uint8_t* result) {
    constexpr Real magic = sizeof(Real) == 4 ? Real(12582912) : Real(6755399441055744);
    const auto by = static_cast<Real>(divisor);
    const Real times = Real(1) / by;
    for (int i = 0; i < count; ++i) {
        const auto sum = static_cast<Real>(sums[i] + shift);
        Real quotient = reciprocal ? sum * times : sum / by;
        quotient = quotient < 0 ? Real(0) : quotient;
        quotient = quotient > 255 ? Real(255) : quotient;
        result[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>((quotient + magic) - magic));
    }
}

// Single precision is left to levels that have better than this loop.
template <class Simd>
void finish_sums(const Step& step, const std::int32_t* sums, int count, std::uint8_t* result) {
    const std::int32_t divisor = step.divisor << (step.round_each ? 0 : step.denominator_bits);
    const std::int32_t shift = step.offset * divisor;
    const bool power = (divisor & (divisor - 1)) == 0;
    if (!step.single_precision)
        round_sums<Simd, double, false>(sums, count, divisor, shift, result);
    else if constexpr (requires { Simd::template round_sums<true>; })
        (power ? Simd::template round_sums<true> : Simd::template round_sums<false>)(sums, count, divisor, shift,
                                                                                     result);
    else
        (power ? round_sums<Simd, float, true> : round_sums<Simd, float, false>)(sums, count, divisor, shift, result);
}

// result[pixel * stride + value] to the rows written, for the pixels from x on.
template <class Simd, int upscale>
void scatter(const Step& step, const std::uint8_t* result, int stride, int x, std::uint8_t* const* out) {
    const int side = upscale > 0 ? upscale : step.upscale;
    const int rows = step.values / side;
    for (int row = 0; row < rows; ++row) {
        std::uint8_t* line = out[row] + x * side;
        for (int i = 0; i < kChunk; ++i)
            std::memcpy(line + i * side, result + i * stride + row * side, static_cast<std::size_t>(side));
    }
}

template <class Simd>
void write_pixels(const Step& step, const std::uint8_t* result, int stride, int x, std::uint8_t* const* out) {
    switch (step.upscale) {
        case 1:
            return scatter<Simd, 1>(step, result, stride, x, out);
        case 2:
            return scatter<Simd, 2>(step, result, stride, x, out);
        case 3:
            return scatter<Simd, 3>(step, result, stride, x, out);
        case 4:
            return scatter<Simd, 4>(step, result, stride, x, out);
        default:
            return scatter<Simd, 0>(step, result, stride, x, out);
    }
}

// result[value * kChunk + pixel] to the rows written.
template <class Simd>
void write_values(const Step& step, const std::uint8_t* result, int x, std::uint8_t* const* out) {
    const int side = step.upscale;
    for (int row = 0; row < step.values / side; ++row) {
        const std::uint8_t* values = result + row * side * kChunk;
        std::uint8_t* line = out[row] + x * side;
        if (side == 1)
            std::memcpy(line, values, kChunk);
        else if constexpr (requires { typename Simd::Lines; })
            Simd::Lines::template alternate_chunk<2>(reinterpret_cast<const std::uint8_t(*)[kChunk]>(values), line);
        else
            for (int i = 0; i < kChunk; ++i) line[2 * i] = values[i], line[2 * i + 1] = values[kChunk + i];
    }
}

// The running sum of whole levels plus `term` / 2^bits, rounded half to even: half a unit less is added before the
// shift, and made up for where that leaves an odd sum.
static inline std::int32_t add_rounded(std::int32_t running, std::int32_t term, int bits) {
    const std::int32_t low = term + (1 << (bits - 1)) - 1;
    return running + ((low + (((low >> bits) + running) & 1)) >> bits);
}

}  // namespace lutra
