// What a call of an ensemble works on. For ensemble.cpp and ensemble_backward.cpp alone.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "ensemble.hpp"

namespace lutra {

inline constexpr int kSlack = 2 * kChunk;  // numbers that kernels may read beyond a plane

// Where part number `part` of `parts` begins.
inline std::int64_t part_begin(std::int64_t size, int parts, int part) { return size * part / parts; }

template <class T>
struct Ensemble<T>::Ready {
    std::mutex mutex;  // held during a call
    Extent extent{};
    int reach = 0;
    std::ptrdiff_t stride = 0, plane_size = 0;
    std::vector<AlignedArray<T>> planes, nodes;                          // by plane, by unit
    std::vector<AlignedArray<T>> node_gradients;                         // by unit and part
    std::vector<std::array<AlignedArray<T>, 5>> read_gradients;          // by unit and plane read
    std::vector<std::array<AlignedArray<T>, 5>> band_gradients;          // by thread and plane read
    std::vector<std::vector<double>> weight_gradients, share_gradients;  // by unit: of every slot (see Backward)
    std::vector<const T*> tables;                                        // in the kernels' order
    std::vector<std::unique_ptr<EnsembleScratch<T>>> scratch;            // by thread

    // Numbers from one image to the next, in a plane with borders.
    std::ptrdiff_t image_size() const { return plane_size / extent.images; }
};

}  // namespace lutra
