// The Python module: a plan is built unit by unit, checked, and run with the GIL released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "bind.hpp"
#include "bind_layers.hpp"
#include "bind_residuals.hpp"
#include "engine.hpp"
#include "layers_region.hpp"
#include "region.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using lutra::require;

namespace {

using Table = nb::ndarray<const std::int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Weights = nb::ndarray<const std::int16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Input = nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Planes = nb::ndarray<std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

// A plan under construction.
class Builder {
  public:
    Builder(const Builder&) = delete;
    Builder(int planes, int scale, bool reflect, int rounding, int tap_bits) {
        require(planes >= 1 && planes <= 256, "plan: planes out of range");
        require(rounding >= 0 && rounding <= 2, "plan: rounding out of range");
        plan_.planes.resize(static_cast<std::size_t>(planes));
        plan_.scale = scale;
        plan_.reflect = reflect;
        plan_.rounding = static_cast<lutra::Rounding>(rounding);
        plan_.tap_bits = tap_bits;
    }

    void step(std::vector<int> writes, int divisor, int offset, int upscale, int rotations) {
        require(upscale >= 1 && upscale <= 8, "plan: upscale out of range");
        require(rotations == 1 || rotations == 4, "plan: 1 or 4 rotations");
        require(writes.size() <= 64 && plan_.steps.size() < 64, "plan: too many planes or steps");
        lutra::Step& step = plan_.steps.emplace_back();
        step.writes = std::move(writes);
        step.divisor = divisor;
        step.offset = offset;
        step.upscale = upscale;
        step.round_each = plan_.rounding != lutra::Rounding::exact && rotations > 1;
        step.round_apart = step.round_each && plan_.rounding == lutra::Rounding::branch;
        rotations_ = rotations;
    }

    void fixed(int plane, int previous, std::array<int, 4> shares, std::array<std::pair<int, int>, 4> offsets,
               std::array<int, 4> layout, Table table, const std::vector<int>& turns) {
        lutra::Unit unit = start(lutra::TapKind::fixed, previous, shares);
        unit.reads[0] = plane;
        lutra::set_offsets(unit, offsets, turns);
        require(turns.empty() || plan_.steps.back().upscale == 1, "plan: rotations of a unit that enlarges");
        add(std::move(unit), layout, table);
    }

    void sampled(int plane, int previous, std::array<int, 4> shares, Weights weights, std::array<int, 4> layout,
                 Table table) {
        lutra::Unit unit = start(lutra::TapKind::sampled, previous, shares);
        unit.reads[0] = plane;
        while (unit.kernel <= lutra::kMaxReach && unit.kernel * unit.kernel < static_cast<int>(weights.shape(1)))
            ++unit.kernel;
        require(weights.shape(0) == 4 && unit.kernel >= 1 && unit.kernel <= lutra::kMaxReach &&
                    unit.kernel * unit.kernel == static_cast<int>(weights.shape(1)),
                "plan: sampling weights of a window that is no square of 1..15");
        unit.reach = unit.kernel - 1;
        unit.weights.assign(weights.data(), weights.data() + weights.size());
        for (int tap = 0; tap < 4; ++tap) {
            int sum = 0;
            for (int i = 0; i < unit.kernel * unit.kernel; ++i) {
                const int weight = unit.weights[tap * unit.kernel * unit.kernel + i];
                require(weight >= 0, "plan: a sampling weight below zero");
                sum += weight;
            }
            require(sum == 1 << lutra::kWeightBits, "plan: sampling weights that do not sum to one");
        }
        add(std::move(unit), layout, table);
    }

    void channel(std::array<int, 4> planes, std::array<int, 4> layout, Table table) {
        lutra::Unit unit = start(lutra::TapKind::channel, -1, {});
        unit.reads = planes;
        unit.rotations = 1;
        add(std::move(unit), layout, table);
    }

    void outputs(std::vector<int> planes) {
        require(planes.size() <= 64, "plan: too many outputs");
        plan_.outputs = std::move(planes);
    }

    lutra::Plan take() {
        require(!plan_.steps.empty(), "plan: used before, or without steps");
        lutra::Plan plan = std::move(plan_);
        plan_ = {};
        plan.finish();
        return plan;
    }

  private:
    lutra::Unit start(lutra::TapKind taps, int previous, const std::array<int, 4>& shares) const {
        require(!plan_.steps.empty() && plan_.steps.back().units.size() < 64,
                "plan: a unit without a step, or too many");
        lutra::Unit unit;
        unit.taps = taps;
        unit.previous = previous < 0 ? -1 : previous;
        unit.rotations = rotations_;
        for (int tap = 0; tap < 4; ++tap) {
            require(shares[tap] >= 0 && shares[tap] <= 1024, "plan: a share out of range");
            unit.shares[tap] = shares[tap];
        }
        return unit;
    }

    void add(lutra::Unit unit, const std::array<int, 4>& layout, const Table& table) {
        unit.layout = {layout[0], layout[1], layout[2], layout[3]};
        unit.values = static_cast<int>(std::min<std::size_t>(table.shape(1), 65));
        lutra::check_layout(unit.layout, static_cast<std::int64_t>(table.shape(0)), unit.values);
        lutra::expand_nodes(unit, table.data());
        plan_.steps.back().units.push_back(std::move(unit));
    }

    lutra::Plan plan_;
    int rotations_ = 4;
};

// Checks an image and a number of threads. The input is only read: Image serves both ways.
lutra::Image image_of(const Input& input, int threads) {
    constexpr std::size_t most = std::size_t{1} << 27;
    const std::size_t height = input.shape(0), width = input.shape(1), channels = input.shape(2);
    require(height >= 1 && width >= 1 && height <= most && width <= most, "image: a side out of range");
    require(channels >= 1 && channels <= 4, "image: expected 1 to 4 channels");
    require(threads >= 1 && threads <= 1024, "threads out of range");
    return {const_cast<std::uint8_t*>(input.data()), static_cast<int>(height), static_cast<int>(width),
            static_cast<int>(channels)};
}

void run(lutra::Engine& engine, const lutra::Image& input, const lutra::Image& output, int threads) {
    lutra::Unlocked unlocked;
    lutra::Watch watch([&unlocked] { return unlocked.signalled(); });
    engine.restore(input, output, threads, watch);
    unlocked.lock();
    if (watch.stopped()) throw nb::python_error();
}

void restore(lutra::Engine& engine, const Input& input, const Output& output, int threads) {
    const lutra::Image in = image_of(input, threads);
    const auto scale = static_cast<std::size_t>(engine.scale());
    require(in.channels % engine.colours() == 0, "image: expected all colours of a pixel");
    require(output.shape(0) == input.shape(0) * scale && output.shape(1) == input.shape(1) * scale &&
                output.shape(2) == input.shape(2),
            "output: its shape does not fit the image");
    require(engine.outputs() == 0, "output: expected planes");
    run(engine, in, {output.data(), in.height * engine.scale(), in.width * engine.scale(), in.channels}, threads);
}

// The planes of a program that has outputs, [channel][plane][row][column].
void planes(lutra::Engine& engine, const Input& input, const Planes& output, int threads) {
    const lutra::Image in = image_of(input, threads);
    require(engine.outputs() >= 1 && output.shape(0) == input.shape(2) &&
                output.shape(1) == static_cast<std::size_t>(engine.outputs()) && output.shape(2) == input.shape(0) &&
                output.shape(3) == input.shape(1),
            "output: its shape does not fit the image's planes");
    run(engine, in, {output.data(), in.height, in.width, in.channels}, threads);
}

}  // namespace

NB_MODULE(_lutra, module) {
    // Python keeps plans in caches that live as long as the process.
    nb::set_leak_warnings(false);
    module.doc() = "The compiled core of lutra.engine";
    module.attr("sources") = LUTRA_SOURCES;  // SHA-256 of what it was built from
    lutra::bind_layers(module);
    lutra::bind_residuals(module);
    lutra::bind_resample(module);
    nb::class_<Builder>(module, "Builder")
        .def(nb::init<int, int, bool, int, int>(), "planes"_a, "scale"_a, "reflect"_a, "rounding"_a, "tap_bits"_a)
        .def("step", &Builder::step, "writes"_a, "divisor"_a, "offset"_a, "upscale"_a, "rotations"_a)
        .def("fixed", &Builder::fixed, "plane"_a, "previous"_a, "shares"_a, "offsets"_a, "layout"_a, "table"_a,
             "turns"_a = std::vector<int>())
        .def("sampled", &Builder::sampled, "plane"_a, "previous"_a, "shares"_a, "weights"_a, "layout"_a, "table"_a)
        .def("channel", &Builder::channel, "planes"_a, "layout"_a, "table"_a)
        .def("outputs", &Builder::outputs, "planes"_a);
    nb::class_<lutra::Engine>(module, "Engine")
        .def(
            "__init__",
            [](lutra::Engine* engine, Builder& builder, const std::string& level) {
                new (engine) lutra::Engine(std::make_unique<lutra::StepProgram>(builder.take()), level);
            },
            "builder"_a, "level"_a = "")
        .def(
            "__init__",
            [](lutra::Engine* engine, lutra::LayerBuilder& builder, const std::string& level) {
                new (engine) lutra::Engine(std::make_unique<lutra::LayerProgram>(builder.take()), level);
            },
            "builder"_a, "level"_a = "")
        .def(
            "__init__",
            [](lutra::Engine* engine, lutra::ResidualBuilder& builder, const std::string& level) {
                new (engine) lutra::Engine(std::make_unique<lutra::ResidualProgram>(builder.take()), level);
            },
            "builder"_a, "level"_a = "")
        .def_prop_ro("level", &lutra::Engine::level)
        .def_prop_ro("scale", &lutra::Engine::scale)
        .def_prop_ro("colours", &lutra::Engine::colours)
        .def("restore", &restore, "input"_a.noconvert(), "output"_a.noconvert(), "threads"_a)
        .def("planes", &planes, "input"_a.noconvert(), "output"_a.noconvert(), "threads"_a);
    module.def("levels", &lutra::levels);
    lutra::bind_ensemble(module);
    lutra::bind_sums(module);
    lutra::bind_patches(module);
}
