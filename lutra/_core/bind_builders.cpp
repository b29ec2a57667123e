// The part of the Python module that builds plans: Python's arrays become views.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include "bind.hpp"
#include "builders.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
namespace {

template <class T, class Shape>
using In = nb::ndarray<const T, Shape, nb::c_contig, nb::device::cpu>;
using Table = In<std::int8_t, nb::ndim<2>>;
using Weights = In<std::int16_t, nb::ndim<2>>;
using Entries = In<std::int16_t, nb::ndim<3>>;
using Sources = In<std::int32_t, nb::shape<-1, 4>>;
using Offsets = In<std::int32_t, nb::shape<4, -1, 2>>;
using Turned = In<std::int8_t, nb::shape<4, -1, -1>>;

template <class Viewed, class Array>
Viewed view(const Array& array) {
    Viewed viewed{array.data(), {}};
    for (std::size_t i = 0; i < viewed.shape.size(); ++i) viewed.shape[i] = array.shape(i);
    return viewed;
}

void bind_units(nb::module_& module) {
    using Four = std::array<int, 4>;
    using Pairs = std::array<std::pair<int, int>, 4>;
    using Builder = UnitBuilder;
    nb::class_<Builder>(module, "Builder")
        .def(nb::init<int, int, bool, int, int, int>(), "planes"_a, "scale"_a, "reflect"_a, "rounding"_a, "tap_bits"_a,
             "colours"_a = 1)
        .def("step", &Builder::step, "writes"_a, "divisor"_a, "offset"_a, "upscale"_a, "rotations"_a)
        .def(
            "fixed",
            [](Builder& plan, int plane, int previous, Four shares, Pairs offsets, Four layout, const Table& table,
               const std::vector<int>& turns) {
                plan.fixed(plane, previous, shares, offsets, layout, view<Builder::Table>(table), turns);
            },
            "plane"_a, "previous"_a, "shares"_a, "offsets"_a, "layout"_a, "table"_a, "turns"_a = std::vector<int>())
        .def(
            "sampled",
            [](Builder& plan, int plane, int previous, Four shares, const Weights& weights, Four layout,
               const Table& table) {
                plan.sampled(plane, previous, shares, view<Builder::Weights>(weights), layout,
                             view<Builder::Table>(table));
            },
            "plane"_a, "previous"_a, "shares"_a, "weights"_a, "layout"_a, "table"_a)
        .def(
            "coloured",
            [](Builder& plan, int plane, Four shifts, Pairs offsets, int colour, Four layout, const Table& table) {
                plan.coloured(plane, shifts, offsets, colour, layout, view<Builder::Table>(table));
            },
            "plane"_a, "shifts"_a, "offsets"_a, "colour"_a, "layout"_a, "table"_a)
        .def(
            "channel",
            [](Builder& plan, Four planes, Four layout, const Table& table) {
                plan.channel(planes, layout, view<Builder::Table>(table));
            },
            "planes"_a, "layout"_a, "table"_a)
        .def("outputs", &Builder::outputs, "planes"_a);
}

void bind_layers(nb::module_& module) {
    using Builder = LayerBuilder;
    const auto view_of = [](const Sources& sources) { return view<Builder::Sources>(sources); };
    nb::class_<Builder>(module, "LayerBuilder")
        .def(nb::init<int, bool, int>(), "scale"_a, "reflect"_a, "colours"_a = 1)
        .def("plane", &Builder::plane, "channels"_a, "low"_a, "high"_a)
        .def(
            "layer",
            [](Builder& plan, int low, int denominator, int divisor, bool shared, const Entries& entries) {
                return plan.layer(low, denominator, divisor, shared, view<Builder::Entries>(entries));
            },
            "low"_a, "denominator"_a, "divisor"_a, "shared"_a, "entries"_a)
        .def("chain", &Builder::chain)
        .def(
            "split",
            [view_of](Builder& plan, std::vector<int> writes, int offset, int bits, const Sources& inputs) {
                plan.split(std::move(writes), offset, bits, view_of(inputs));
            },
            "writes"_a, "offset"_a, "bits"_a, "inputs"_a)
        .def(
            "sum",
            [view_of](Builder& plan, int layer, int writes, int low, int high, const Sources& inputs,
                      const Sources& adds) { plan.sum(layer, writes, low, high, view_of(inputs), view_of(adds)); },
            "layer"_a, "writes"_a, "low"_a, "high"_a, "inputs"_a, "adds"_a)
        .def(
            "merge",
            [view_of](Builder& plan, int rotations, int divisor, int offset, const Sources& inputs,
                      const Sources& adds) { plan.merge(rotations, divisor, offset, view_of(inputs), view_of(adds)); },
            "rotations"_a, "divisor"_a, "offset"_a, "inputs"_a, "adds"_a);
}

void bind_residuals(nb::module_& module) {
    using Builder = ResidualBuilder;
    nb::class_<Builder>(module, "ResidualBuilder")
        .def(nb::init<int>(), "scale"_a)
        .def("step", &Builder::step, "upscale"_a, "low_bits"_a)
        .def(
            "table",
            [](Builder& plan, bool high, bool reflect, const Offsets& offsets, const Turned& entries) {
                plan.table(high, reflect, view<Builder::Offsets>(offsets), view<Builder::Entries>(entries));
            },
            "high"_a, "reflect"_a, "offsets"_a, "entries"_a);
}

}  // namespace

void bind_builders(nb::module_& module) {
    bind_units(module);
    bind_layers(module);
    bind_residuals(module);
}

}  // namespace lutra
