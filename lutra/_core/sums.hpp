// Sums of one-dimensional tables ("vectors") as training needs them: a whole model on a batch of patches, forward and
// backward. Planes hold small signed integers; a vector has 64 rows, one for each value's low six bits.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "layers.hpp"
#include "plan.hpp"
#include "process.hpp"

namespace lutra {

inline constexpr int kSumLanes = 16;    // numbers in a row
inline constexpr int kMostTerms = 256;  // of a layer: the sum of 256 bytes fits 16 bits

struct SumsPlane {
    int channels = 1;
    int low = 0, high = 255;
    bool trained = false;  // whether it depends on a vector
    int reach = 0;         // how far from its pixel it is read
};

// How 16-bit sums are divided: round_half_even((sum - zero) / divisor) = ((sum + add) * magic >> 16 >> shift) - minus,
// less one where the remainder is 0 and the quotient odd, if the divisor is even.
struct Quotient {
    int divisor = 1, add = 0, minus = 0, magic = 0, shift = 0;
    static Quotient of(int divisor, int inputs);  // throws std::invalid_argument
};

enum class SumsKind { split, sum, shift };

struct SumsStep {
    SumsKind kind = SumsKind::sum;
    int reads = -1, writes = -1;
    int low_plane = -1, offset = 0, bits = 0;  // of a split
    std::vector<std::pair<int, int>> taps;     // (row, column): of a layer's window, or of a shift's channels
    std::vector<int> sources;                  // of a shift: the channel that each of its channels takes
    bool dense = false;                        // every output sums over all channels of every tap
    int layer = -1;                            // number of its vectors; -1: none
    int inputs = 0, outputs = 0;               // of the layer
    std::vector<int> adds;
    Quotient quotient;
};

struct SumsMerge {
    int reads = -1, upscale = 1, rotations = 4;
};

struct SumsLayer {
    int inputs = 0, outputs = 0, levels = kLevels, low = 0;
    bool own = false;  // depthwise over several channels: an output sees its own channel alone
};

// A plane with borders, flat: pixel (y, x) is at origin + y * stride + x.
struct SumsExtent {
    int height = 0, width = 0, pad = 0;
    std::ptrdiff_t stride = 0, origin = 0, size = 0;
    static SumsExtent of(int height, int width, int pad);
};

// images: (count, colours, height, width).
struct SumsBatch {
    const std::uint8_t* images = nullptr;
    int count = 0, height = 0, width = 0;
};

struct SumsNet {
    bool reflect = false;
    int pad = 0;
    std::vector<SumsPlane> planes;  // plane 0 is the input image, a channel for each colour
    std::vector<SumsStep> steps;
    std::vector<SumsLayer> layers;
    SumsMerge merge;

    int colours() const { return planes[0].channels; }
};

struct SumsKernels;

class Sums {
  public:
    Sums(SumsNet net, const std::string& level);
    ~Sums();
    const SumsNet& net() const { return net_; }

    // tables[layer]: (inputs, outputs, levels) int8. out: (count, colours, scale * height, scale * width), without the
    // last clip. Nothing depends on `threads`.
    void forward(const SumsBatch& batch, const std::vector<const std::int8_t*>& tables, float* out, int threads);
    // slopes[layer]: what a level more changes, as the tables. gradients[layer] are replaced.
    void backward(const SumsBatch& batch, const std::vector<const std::int8_t*>& tables,
                  const std::vector<const float*>& slopes, const float* gradient, const std::vector<float*>& gradients,
                  int threads);

  private:
    struct Ready;
    class Run;
    void prepare(const std::vector<const std::int8_t*>& tables, int threads, Ready& ready) const;
    void prepare_slopes(const std::vector<const float*>& slopes, int slots, Ready& ready) const;
    void collect(const std::vector<float*>& gradients, int slots, int threads, Ready& ready) const;

    SumsNet net_;
    const SumsKernels* kernels_;
    PerProcess<Ready> ready_;
};

}  // namespace lutra
