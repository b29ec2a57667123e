// See region.hpp. Step s runs `lag` rows behind the input, so that every row it looks down to is there; a plane keeps
// as many rows as its slowest reader looks back. Beyond the image a plane continues by its own border.
#include "region.hpp"

#include <algorithm>

namespace lutra {
namespace {

constexpr int kSlack = 2 * kChunk;  // kernels work on whole chunks and look beyond them
constexpr int kRowsUnwatched = 16;  // a few milliseconds of the slowest models

std::ptrdiff_t rounded_up(int size) { return (size + kChunk - 1) / kChunk * kChunk; }

}  // namespace

Workspace::Workspace(const Plan& plan, int channels, int width)
    : plan_(plan),
      channels_(channels),
      width_(width),
      margin_(plan.planes[0].margin + kMaxReach + 1),
      stride_(rounded_up(width + 2 * margin_ + kSlack)),
      out_stride_(rounded_up(width + kSlack) * plan.scale),
      out_(static_cast<std::size_t>(out_stride_ * plan.scale * 4)),
      lines_(new Lines[plan.planes.size() * plan.colours]()),
      scratch_(new Scratch()) {
    for (const Plane& plane : plan.planes)
        planes_.emplace_back(static_cast<std::size_t>(stride_ * channels * plane.rows));
}

Workspace::Columns Workspace::columns(int margin) const {
    return {std::max(0, wanted_.left - margin), std::min(input_.width, wanted_.right + margin)};
}

std::uint8_t* Workspace::line(int plane, int row, int channel) const {
    const int slot = row % plan_.planes[plane].rows;
    return planes_[plane].data() + (static_cast<std::ptrdiff_t>(slot) * channels_ + channel) * stride_ + margin_;
}

void Workspace::extend(int plane, int row, int channel, Columns filled) const {
    std::uint8_t* pixel = line(plane, row, channel) - wanted_.left;
    const int pad = plan_.planes[plane].pad, width = input_.width;
    for (int beyond = 1; beyond <= pad; ++beyond) {
        if (filled.begin == 0) pixel[-beyond] = pixel[inside(-beyond, width, plan_.reflect)];
        if (filled.end == width) pixel[width - 1 + beyond] = pixel[inside(width - 1 + beyond, width, plan_.reflect)];
    }
}

void Workspace::read_row(int row) {
    const Columns range = columns(plan_.planes[0].margin);
    std::uint8_t* rows[4] = {};
    for (int channel = 0; channel < channels_; ++channel)
        rows[channel] = line(0, row, channel) + (range.begin - wanted_.left);
    read_pixels(*kernels_, input_, row, range.begin, range.end - range.begin, channels_, rows);
    for (int channel = 0; channel < channels_; ++channel) extend(0, row, channel, range);
}

void Workspace::run_step(const Step& step, int row) {
    const Columns range = columns(step.margin);
    const int first = range.begin - wanted_.left;
    for (int channel = 0; channel < channels_; ++channel) {
        const auto point = [&](int plane, int reach) {
            for (int shift = 0; shift < plan_.colours; ++shift)  // colours of a pixel follow one another, in turn
                for (int dy = -reach; dy <= reach; ++dy) {
                    const int read = plan_.colours == 1 ? channel : (channel + shift) % plan_.colours;
                    lines_[plane + shift * plan_.planes.size()][kMaxReach + dy] =
                        line(plane, inside(row + dy, input_.height, plan_.reflect), read) + first;
                }
        };
        for (const Unit& unit : step.units) {
            for (int tap = 0; tap < (unit.taps == TapKind::channel ? 4 : 1); ++tap) point(unit.reads[tap], step.reach);
            if (unit.previous >= 0) point(unit.previous, step.reach);
        }
        std::uint8_t* out[64] = {};
        for (std::size_t i = 0; i < step.writes.size(); ++i) out[i] = line(step.writes[i], row, channel) + first;
        if (step.writes.empty())
            for (int i = 0; i < plan_.scale; ++i) out[i] = out_.data() + (i * 4 + channel) * out_stride_;
        kernels_->run_step({&step, lines_.get(), out, range.end - range.begin, scratch_.get(), channel});
        for (int plane : step.writes) extend(plane, row, channel, range);
    }
}

// The planes that are the result: [channel][plane][row][column].
void Workspace::write_planes(int row) const {
    std::uint8_t* to = output_.data + static_cast<std::ptrdiff_t>(row) * input_.width + wanted_.left;
    for (int channel = 0; channel < channels_; ++channel)
        for (int plane : plan_.outputs) {
            std::copy_n(line(plane, row, channel), wanted_.right - wanted_.left, to);
            to += static_cast<std::ptrdiff_t>(input_.height) * input_.width;
        }
}

void Workspace::write_rows(int row) {
    if (!plan_.outputs.empty()) return write_planes(row);
    const int scale = plan_.scale;
    for (int i = 0; i < scale; ++i) {
        const std::uint8_t* rows[4] = {};
        for (int channel = 0; channel < channels_; ++channel)
            rows[channel] = out_.data() + (i * 4 + channel) * out_stride_;
        const int left = wanted_.left * scale, count = (wanted_.right - wanted_.left) * scale;
        write_pixels(*kernels_, output_, row * scale + i, left, count, channels_, rows);
    }
}

void Workspace::restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                        Watch& watch) {
    kernels_ = &kernels;
    input_ = input;
    output_ = output;
    wanted_ = wanted;
    const auto needed = [&](int row, int margin) {
        return row >= std::max(0, wanted.top - margin) && row < std::min(input.height, wanted.bottom + margin);
    };
    const int end = wanted.bottom + plan_.steps.back().lag;
    const int begin = std::max(0, wanted.top - plan_.planes[0].margin);
    for (int row = begin; row < end; ++row) {
        if ((row - begin) % kRowsUnwatched == 0 && watch.over()) return;
        if (needed(row, plan_.planes[0].margin)) read_row(row);
        for (const Step& step : plan_.steps)
            if (needed(row - step.lag, step.margin)) run_step(step, row - step.lag);
        if (needed(row - plan_.steps.back().lag, 0)) write_rows(row - plan_.steps.back().lag);
    }
}

}  // namespace lutra
