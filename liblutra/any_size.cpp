// See any_size.hpp. The result is made in bands of rows, so that memory does not grow with the image's height.
#include "any_size.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace lutra {
namespace {

constexpr int kBandRows = 512;  // of the input; those around a band are computed twice

// Where an output lies: its first neighbour, and how far from it. The operations are those of Axis.enlarged and
// Axis.at.
struct GridPlace {
    double first, distance;

    GridPlace(const AxisSizes& sizes, int output) {
        const double made = sizes.made, grown = output / sizes.factor;
        const double position = grown + (sizes.input - 1.0) / 2 - (made - 1) / (2 * sizes.factor);
        first = std::ceil(position - 1 - 0x1p-23);
        distance = position - first;
    }
    bool fits(const AxisSizes& sizes) const { return first >= -1 && first < sizes.input && distance <= 1.001; }
};

// Memory for pixels, which are not set to 0 first.
class Pixels {
  public:
    Pixels(int height, int width, int channels) : size_(size(height, width, channels)) {
        image = {static_cast<std::uint8_t*>(take_memory(size_)), height, width, channels,
                 std::ptrdiff_t{width} * channels};
    }
    Pixels(const Pixels&) = delete;
    ~Pixels() { give_memory(image.data, size_); }

    Image image;

  private:
    static std::size_t size(int height, int width, int channels) {
        const std::uint64_t bytes = std::uint64_t(height) * width * channels;
        if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
        return aligned_size(static_cast<std::size_t>(bytes));
    }

    std::size_t size_;
};

}  // namespace

// Part of an axis of the result, and what it is made of.
class AnySize::Axis {
  public:
    Axis(const AxisSizes& sizes, const Span& wanted, int margin)
        : interpolates_(sizes.made != sizes.result),
          interpolation_(sizes.made, sizes.result, interpolates_ ? wanted : Span{0, 0}),
          made_(interpolates_ ? interpolation_.reads() : wanted) {
        for (int output = made_.begin; output < made_.end; ++output) {
            const GridPlace place(sizes, output);
            first_.push_back(static_cast<std::int32_t>(place.first));
            distance_.push_back(place.distance);
        }
        input_ = {std::max(0, first_.front() - margin), std::min(sizes.input, first_.back() + 2 + margin)};
        for (std::int32_t& first : first_) first -= input_.begin;
    }

    bool interpolates() const { return interpolates_; }
    const Bicubic& interpolation() const { return interpolation_; }
    const Span& made() const { return made_; }
    const Span& input() const { return input_; }
    GridAxis grid() const { return {first_.data(), distance_.data(), made_.size()}; }

  private:
    bool interpolates_;
    Bicubic interpolation_;
    Span made_, input_{};
    Vector<std::int32_t> first_;
    Vector<double> distance_;
};

AxisSizes AnySize::asked(int input, int result, double factor) const {
    const double own = scale_;
    if (result <= input) return {input, input * scale_, own, result};
    const AxisSizes sizes{input, result, factor != 0 ? factor : static_cast<double>(result) / input, result};
    if (!(sizes.factor >= 1) || !GridPlace(sizes, 0).fits(sizes) || !GridPlace(sizes, result - 1).fits(sizes))
        throw std::invalid_argument("the factor does not fit the sizes of the image and the result");
    return sizes;
}

void AnySize::restore(Engine& engine, const Part& input, const Sizes& sizes, const Rectangle& wanted,
                      const Image& output, int threads) const {
    const Axis columns(sizes.columns, {wanted.left, wanted.right}, margin_);
    const std::int64_t step = std::max<std::int64_t>(1, std::int64_t{kBandRows} * sizes.rows.result / sizes.rows.input);
    for (int top = wanted.top, bottom; top < wanted.bottom; top = bottom) {
        bottom = top + static_cast<int>(std::min<std::int64_t>(step, wanted.bottom - top));
        Image band = output;
        band.data = output.at(top - wanted.top, 0);
        band.height = bottom - top;
        restore_band(engine, input, Axis(sizes.rows, {top, bottom}, margin_), columns, band, threads);
    }
}

void AnySize::restore_band(Engine& engine, const Part& input, const Axis& rows, const Axis& columns,
                           const Image& output, int threads) const {
    const int channels = output.channels, height = rows.input().size(), width = columns.input().size();
    const int top = rows.input().begin - input.top, left = columns.input().begin - input.left;
    if (top < 0 || left < 0 || height > input.pixels.height - top || width > input.pixels.width - left)
        throw std::invalid_argument("the part of the image does not hold all that is needed");
    Image pixels = input.pixels;
    pixels.data = input.pixels.at(top, left);
    pixels.height = height;
    pixels.width = width;

    Watch watch([] { return false; });
    const Pixels planes(height, width, 4 * channels);
    engine.restore(pixels, planes.image, threads, watch);
    const auto resample = [&](const Image& to) {
        resampler_.grid({planes.image.data, height, width, channels}, rows.grid(), columns.grid(), to, threads, watch);
    };
    if (!rows.interpolates() && !columns.interpolates()) return resample(output);
    const Pixels made(rows.made().size(), columns.made().size(), channels);
    resample(made.image);
    if (!rows.interpolates()) return columns.interpolation().columns(made.image, output, threads);
    if (!columns.interpolates()) return rows.interpolation().rows(made.image, output, threads);
    const Pixels narrow(rows.made().size(), output.width, channels);
    columns.interpolation().columns(made.image, narrow.image, threads);
    rows.interpolation().rows(narrow.image, output, threads);
}

}  // namespace lutra
