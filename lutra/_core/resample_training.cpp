// The part of Resampler that training uses; see resample.hpp. Bands of rows go to threads in the forward pass, images
// in the backward pass, so that each number's terms keep their order.
#include <algorithm>

#include "resample.hpp"

namespace lutra {
namespace {

constexpr int kBandRows = 16;

// What the values of a pixel's planes mean, rounded to float32 as published, and their derivatives.
struct Meaning {
    explicit Meaning(const KernelNumbers& numbers) : sixteenths(numbers.correlation[255]) {}

    double correlation(double value) const {
        const float share = static_cast<float>(value) / 255.0f;
        return static_cast<double>(2.0f * share - 1.0f) * sixteenths;
    }
    static double steepness(double value) { return static_cast<double>(10.0f * (static_cast<float>(value) / 255.0f)); }
    double curve(double steep) const { return steep * steep * (-0.5 * sixteenths); }

    double sixteenths;
};

// Two lines of one image, which are kept while the rows of the output move on, and the gradients of both.
class RealLines {
  public:
    RealLines(const RealInput& input, const KernelNumbers& numbers, bool replicate, const GridAxis& columns,
              const RealGradient* wanted)
        : input_(input),
          meaning_(numbers),
          replicate_(replicate),
          wanted_(wanted),
          stride_(input.width + 2),
          memory_(static_cast<std::size_t>(stride_) * 20 + static_cast<std::size_t>(columns.count) * (wanted ? 8 : 0)) {
        call_.numbers = &numbers;
        call_.width = input.width;
        call_.distance = columns.distance;
        call_.count = columns.count;
        for (int x = 0; x < columns.count; ++x) first_.push_back(columns.first[x] + 1);
        call_.first = first_.data();
    }

    // The call of a row of outputs of an image.
    const RowCall& row(int image, int top, double down) {
        if (image != image_) finish();
        image_ = image;
        top_ = top;
        for (int below = 0; below < 2; ++below) {
            const int row = top + below, slot = slot_of(row);
            if (held_[slot] != row) {
                gather(slot);
                held_[slot] = row;
                read(slot);
            }
            call_.lines[below] = line(slot);
            call_.constant[below] = array(16 + 2 * below);
            call_.linear[below] = array(17 + 2 * below);
        }
        call_.down = down;
        return call_;
    }
    // The gradients of the lines of the last call.
    ResampleLine sums(int below) { return line(2 + slot_of(top_ + below)); }
    double* terms() { return array(20); }
    // Adds what the lines gathered to the gradients of the planes.
    void finish() {
        for (int slot = 0; slot < 2; ++slot) {
            gather(slot);
            held_[slot] = kNone;
        }
    }

  private:
    static constexpr int kNone = -2;

    double* array(int number) { return memory_.data() + static_cast<std::ptrdiff_t>(stride_) * number; }
    ResampleLine line(int slot) {
        return {array(4 * slot), array(4 * slot + 1), array(4 * slot + 2), array(4 * slot + 3)};
    }
    static int slot_of(int row) { return (row + 1) & 1; }
    int nearest(int slot) const { return std::clamp(held_[slot], 0, input_.height - 1); }
    bool is_dark(int slot) const { return !replicate_ && nearest(slot) != held_[slot]; }

    void read(int slot) {
        const ResampleLine to = line(slot);
        const double* planes[4];
        for (int plane = 0; plane < 4; ++plane) planes[plane] = input_.row(image_, plane, nearest(slot));
        for (int x = 0; x < input_.width; ++x) {
            const double rows = Meaning::steepness(planes[2][x]), columns = Meaning::steepness(planes[3][x]);
            to.pixel[x + 1] = is_dark(slot) ? 0 : planes[0][x];
            to.curve_rows[x + 1] = meaning_.curve(rows);
            to.slope[x + 1] = meaning_.correlation(planes[1][x]) * rows * columns;
            to.curve_columns[x + 1] = meaning_.curve(columns);
        }
        for (double* values : {to.pixel, to.curve_rows, to.slope, to.curve_columns}) {
            values[0] = values[1];
            values[input_.width + 1] = values[input_.width];
        }
        if (!replicate_) to.pixel[0] = to.pixel[input_.width + 1] = 0;
    }

    void gather(int slot) {
        if (!wanted_ || held_[slot] == kNone) return;
        const int width = input_.width;
        const ResampleLine from = line(2 + slot);
        if (!replicate_) from.pixel[0] = from.pixel[width + 1] = 0;
        if (is_dark(slot)) std::fill_n(from.pixel, stride_, 0.0);
        for (double* values : {from.pixel, from.curve_rows, from.slope, from.curve_columns}) {
            values[1] += values[0];
            values[width] += values[width + 1];
        }
        const double* planes[4];
        double* to[4];
        for (int plane = 0; plane < 4; ++plane) {
            planes[plane] = input_.row(image_, plane, nearest(slot));
            to[plane] = wanted_->planes + (planes[plane] - input_.data);
        }
        const double steep = 10.0 / 255, sixteenths = meaning_.sixteenths;
        for (int x = 0; x < width; ++x) {
            const double rows = Meaning::steepness(planes[2][x]), columns = Meaning::steepness(planes[3][x]);
            const double correlation = meaning_.correlation(planes[1][x]), slope = from.slope[x + 1];
            to[0][x] += from.pixel[x + 1];
            to[1][x] += slope * rows * columns * sixteenths * (2.0 / 255);
            to[2][x] += (slope * correlation * columns - sixteenths * rows * from.curve_rows[x + 1]) * steep;
            to[3][x] += (slope * correlation * rows - sixteenths * columns * from.curve_columns[x + 1]) * steep;
        }
        std::fill_n(from.pixel, 4 * static_cast<std::ptrdiff_t>(stride_), 0.0);
    }

    const RealInput& input_;
    Meaning meaning_;
    bool replicate_;
    const RealGradient* wanted_;
    int stride_, image_ = -1, top_ = 0;
    std::vector<double> memory_;    // two lines, their gradients, the terms of a row, and those of its neighbours
    int held_[2] = {kNone, kNone};  // the row in each slot
    std::vector<std::int32_t> first_;
    RowCall call_{};
};

}  // namespace

void Resampler::means(const RealInput& input, const GridAxis& rows, const GridAxis& columns, double* out,
                      int threads) const {
    const int bands = (rows.count + kBandRows - 1) / kBandRows, tasks = input.images * bands;
    const auto work = [&](int task, int) {
        RealLines lines(input, numbers_, replicate_, columns, nullptr);
        const int image = task / bands, first = task % bands * kBandRows, end = std::min(first + kBandRows, rows.count);
        double* to = out + (static_cast<std::ptrdiff_t>(image) * rows.count + first) * columns.count;
        for (int row = first; row < end; ++row, to += columns.count)
            kernels_.means->means({lines.row(image, rows.first[row], rows.distance[row]), to});
    };
    run_parallel(tasks, std::min(useful_threads(threads), tasks), work);
}

void Resampler::slopes(const RealInput& input, const GridAxis& rows, const GridAxis& columns,
                       const RealGradient& wanted, int threads) const {
    const auto work = [&](int image, int) {
        RealLines lines(input, numbers_, replicate_, columns, &wanted);
        std::ptrdiff_t at = static_cast<std::ptrdiff_t>(image) * rows.count * columns.count;
        for (int row = 0; row < rows.count; ++row, at += columns.count) {
            const RowCall& call = lines.row(image, rows.first[row], rows.distance[row]);
            kernels_.means->slopes(
                {call, wanted.means + at, wanted.gradient + at, lines.terms(), {lines.sums(0), lines.sums(1)}});
        }
        lines.finish();
    };
    run_parallel(input.images, std::min(useful_threads(threads), input.images), work);
}

}  // namespace lutra
