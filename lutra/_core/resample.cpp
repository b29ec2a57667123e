// See resample.hpp. Bands of rows go to threads; a row of the output reads two lines, which are kept while it moves on.
#include "resample.hpp"

#include <algorithm>
#include <array>

namespace lutra {
namespace {

constexpr int kBandRows = 16;
constexpr int kPointsAtOnce = 1 << 12;

// The columns of a grid, filled up to groups of kResampleLanes with the last one; counted as in the lines.
struct Columns {
    Vector<std::int32_t> first;
    Vector<double> distance;

    explicit Columns(const GridAxis& axis) {
        const int padded = (axis.count + kResampleLanes - 1) / kResampleLanes * kResampleLanes;
        for (int x = 0; x < padded; ++x) {
            const int from = std::min(x, axis.count - 1);
            first.push_back(axis.first[from] + 1);
            distance.push_back(axis.distance[from]);
        }
    }
};

// The memory of one band: two lines of every channel, the terms of a row, and a row of the output.
class Band {
  public:
    Band(const ResampleInput& input, bool replicate, const Columns& columns)
        : input_(input),
          replicate_(replicate),
          columns_(columns),
          stride_(input.width + 2 + kResampleLanes),
          memory_(static_cast<std::size_t>(stride_) * (8 * input.channels + 4)),
          held_(2 * static_cast<std::size_t>(input.channels), kNone),
          out_(columns.distance.size() * input.channels) {}

    void row(const KernelNumbers& numbers, const Kernels& kernels, int top, double down, int count,
             std::uint8_t* pixels) {
        const std::uint8_t* rows[4] = {};
        for (int channel = 0; channel < input_.channels; ++channel) {
            RowCall call{};
            call.numbers = &numbers;
            for (int below = 0; below < 2; ++below) {
                call.lines[below] = line(numbers, kernels, channel, top + below);
                call.constant[below] = array(8 * input_.channels + 2 * below);
                call.linear[below] = array(8 * input_.channels + 2 * below + 1);
            }
            call.down = down;
            call.width = input_.width;
            call.first = columns_.first.data();
            call.distance = columns_.distance.data();
            call.count = count;
            call.out = out_.data() + columns_.distance.size() * channel;
            rows[channel] = call.out;
            kernels.resample.row(call);
        }
        kernels.join_line(rows, input_.channels, count, pixels);
    }

  private:
    static constexpr int kNone = -2;

    double* array(int number) { return memory_.data() + static_cast<std::ptrdiff_t>(stride_) * number; }

    // A channel's line of a row, -1..height.
    ResampleLine line(const KernelNumbers& numbers, const Kernels& kernels, int channel, int row) {
        const int slot = 2 * channel + ((row + 1) & 1);
        const ResampleLine found{array(4 * slot), array(4 * slot + 1), array(4 * slot + 2), array(4 * slot + 3)};
        if (held_[slot] == row) return found;
        held_[slot] = row;
        const int nearest = std::clamp(row, 0, input_.height - 1);
        const auto start = [&](int plane) {
            return input_.plane(channel, plane) + static_cast<std::ptrdiff_t>(nearest) * input_.width;
        };
        const std::uint8_t* pixels = replicate_ || row == nearest ? start(0) : nullptr;
        LineCall call{&numbers, pixels, {start(1), start(2), start(3)}, input_.width, replicate_, found};
        kernels.resample.line(call);
        return found;
    }

    const ResampleInput& input_;
    bool replicate_;
    const Columns& columns_;
    int stride_;
    Vector<double> memory_;
    Vector<int> held_;  // the row in each slot
    Vector<std::uint8_t> out_;
};

}  // namespace

void Resampler::grid(const ResampleInput& input, const GridAxis& rows, const GridAxis& columns, const Image& output,
                     int threads, Watch& watch) const {
    const Columns grouped(columns);
    const int bands = (rows.count + kBandRows - 1) / kBandRows;
    const auto work = [&](int number, int) {
        Band band(input, replicate_, grouped);
        const int end = std::min((number + 1) * kBandRows, rows.count);
        for (int row = number * kBandRows; row < end && !watch.over(); ++row)
            band.row(numbers_, kernels_, rows.first[row], rows.distance[row], columns.count, output.at(row, 0));
    };
    run_parallel(bands, std::min(useful_threads(threads), bands), work, &watch);
}

void Resampler::points(const ResampleInput& input, const Points& points, const Image& output, int threads,
                       Watch& watch) const {
    const auto work = [&](int row, int) {
        std::array<std::array<std::uint8_t, kPointsAtOnce>, 4> results;
        for (int first = 0; first < points.width && !watch.over(); first += kPointsAtOnce) {
            const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * points.width + first;
            const int count = std::min(kPointsAtOnce, points.width - first);
            const std::uint8_t* lines[4] = {};
            for (int channel = 0; channel < input.channels; ++channel) {
                PointCall call{&numbers_,
                               {},
                               input.height,
                               input.width,
                               replicate_,
                               points.top + at,
                               points.left + at,
                               points.down + at,
                               points.across + at,
                               count,
                               results[channel].data()};
                for (int plane = 0; plane < 4; ++plane) call.planes[plane] = input.plane(channel, plane);
                kernels_.resample.points(call);
                lines[channel] = results[channel].data();
            }
            kernels_.join_line(lines, input.channels, count, output.data + at * input.channels);
        }
    };
    run_parallel(points.height, std::min(useful_threads(threads), points.height), work, &watch);
}

}  // namespace lutra
