// See layers_region.hpp, and region.cpp for how rows are kept. A plane's row holds all of its channels, for every channel
// of the image.
#include "layers_region.hpp"

#include <algorithm>

namespace lutra {
namespace {

constexpr int kSlack = 2 * kChunk;  // kernels work on whole chunks and look beyond them
constexpr int kRowsUnwatched = 16;

// An odd number of cache lines: the channels of a pixel share no set of a cache.
std::ptrdiff_t row_stride(int size) { return ((size + 63) / 64 | 1) * 64; }

}  // namespace

LayerWorkspace::LayerWorkspace(const LayerPlan& plan, int channels, int width)
    : plan_(plan),
      channels_(channels),
      width_(width),
      margin_((plan.planes[0].margin + kMaxReach + 64) / 64 * 64),
      stride_(row_stride(width + 2 * margin_ + kSlack)),
      out_stride_(row_stride((width + kSlack) * plan.scale)),
      out_(static_cast<std::size_t>(out_stride_ * plan.scale * 4)),
      scratch_(new LayerScratch()) {
    for (const LayerPlane& plane : plan.planes)
        planes_.emplace_back(static_cast<std::size_t>(stride_ * channels * plane.channels * plane.rows));
    for (const Operation& operation : plan.operations) readings_.push_back(reading(operation));
}

LayerWorkspace::Reading LayerWorkspace::reading(const Operation& operation) const {
    Reading found;
    const auto place = [&](const Source& source) {
        int line = 0;
        while (line < static_cast<int>(found.lines.size()) &&
               (found.lines[line].plane != source.plane || found.lines[line].row != source.row))
            ++line;
        if (line == static_cast<int>(found.lines.size())) found.lines.push_back({source.plane, source.row});
        return Reading::Place{line, source.channel * stride_ + source.column};
    };
    for (const Source& source : operation.inputs) found.inputs.push_back(place(source));
    for (const Source& source : operation.adds) found.adds.push_back(place(source));
    return found;
}

LayerWorkspace::Columns LayerWorkspace::columns(int margin) const {
    return {std::max(0, wanted_.left - margin), std::min(input_.width, wanted_.right + margin)};
}

std::uint8_t* LayerWorkspace::line(int plane, int row, int channel) const {
    const LayerPlane& kept = plan_.planes[plane];
    const int slot = row % kept.rows * channels_ + channel;
    return planes_[plane].data() + static_cast<std::ptrdiff_t>(slot) * kept.channels * stride_ + margin_;
}

void LayerWorkspace::extend(int plane, int row, int channel, Columns filled) const {
    const int pad = plan_.planes[plane].pad, width = input_.width;
    if (pad == 0 || (filled.begin > 0 && filled.end < width)) return;
    std::uint8_t* pixel = line(plane, row, channel) - wanted_.left;
    for (int i = 0; i < plan_.planes[plane].channels; ++i, pixel += stride_)
        for (int beyond = 1; beyond <= pad; ++beyond) {
            const int right = width - 1 + beyond;
            if (filled.begin == 0) pixel[-beyond] = pixel[inside(-beyond, width, plan_.reflect)];
            if (filled.end == width) pixel[right] = pixel[inside(right, width, plan_.reflect)];
        }
}

void LayerWorkspace::read_row(int row) {
    const Columns range = columns(plan_.planes[0].margin);
    std::uint8_t* rows[4] = {};
    for (int channel = 0; channel < channels_; ++channel)
        rows[channel] = line(0, row, channel) + (range.begin - wanted_.left);
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(row) * input_.width + range.begin;
    kernels_->split_line(input_.data + first * channels_, channels_, range.end - range.begin, rows);
    for (int channel = 0; channel < channels_; ++channel) extend(0, row, channel, range);
}

void LayerWorkspace::run(const Operation& operation, const Reading& reading, int row) {
    const Columns range = columns(operation.margin);
    const int first = range.begin - wanted_.left;
    for (int channel = 0; channel < channels_; ++channel) {
        lines_.clear();
        for (const auto& [plane, offset] : reading.lines)
            lines_.push_back(line(plane, inside(row + offset, input_.height, plan_.reflect), channel) + first);
        const auto point = [&](const std::vector<Reading::Place>& places, std::vector<const std::uint8_t*>& pointers) {
            pointers.clear();
            for (const auto& [number, offset] : places) pointers.push_back(lines_[number] + offset);
        };
        point(reading.inputs, inputs_);
        point(reading.adds, adds_);
        std::uint8_t* out[kMostChannels] = {};
        if (operation.kind == Operation::Kind::merge)
            for (int i = 0; i < plan_.scale; ++i) out[i] = out_.data() + (i * 4 + channel) * out_stride_;
        else if (operation.kind == Operation::Kind::split)
            for (int i = 0; i < 2; ++i) out[i] = line(operation.writes[i], row, channel) + first;
        else
            for (int i = 0; i < plan_.planes[operation.writes[0]].channels; ++i)
                out[i] = line(operation.writes[0], row, channel) + first + i * stride_;
        call(operation, out, range.end - range.begin);
        for (const int plane : operation.writes) extend(plane, row, channel, range);
    }
}

void LayerWorkspace::call(const Operation& operation, std::uint8_t* const* out, int count) {
    const LayerKernels& kernels = kernels_->layers;
    if (operation.kind == Operation::Kind::split) return kernels.split(operation, inputs_[0], count, out);
    if (operation.kind == Operation::Kind::merge)
        return kernels.merge({&operation, inputs_.data(), adds_.data(), out, count});
    const bool any = operation.layer >= 0;
    const int outputs = plan_.planes[operation.writes[0]].channels;
    kernels.sum({&operation, any ? &plan_.layers[operation.layer] : nullptr,
                 any ? &plan_.packed[operation.layer] : nullptr, inputs_.data(), adds_.data(), out, outputs,
                 static_cast<int>(adds_.size()) / outputs, count, scratch_.get()});
}

void LayerWorkspace::write_rows(int row) {
    const int scale = plan_.scale;
    for (int i = 0; i < scale; ++i) {
        const std::uint8_t* rows[4] = {};
        for (int channel = 0; channel < channels_; ++channel)
            rows[channel] = out_.data() + (i * 4 + channel) * out_stride_;
        const std::ptrdiff_t first =
            (static_cast<std::ptrdiff_t>(row) * scale + i) * output_.width + std::ptrdiff_t{wanted_.left} * scale;
        kernels_->join_line(rows, channels_, (wanted_.right - wanted_.left) * scale, output_.data + first * channels_);
    }
}

void LayerWorkspace::restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                             Watch& watch) {
    kernels_ = &kernels;
    input_ = input;
    output_ = output;
    wanted_ = wanted;
    const auto needed = [&](int row, int margin) {
        return row >= std::max(0, wanted.top - margin) && row < std::min(input.height, wanted.bottom + margin);
    };
    const Operation& last = plan_.operations.back();
    const int end = wanted.bottom + last.lag;
    const int begin = std::max(0, wanted.top - plan_.planes[0].margin);
    for (int row = begin; row < end; ++row) {
        if ((row - begin) % kRowsUnwatched == 0 && watch.over()) return;
        if (needed(row, plan_.planes[0].margin)) read_row(row);
        for (std::size_t i = 0; i < readings_.size(); ++i) {
            const Operation& operation = plan_.operations[i];
            if (needed(row - operation.lag, operation.margin)) run(operation, readings_[i], row - operation.lag);
        }
        if (needed(row - last.lag, 0)) write_rows(row - last.lag);
    }
}

}  // namespace lutra
