// Between an image's interleaved channels and planes.
#pragma once

#include <cstring>

#include "../kernels.hpp"

namespace lutra {

template <class Simd, int channels>
void split(const std::uint8_t* pixels, int count, std::uint8_t* const* planes) {
    for (int channel = 0; channel < channels; ++channel) {
        std::uint8_t* plane = planes[channel];
        for (int i = 0; i < count; ++i) plane[i] = pixels[i * channels + channel];
    }
}

template <class Simd>
void split_line(const std::uint8_t* pixels, int channels, int count, std::uint8_t* const* planes) {
    switch (channels) {
        case 1:
            return split<Simd, 1>(pixels, count, planes);
        case 2:
            return split<Simd, 2>(pixels, count, planes);
        case 3:
            return split<Simd, 3>(pixels, count, planes);
        default:
            return split<Simd, 4>(pixels, count, planes);
    }
}

template <class Simd>
void join_line(const std::uint8_t* const* planes, int channels, int count, std::uint8_t* __restrict pixels) {
    const std::uint8_t *a = planes[0], *b = planes[1], *c = planes[2], *d = planes[3];
    switch (channels) {
        case 1:
            std::memcpy(pixels, a, static_cast<std::size_t>(count));
            break;
        case 2:
            for (int i = 0; i < count; ++i) pixels[2 * i] = a[i], pixels[2 * i + 1] = b[i];
            break;
        case 3:
            for (int i = 0; i < count; ++i) pixels[3 * i] = a[i], pixels[3 * i + 1] = b[i], pixels[3 * i + 2] = c[i];
            break;
        default:
            for (int i = 0; i < count; ++i)
                pixels[4 * i] = a[i], pixels[4 * i + 1] = b[i], pixels[4 * i + 2] = c[i], pixels[4 * i + 3] = d[i];
    }
}

}  // namespace lutra
