// The part of the Python module that builds plans of layers.
#include "bind_layers.hpp"

#include <nanobind/stl/vector.h>

#include <utility>

#include "bind.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
namespace {

constexpr std::size_t kMostSources = 1 << 16;

std::vector<Source> read(const LayerBuilder::Sources& sources) {
    require(sources.shape(0) <= kMostSources, "plan: an operation reads too much");
    std::vector<Source> found;
    const std::int32_t* number = sources.data();
    for (std::size_t i = 0; i < sources.shape(0); ++i, number += 4)
        found.push_back({number[0], number[1], number[2], number[3]});
    return found;
}

}  // namespace

LayerBuilder::LayerBuilder(int scale, bool reflect, int colours) {
    plan_.scale = scale;
    plan_.reflect = reflect;
    plan_.planes.emplace_back().channels = colours;
}

int LayerBuilder::plane(int channels, int low, int high) {
    require(plan_.planes.size() < 4096, "plan: too many planes");
    LayerPlane& plane = plan_.planes.emplace_back();
    plane.channels = channels;
    plane.low = low;
    plane.high = high;
    return static_cast<int>(plan_.planes.size()) - 1;
}

int LayerBuilder::layer(int low, int denominator, int divisor, bool shared, const Entries& entries) {
    require(plan_.layers.size() < 256 && entries.shape(0) <= kMostInputs && entries.shape(1) <= kMostChannels &&
                entries.shape(2) <= kLevels,
            "plan: too many layers, or one that is too large");
    Layer& layer = plan_.layers.emplace_back();
    layer.inputs = static_cast<int>(entries.shape(0));
    layer.outputs = static_cast<int>(entries.shape(1));
    layer.levels = static_cast<int>(entries.shape(2));
    layer.low = low;
    layer.denominator = denominator;
    layer.divisor = divisor;
    layer.shared = shared;
    layer.entries.assign(entries.data(), entries.data() + entries.size());
    return static_cast<int>(plan_.layers.size()) - 1;
}

Operation& LayerBuilder::start(Operation::Kind kind, const Sources* inputs, const Sources* adds) {
    require(plan_.operations.size() < 1024, "plan: too many operations");
    Operation& operation = plan_.operations.emplace_back();
    operation.kind = kind;
    operation.chain = chain_;
    operation.inputs = read(*inputs);
    if (adds) operation.adds = read(*adds);
    return operation;
}

void LayerBuilder::split(std::vector<int> writes, int offset, int bits, const Sources& inputs) {
    Operation& operation = start(Operation::Kind::split, &inputs, nullptr);
    operation.writes = std::move(writes);
    operation.offset = offset;
    operation.bits = bits;
}

void LayerBuilder::sum(int layer, int writes, int low, int high, const Sources& inputs, const Sources& adds) {
    Operation& operation = start(Operation::Kind::sum, &inputs, &adds);
    operation.layer = layer;
    operation.writes = {writes};
    operation.low = low;
    operation.high = high;
}

void LayerBuilder::merge(int rotations, int divisor, int offset, const Sources& inputs, const Sources& adds) {
    Operation& operation = start(Operation::Kind::merge, &inputs, &adds);
    operation.upscale = plan_.scale;
    operation.rotations = rotations;
    operation.divisor = divisor;
    operation.offset = offset;
}

LayerPlan LayerBuilder::take() {
    require(!plan_.operations.empty(), "plan: used before, or without operations");
    LayerPlan plan = std::move(plan_);
    plan_ = {};
    plan.finish();
    return plan;
}

void bind_layers(nb::module_& module) {
    nb::class_<LayerBuilder>(module, "LayerBuilder")
        .def(nb::init<int, bool, int>(), "scale"_a, "reflect"_a, "colours"_a = 1)
        .def("plane", &LayerBuilder::plane, "channels"_a, "low"_a, "high"_a)
        .def("layer", &LayerBuilder::layer, "low"_a, "denominator"_a, "divisor"_a, "shared"_a, "entries"_a)
        .def("chain", &LayerBuilder::chain)
        .def("split", &LayerBuilder::split, "writes"_a, "offset"_a, "bits"_a, "inputs"_a)
        .def("sum", &LayerBuilder::sum, "layer"_a, "writes"_a, "low"_a, "high"_a, "inputs"_a, "adds"_a)
        .def("merge", &LayerBuilder::merge, "rotations"_a, "divisor"_a, "offset"_a, "inputs"_a, "adds"_a);
}

}  // namespace lutra
