// Results of any size: a model's planes on a grid (LeRF), and bicubic interpolation of axes that do not grow. See
// lutra/restore/sizes.py and lutra/model/anysize.py for where outputs lie.
#pragma once

#include "bicubic.hpp"
#include "engine.hpp"
#include "reader.hpp"
#include "resample.hpp"

namespace lutra {

// How an axis of the input becomes one of the result: the grid enlarges it by `factor` to what the model makes, of
// which bicubic interpolation makes the result, where the two differ.
struct AxisSizes {
    int input, made;
    double factor;
    int result;
};

struct Sizes {
    AxisSizes rows, columns;
};

// Part of an image.
struct Part {
    Image pixels;
    int top, left;  // where its first pixel lies
};

class AnySize {
  public:
    // margin: that of the program, which makes the planes.
    AnySize(const Resampling& resampling, int margin, const std::string& level)
        : scale_(resampling.scale),
          margin_(margin),
          resampler_(resampling.numbers, resampling.replicate, best_kernels(level)) {}
    int scale() const { return scale_; }
    // How far around a pixel its result at the model's own scale reads the input.
    int margin() const { return margin_ + 1; }
    // Of an axis that is enlarged by the model's scale.
    AxisSizes own(int input) const { return {input, input * scale_, static_cast<double>(scale_), input * scale_}; }
    // Of an axis that becomes `result` pixels; outputs lie as `factor` has it, or as result / input if that is 0.
    // Throws std::invalid_argument.
    AxisSizes asked(int input, int result, double factor) const;
    // output: what is `wanted` of the result. The input must hold all that it reads; throws std::invalid_argument.
    void restore(Engine& engine, const Part& input, const Sizes& sizes, const Rectangle& wanted, const Image& output,
                 int threads) const;

  private:
    class Axis;
    void restore_band(Engine& engine, const Part& input, const Axis& rows, const Axis& columns, const Image& output,
                      int threads) const;

    int scale_, margin_;
    Resampler resampler_;
};

}  // namespace lutra
