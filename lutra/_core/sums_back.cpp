// The backward half of SumsRun; see sums_run.hpp.
#include <algorithm>

#include "sums_run.hpp"

namespace lutra {

// Adds the gradient of a plane's border to the pixels that it repeats.
void SumsRun::fold(int number) {
    const int height = extent_.height, width = extent_.width, pad = net_.planes[number].reach;
    if (pad == 0) return;
    float* origin = gradient(number);
    for (int channel = 0; channel < net_.planes[number].channels; ++channel, origin += extent_.size) {
        for (int y = -pad; y < height + pad; ++y) {
            if (y == 0) y = height;
            float* line = origin + y * extent_.stride;
            float* to = origin + inside(y, height, net_.reflect) * extent_.stride;
            for (int x = -pad; x < width + pad; ++x) to[x] += line[x];
            std::fill(line - pad, line + width + pad, 0.0f);
        }
        for (int y = 0; y < height; ++y) {
            float* line = origin + y * extent_.stride;
            for (int x = -pad; x < width + pad; ++x) {
                if (x == 0) x = width;
                line[inside(x, width, net_.reflect)] += line[x];
                line[x] = 0;
            }
        }
    }
}

void SumsRun::dense_back(const SumsStep& step, const SumsTables& tables, const float* from, float* to) {
    std::vector<const std::int8_t*> read;
    std::vector<const float*> gradients;
    std::vector<float*> wanted;
    const bool trained = net_.planes[step.reads].trained;
    float* slopes = trained ? gradient(step.reads) : nullptr;
    for (int i = 0; i < step.inputs; ++i) {
        read.push_back(this->read(step, i, 0));
        if (trained) wanted.push_back(slopes + (read[i] - plane(step.reads, 0)));
    }
    for (int o = 0; o < step.outputs; ++o) gradients.push_back(from + o * extent_.size);
    DenseBackward call;
    call.read = read.data();
    call.gradient = gradients.data();
    call.slopes = trained ? tables.slopes.data() : nullptr;
    call.table_gradient = to;
    call.read_gradient = wanted.data();
    call.inputs = step.inputs;
    call.outputs = step.outputs;
    call.blocks = (step.outputs + kSumLanes - 1) / kSumLanes;
    call.scale = 1.0f / static_cast<float>(step.quotient.divisor);
    call.count = (extent_.height - 1) * extent_.stride + extent_.width;
    kernels_.dense_backward(call);
}

void SumsRun::own_back(const SumsStep& step, const SumsTables& tables, const float* from, float* to) {
    float* wanted = gradient(step.reads);
    const std::ptrdiff_t edge = extent_.pad * extent_.stride + extent_.pad;
    const float* slopes = tables.slopes.data();
    for (const Window::Group& group : windows_[step.layer].groups)
        for (int o = 0; o < step.outputs; ++o, slopes += kLevels * kSumLanes, to += kLevels * kSumLanes) {
            OwnBackward call;
            call.read = plane(step.reads, o) - edge;
            call.gradient = from + o * extent_.size - edge;
            call.slopes = slopes;
            call.table_gradient = to;
            call.read_gradient = wanted + o * extent_.size - edge;
            for (int run = 0; run < 4; ++run)
                call.runs[run] = -(group.run[run].first * extent_.stride + group.run[run].second);
            call.count = (extent_.height + 2 * extent_.pad) * extent_.stride;
            kernels_.own_backward(call);
        }
}

void SumsRun::sum_back(const SumsStep& step, const std::vector<SumsTables>& tables, const std::vector<float*>& to) {
    const SumsPlane& written = net_.planes[step.writes];
    float* from = gradient(step.writes);
    for (int o = 0; o < written.channels; ++o) {
        float* line = from + o * extent_.size;
        const std::uint8_t* passed = stacks_[step.writes].passed.data() + o * extent_.size + extent_.origin;
        for (int y = 0; y < extent_.height; ++y, line += extent_.stride, passed += extent_.stride)
            for (int x = 0; x < extent_.width; ++x) line[x] *= passed[x];
    }
    const std::ptrdiff_t count = (extent_.height - 1) * extent_.stride + extent_.width;
    for (const int add : step.adds) {
        if (!net_.planes[add].trained) continue;
        float* more = gradient(add);
        for (int o = 0; o < written.channels; ++o) {
            float* line = more + (net_.planes[add].channels > 1 ? o * extent_.size : 0);
            const float* own = from + o * extent_.size;
            for (std::ptrdiff_t i = 0; i < count; ++i) line[i] += own[i];
        }
    }
    if (step.layer < 0) return;
    if (net_.layers[step.layer].own) {
        const float by = 1.0f / static_cast<float>(step.quotient.divisor);
        for (int o = 0; o < written.channels; ++o)
            for (std::ptrdiff_t i = 0; i < count; ++i) from[o * extent_.size + i] *= by;
        own_back(step, tables[step.layer], from, to[step.layer]);
    } else {
        dense_back(step, tables[step.layer], from, to[step.layer]);
    }
}

void SumsRun::shift_back(const SumsStep& step) {
    if (!net_.planes[step.reads].trained) return;
    const float* from = gradient(step.writes);
    float* to = gradient(step.reads);
    const std::ptrdiff_t count = (extent_.height - 1) * extent_.stride + extent_.width;
    for (int channel = 0; channel < net_.planes[step.writes].channels; ++channel) {
        const auto [row, column] = step.taps[channel];
        float* line = to + step.sources[channel] * extent_.size + row * extent_.stride + column;
        const float* own = from + channel * extent_.size;
        for (std::ptrdiff_t i = 0; i < count; ++i) line[i] += own[i];
    }
}

void SumsRun::backward(int height, int width, int rotation, const std::vector<SumsTables>& tables,
                       const float* gradient_out, const std::vector<float*>& table_gradients) {
    const bool lies = rotation % 2 == 1;
    extent_ = SumsExtent::of(lies ? width : height, lies ? height : width, net_.pad);
    merge_back(rotation, gradient_out);
    for (auto step = net_.steps.rbegin(); step != net_.steps.rend(); ++step) {
        if (step->kind == SumsKind::split || held_[step->writes] < 0) continue;
        fold(step->writes);
        if (step->kind == SumsKind::sum) sum_back(*step, tables, table_gradients);
        if (step->kind == SumsKind::shift) shift_back(*step);
        release(step->writes);
    }
}

}  // namespace lutra
