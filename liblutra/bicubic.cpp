// See bicubic.hpp.
#include "bicubic.hpp"

#include <algorithm>
#include <array>

namespace lutra {
namespace {

constexpr int kBits = 22;  // of the fraction of a weight

// Keys' cubic convolution with a = -1/2.
double cubic(double x) {
    if (x < 0) x = -x;
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
}

std::int32_t fixed(double weight) {
    return static_cast<std::int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits));
}

std::uint8_t to_byte(std::int64_t sum) {
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> kBits, 0, 255));
}

}  // namespace

Bicubic::Bicubic(int from, int to, const Span& wanted) : reads_{from, 0} {
    const double scale = static_cast<double>(from) / to, stretch = std::max(scale, 1.0), reach = 2 * stretch;
    Vector<double> weights;
    for (int output = wanted.begin; output < wanted.end; ++output) {
        const double centre = (output + 0.5) * scale, inverse = 1 / stretch;
        const int first = std::max(0, static_cast<int>(centre - reach + 0.5));
        const int end = std::min(from, static_cast<int>(centre + reach + 0.5));
        double total = 0;
        weights.clear();
        for (int x = first; x < end; ++x) {
            weights.push_back(cubic((x - centre + 0.5) * inverse));
            total += weights.back();
        }
        outputs_.push_back({first, end - first, weights_.size()});
        for (const double weight : weights) weights_.push_back(fixed(total != 0 ? weight / total : weight));
        reads_ = {std::min(reads_.begin, first), std::max(reads_.end, end)};
    }
    for (Output& output : outputs_) output.first -= reads_.begin;
}

void Bicubic::columns(const Image& from, const Image& to, int threads) const {
    const int channels = from.channels;
    const auto work = [&](int row, int) {
        std::uint8_t* out = to.at(row, 0);
        for (const Output& output : outputs_)
            for (int channel = 0; channel < channels; ++channel) {
                const std::uint8_t* pixel = from.at(row, output.first) + channel;
                const std::int32_t* weight = weights_.data() + output.weight;
                std::int64_t sum = 1 << (kBits - 1);
                for (int tap = 0; tap < output.count; ++tap, pixel += channels)
                    sum += std::int64_t{weight[tap]} * *pixel;
                *out++ = to_byte(sum);
            }
    };
    run_parallel(from.height, threads, work);
}

void Bicubic::rows(const Image& from, const Image& to, int threads) const {
    constexpr int kBlock = 256;
    const int values = from.width * from.channels;
    const auto work = [&](int row, int) {
        const Output& output = outputs_[row];
        const std::int32_t* weight = weights_.data() + output.weight;
        for (int x = 0; x < values; x += kBlock) {
            const int count = std::min(kBlock, values - x);
            std::array<std::int64_t, kBlock> sums;
            sums.fill(1 << (kBits - 1));
            for (int tap = 0; tap < output.count; ++tap) {
                const std::uint8_t* pixels = from.at(output.first + tap, 0) + x;
                for (int i = 0; i < count; ++i) sums[i] += std::int64_t{weight[tap]} * pixels[i];
            }
            std::transform(sums.begin(), sums.begin() + count, to.at(row, 0) + x, to_byte);
        }
    };
    run_parallel(to.height, threads, work);
}

}  // namespace lutra
