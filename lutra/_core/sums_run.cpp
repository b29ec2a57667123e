// See sums_run.hpp.
#include "sums_run.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace lutra {
namespace {

constexpr std::ptrdiff_t kBeyond = 2 * kChunk;  // kernels work on whole chunks

// Where the pixels of a turned image lie in the image that is not turned.
struct Turn {
    std::ptrdiff_t first, row, column;  // of pixel (0, 0), and from a pixel to the one below and to the right
    // height, width: of the turned image.
    Turn(std::ptrdiff_t height, std::ptrdiff_t width, int rotation) {
        switch (rotation) {
            case 1:
                first = height - 1, row = -1, column = height;
                break;
            case 2:
                first = height * width - 1, row = -width, column = -1;
                break;
            case 3:
                first = (width - 1) * height, row = 1, column = -height;
                break;
            default:
                first = 0, row = width, column = 1;
        }
    }
    std::ptrdiff_t at(std::ptrdiff_t y, std::ptrdiff_t x) const { return first + y * row + x * column; }
};

}  // namespace

SumsExtent SumsExtent::of(int height, int width, int pad) {
    SumsExtent extent{height, width, pad, width + 2 * std::ptrdiff_t{pad}, 0, 0};
    // A border of a border: kernels look at the windows of the pixels of the border too.
    const std::ptrdiff_t edge = pad * extent.stride + pad;
    extent.origin = kBeyond + 2 * edge;
    extent.size = 2 * kBeyond + 4 * edge + height * extent.stride + kChunk;
    return extent;
}

Window Window::of(const std::vector<std::pair<int, int>>& taps) {
    Window window;
    std::vector<std::vector<int>> runs;
    for (int tap = 0; tap < static_cast<int>(taps.size()); ++tap) {
        const auto [row, column] = taps[tap];
        const bool continues = tap > 0 && taps[tap - 1] == std::pair{row, column - 1} && runs.back().size() < 4;
        if (!continues) runs.emplace_back();
        runs.back().push_back(tap);
    }
    for (std::size_t first = 0; first < runs.size(); first += 4) {
        Group& group = window.groups.emplace_back();
        std::fill(std::begin(group.tap), std::end(group.tap), -1);
        for (std::size_t run = 0; run < 4; ++run) {
            const auto& own = runs[std::min(first + run, runs.size() - 1)];
            group.run[run] = taps[own.back()];
            if (first + run >= runs.size()) continue;
            for (std::size_t j = 0; j < own.size(); ++j) group.tap[4 * run + j] = own[own.size() - 1 - j];
        }
    }
    return window;
}

std::ptrdiff_t kernel_size(const SumsLayer& layer, const SumsStep& step) {
    if (layer.own)
        return static_cast<std::ptrdiff_t>(Window::of(step.taps).groups.size()) * layer.outputs * kLevels * kSumLanes;
    const int blocks = (layer.outputs + kSumLanes - 1) / kSumLanes;
    return std::ptrdiff_t{blocks} * layer.inputs * kLevels * kSumLanes;
}

std::ptrdiff_t kernel_place(const SumsLayer& layer, const Window& window, int input, int output, int row) {
    if (!layer.own) {
        const int block = output / kSumLanes;
        return ((std::ptrdiff_t{block} * layer.inputs + input) * kLevels + row) * kSumLanes + output % kSumLanes;
    }
    for (std::size_t group = 0; group < window.groups.size(); ++group)
        for (int lane = 0; lane < kSumLanes; ++lane)
            if (window.groups[group].tap[lane] == input)
                return ((static_cast<std::ptrdiff_t>(group) * layer.outputs + output) * kLevels + row) * kSumLanes +
                       lane;
    throw std::logic_error("sums: a tap without a lane");
}

SumsRun::SumsRun(const SumsNet& net, const SumsKernels& kernels)
    : net_(net), kernels_(kernels), stacks_(net.planes.size()), held_(net.planes.size(), -1) {
    windows_.resize(net.layers.size());
    for (const SumsStep& step : net.steps)
        if (step.layer >= 0 && net.layers[step.layer].own) windows_[step.layer] = Window::of(step.taps);
}

std::int8_t* SumsRun::plane(int number, int channel) {
    const SumsPlane& own = net_.planes[number];
    return room(stacks_[number].values, own.channels * extent_.size) + channel * extent_.size + extent_.origin;
}

float* SumsRun::gradient(int number) {
    int& held = held_[number];
    const std::ptrdiff_t size = net_.planes[number].channels * extent_.size;
    if (held < 0) {
        if (free_.empty()) {
            free_.push_back(static_cast<int>(buffers_.size()));
            buffers_.push_back(std::make_unique<AlignedArray<float>>());
        }
        held = free_.back();
        free_.pop_back();
        std::memset(room(*buffers_[held], size), 0, sizeof(float) * static_cast<std::size_t>(size));
    }
    return buffers_[held]->data() + extent_.origin;
}

void SumsRun::release(int number) {
    if (held_[number] >= 0) free_.push_back(held_[number]);
    held_[number] = -1;
}

void SumsRun::turned_image(const std::uint8_t* image, int rotation) {
    const std::ptrdiff_t size = std::ptrdiff_t{extent_.height} * extent_.width;
    std::uint8_t* to = room(image_, net_.colours() * size);
    const Turn turn{extent_.height, extent_.width, rotation};
    for (int colour = 0; colour < net_.colours(); ++colour, image += size)
        for (int y = 0; y < extent_.height; ++y)
            for (int x = 0; x < extent_.width; ++x) *to++ = image[turn.at(y, x)];
}

const std::int8_t* SumsRun::read(const SumsStep& step, int input, int output) {
    const int channels = net_.planes[step.reads].channels;
    const auto [row, column] = step.taps[step.dense ? input / channels : input];
    const int channel = step.dense ? input % channels : channels > 1 ? output : 0;
    return plane(step.reads, channel) + row * extent_.stride + column;
}

void SumsRun::extend(int number) {
    const int height = extent_.height, width = extent_.width, pad = net_.planes[number].reach;
    if (pad == 0) return;
    for (int channel = 0; channel < net_.planes[number].channels; ++channel) {
        std::int8_t* origin = plane(number, channel);
        for (int y = 0; y < height; ++y) {
            std::int8_t* line = origin + y * extent_.stride;
            for (int beyond = 1; beyond <= pad; ++beyond) {
                line[-beyond] = line[inside(-beyond, width, net_.reflect)];
                line[width - 1 + beyond] = line[inside(width - 1 + beyond, width, net_.reflect)];
            }
        }
        for (int y = -pad; y < height + pad; ++y) {
            if (y == 0) y = height;
            std::memcpy(origin + y * extent_.stride - pad,
                        origin + inside(y, height, net_.reflect) * extent_.stride - pad,
                        static_cast<std::size_t>(width) + 2 * pad);
        }
    }
}

void SumsRun::split(const SumsStep& step) {
    const std::uint8_t* from = image_.data();
    for (int colour = 0; colour < net_.colours(); ++colour) {
        std::int8_t *high = plane(step.writes, colour), *low = plane(step.low_plane, colour);
        for (int y = 0; y < extent_.height; ++y)
            for (int x = 0; x < extent_.width; ++x) {
                const int value = *from++ + step.offset, at = static_cast<int>(y * extent_.stride + x);
                high[at] = static_cast<std::int8_t>(value >> step.bits);
                low[at] = static_cast<std::int8_t>(value & ((1 << step.bits) - 1));
            }
    }
    extend(step.writes);
    extend(step.low_plane);
}

void SumsRun::sum(const SumsStep& step, const std::vector<SumsTables>& tables, bool keeps) {
    const SumsPlane& written = net_.planes[step.writes];
    const int adds = static_cast<int>(step.adds.size());
    read_.clear(), added_.clear(), out_.clear(), passed_.clear();
    if (keeps) room(stacks_[step.writes].passed, written.channels * extent_.size);
    for (int o = 0; o < written.channels; ++o) {
        out_.push_back(plane(step.writes, o));
        if (keeps) passed_.push_back(stacks_[step.writes].passed.data() + o * extent_.size + extent_.origin);
        for (const int add : step.adds) added_.push_back(plane(add, net_.planes[add].channels > 1 ? o : 0));
        for (int i = 0; i < step.inputs; ++i) read_.push_back(read(step, i, o));
    }
    SumsForward call;
    call.read = read_.data();
    call.tables = step.layer < 0 ? nullptr : tables[step.layer].bytes.data();
    call.added = added_.data();
    call.out = out_.data();
    call.passed = keeps ? passed_.data() : nullptr;
    call.inputs = step.inputs;
    call.outputs = written.channels;
    call.adds = adds;
    call.count = (extent_.height - 1) * extent_.stride + extent_.width;
    call.quotient = step.quotient;
    call.low = written.low;
    call.high = written.high;
    kernels_.forward(call);
    extend(step.writes);
}

void SumsRun::shift(const SumsStep& step) {
    for (int channel = 0; channel < net_.planes[step.writes].channels; ++channel) {
        const auto [row, column] = step.taps[channel];
        std::memcpy(plane(step.writes, channel),
                    plane(step.reads, step.sources[channel]) + row * extent_.stride + column,
                    static_cast<std::size_t>((extent_.height - 1) * extent_.stride + extent_.width));
    }
    extend(step.writes);
}

void SumsRun::merge(int rotation, float* out) {
    const int scale = net_.merge.upscale;
    const Turn turn{extent_.height * scale, extent_.width * scale, rotation};
    for (int channel = 0; channel < net_.planes[net_.merge.reads].channels; ++channel) {
        const int colour = channel / (scale * scale), p = channel / scale % scale, q = channel % scale;
        const std::int8_t* from = plane(net_.merge.reads, channel);
        for (int y = 0; y < extent_.height; ++y, from += extent_.stride) {
            float* to = out + colour * out_size() + turn.at(y * scale + p, q);
            for (int x = 0; x < extent_.width; ++x, to += scale * turn.column) *to += from[x];
        }
    }
}

std::ptrdiff_t SumsRun::out_size() const {
    const int scale = net_.merge.upscale;
    return std::ptrdiff_t{extent_.height} * extent_.width * scale * scale;
}

void SumsRun::merge_back(int rotation, const float* gradient_out) {
    const int scale = net_.merge.upscale;
    const Turn turn{extent_.height * scale, extent_.width * scale, rotation};
    float* to = gradient(net_.merge.reads);
    for (int channel = 0; channel < net_.planes[net_.merge.reads].channels; ++channel, to += extent_.size) {
        const int colour = channel / (scale * scale), p = channel / scale % scale, q = channel % scale;
        for (int y = 0; y < extent_.height; ++y) {
            const float* from = gradient_out + colour * out_size() + turn.at(y * scale + p, q);
            for (int x = 0; x < extent_.width; ++x, from += scale * turn.column) to[y * extent_.stride + x] = *from;
        }
    }
}

void SumsRun::forward(const std::uint8_t* image, int height, int width, int rotation,
                      const std::vector<SumsTables>& tables, float* out, bool keeps) {
    const bool lies = rotation % 2 == 1;
    extent_ = SumsExtent::of(lies ? width : height, lies ? height : width, net_.pad);
    turned_image(image, rotation);
    for (const SumsStep& step : net_.steps) {
        if (step.kind == SumsKind::split) split(step);
        if (step.kind == SumsKind::sum) sum(step, tables, keeps);
        if (step.kind == SumsKind::shift) shift(step);
    }
    if (out) merge(rotation, out);
}

}  // namespace lutra
