// See layers_region.hpp, and region.cpp for how rows are kept. A plane's row holds all of its channels, for every
// channel of the image.
//
// The rotations of a model are chains of operations that read one another's planes little: each chain runs a block of
// rows before the next does, for one channel of the image, so that its planes and its tables stay in the second-level
// cache. In a chain operations take turns after a few rows.
#include "layers_region.hpp"

#include <algorithm>
#include <numeric>

namespace lutra {
namespace {

constexpr int kSlack = 2 * kChunk;  // kernels work on whole chunks and look beyond them

// The inputs of 3x3 taps in the order of their columns, then rows; none where an output reads others.
std::vector<int> window_of(const std::vector<Source>& inputs) {
    std::vector<int> order(9);
    std::iota(order.begin(), order.end(), 0);
    if (inputs.size() % 9 != 0 || inputs.empty()) return {};
    const auto place = [&](int i) { return std::pair(inputs[i].column, inputs[i].row); };
    std::sort(order.begin(), order.end(), [&](int a, int b) { return place(a) < place(b); });
    for (int i = 0; i < 9; ++i) {
        const auto [column, row] = place(order[i / 3 * 3]);
        if (place(order[i]) != std::pair(column, row + i % 3) || row != inputs[order[0]].row) return {};
    }
    for (std::size_t i = 9; i < inputs.size(); ++i)
        if (place(static_cast<int>(i)) != place(static_cast<int>(i % 9)) || inputs[i].plane != inputs[0].plane)
            return {};
    return order;
}

// An odd number of cache lines: the channels of a pixel share no set of a cache.
std::ptrdiff_t row_stride(int size) { return ((size + 63) / 64 | 1) * 64; }

}  // namespace

LayerWorkspace::LayerWorkspace(const LayerPlan& plan, int channels, int width)
    : plan_(plan),
      channels_(channels),
      colours_(plan.planes[0].channels),
      apart_(channels / colours_),
      width_(width),
      margin_((plan.planes[0].margin + kMaxReach + 64) / 64 * 64),
      stride_(row_stride(width + 2 * margin_ + kSlack)),
      out_stride_(row_stride((width + kSlack) * plan.scale)),
      out_(static_cast<std::size_t>(out_stride_ * plan.scale * 4 * kBlockRows)),
      scratch_(new LayerScratch()) {
    for (const LayerPlane& plane : plan.planes)
        planes_.emplace_back(static_cast<std::size_t>(stride_ * apart_ * plane.channels * plane.rows));
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
        return Place{line, static_cast<std::int32_t>(source.channel * stride_ + source.column)};
    };
    for (const Source& source : operation.inputs) found.inputs.push_back(place(source));
    for (const Source& source : operation.adds) found.adds.push_back(place(source));
    const int layer = operation.layer;
    if (layer >= 0 && plan_.layers[layer].inputs == 9 && plan_.packed[layer].combined == 1)
        found.window = window_of(operation.inputs);
    return found;
}

LayerWorkspace::Columns LayerWorkspace::columns(int margin) const {
    return {std::max(0, wanted_.left - margin), std::min(input_.width, wanted_.right + margin)};
}

std::uint8_t* LayerWorkspace::line(int plane, int row, int channel) const {
    const LayerPlane& kept = plan_.planes[plane];
    const int slot = row % kept.rows * apart_ + channel;
    return planes_[plane].data() + static_cast<std::ptrdiff_t>(slot) * kept.channels * stride_ + margin_;
}

void LayerWorkspace::extend(int plane, int row, int channel, Columns filled) const {
    const int pad = plan_.planes[plane].pad, width = input_.width;
    if (pad == 0 || (filled.begin > 0 && filled.end < width)) return;
    std::uint8_t* pixel = line(plane, row, channel) - wanted_.left;
    const auto from = [&](int position) {
        return plan_.reflect ? inside(position, width, true) : position < 0 ? 0 : width - 1;
    };
    for (int i = 0; i < plan_.planes[plane].channels; ++i, pixel += stride_) {
        for (int left = -1; filled.begin == 0 && left >= -pad; --left) pixel[left] = pixel[from(left)];
        for (int right = width; filled.end == width && right < width + pad; ++right) pixel[right] = pixel[from(right)];
    }
}

void LayerWorkspace::read_row(int row) {
    const Columns range = columns(plan_.planes[0].margin);
    std::uint8_t* rows[4] = {};
    for (int channel = 0; channel < channels_; ++channel)
        rows[channel] = line(0, row, channel / colours_) + channel % colours_ * stride_ + (range.begin - wanted_.left);
    read_pixels(*kernels_, input_, row, range.begin, range.end - range.begin, channels_, rows);
    for (int channel = 0; channel < apart_; ++channel) extend(0, row, channel, range);
}

void LayerWorkspace::run(std::size_t number, int row, int rows, int channel) {
    const Operation& operation = plan_.operations[number];
    const Reading& reading = readings_[number];
    const LayerKernels& kernels = kernels_->layers;
    const Columns range = columns(operation.margin);
    const int first = range.begin - wanted_.left, count = range.end - range.begin;
    lines_.clear();
    for (int i = row; i < row + rows; ++i)
        for (const auto& [plane, offset] : reading.lines)
            lines_.push_back(line(plane, inside(i + offset, input_.height, plan_.reflect), channel) + first);
    LayerCall call{};
    call.operation = &operation;
    call.inputs = reading.inputs.data();
    call.adds = reading.adds.data();
    call.window = reading.window.empty() ? nullptr : reading.window.data();
    call.lines = lines_.data();
    call.line_count = static_cast<int>(reading.lines.size());
    call.stride = stride_;
    call.rows = rows;
    call.count = count;
    call.scratch = scratch_.get();
    std::uint8_t* out[kRowsAtOnce];
    call.out = out;
    for (int i = 0; i < rows; ++i)
        out[i] = operation.writes.empty() ? output_line(row + i, channel)
                                          : line(operation.writes[0], row + i, channel) + first;
    if (operation.kind == Operation::Kind::merge) {
        call.stride = 4 * out_stride_;
        call.add_count = static_cast<int>(reading.adds.size()) / colours_;
        for (int colour = 0; colour < colours_; ++colour) {
            kernels.merge(call);
            call.inputs += reading.inputs.size() / colours_;
            call.adds += call.add_count;
            for (int i = 0; i < rows; ++i) out[i] += out_stride_;
        }
        return;
    }
    if (operation.kind == Operation::Kind::split) {
        for (int i = 0; i < rows; ++i) {
            std::uint8_t* low = line(operation.writes[1], row + i, channel) + first;
            for (int from = 0; from < static_cast<int>(reading.inputs.size()); ++from)
                kernels.split(operation, call.input(i, from), count, out[i] + from * stride_, low + from * stride_);
        }
    } else {
        call.outputs = plan_.planes[operation.writes[0]].channels;
        call.add_count = static_cast<int>(reading.adds.size()) / call.outputs;
        if (operation.layer >= 0) call.layer = &plan_.layers[operation.layer];
        if (operation.layer >= 0) call.packed = &plan_.packed[operation.layer];
        kernels.sum(call);
    }
    for (const int plane : operation.writes)
        for (int i = 0; i < rows; ++i) extend(plane, row + i, channel, range);
}

std::uint8_t* LayerWorkspace::output_line(int row, int channel) const {
    return out_.data() + (row % kBlockRows * plan_.scale * 4 + channel) * out_stride_;
}

std::pair<int, int> LayerWorkspace::needed(int row, int rows, int margin) const {
    const int top = std::max({row, 0, wanted_.top - margin});
    return {top, std::min({row + rows, input_.height, wanted_.bottom + margin}) - top};
}

std::size_t LayerWorkspace::run_chain(std::size_t first, int row, int channel) {
    const int chain = plan_.operations[first].chain;
    std::size_t end = first;
    while (end < readings_.size() && plan_.operations[end].chain == chain) ++end;
    for (int i = 0; i < kBlockRows; i += kRowsAtOnce)
        for (std::size_t number = first; number < end; ++number) {
            const Operation& operation = plan_.operations[number];
            const auto [top, rows] = needed(row + i - operation.lag, kRowsAtOnce, operation.margin);
            if (rows > 0) run(number, top, rows, channel);
        }
    return end;
}

void LayerWorkspace::write_rows(int row) {
    const int scale = plan_.scale;
    for (int i = 0; i < scale; ++i) {
        const std::uint8_t* rows[4] = {};
        for (int channel = 0; channel < channels_; ++channel)
            rows[channel] = output_line(row, channel) + i * 4 * out_stride_;
        const int left = wanted_.left * scale, count = (wanted_.right - wanted_.left) * scale;
        write_pixels(*kernels_, output_, row * scale + i, left, count, channels_, rows);
    }
}

void LayerWorkspace::restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                             Watch& watch) {
    kernels_ = &kernels;
    input_ = input;
    output_ = output;
    wanted_ = wanted;
    const int lag = plan_.operations.back().lag;
    for (int row = std::max(0, wanted.top - plan_.planes[0].margin); row < wanted.bottom + lag; row += kBlockRows) {
        const auto [read, reads] = needed(row, kBlockRows, plan_.planes[0].margin);
        for (int i = 0; i < reads; ++i) read_row(read + i);
        for (int channel = 0; channel < apart_; ++channel)
            for (std::size_t number = 0; number < readings_.size();) {
                if (watch.over()) return;
                number = run_chain(number, row, channel);
            }
        const auto [written, writes] = needed(row - lag, kBlockRows, 0);
        for (int i = 0; i < writes; ++i) write_rows(written + i);
    }
}

}  // namespace lutra
