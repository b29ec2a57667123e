// The Python module: a plan is built unit by unit, checked, and run with the GIL released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind.hpp"
#include "builders.hpp"
#include "engine.hpp"
#include "layers_region.hpp"
#include "region.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using lutra::require;

namespace {

using Input = nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Planes = nb::ndarray<std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

// Checks an image and a number of threads. The input is only read: Image serves both ways.
lutra::Image image_of(const Input& input, int threads) {
    constexpr std::size_t most = std::size_t{1} << 27;
    const std::size_t height = input.shape(0), width = input.shape(1), channels = input.shape(2);
    require(height >= 1 && width >= 1 && height <= most && width <= most, "image: a side out of range");
    require(channels >= 1 && channels <= 4, "image: expected 1 to 4 channels");
    require(threads >= 1 && threads <= 1024, "threads out of range");
    return {const_cast<std::uint8_t*>(input.data()), static_cast<int>(height), static_cast<int>(width),
            static_cast<int>(channels), static_cast<std::ptrdiff_t>(width * channels)};
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
    run(engine, in,
        {output.data(), in.height * engine.scale(), in.width * engine.scale(), in.channels, in.stride * engine.scale()},
        threads);
}

// The planes of a program that has outputs, [channel][plane][row][column].
void planes(lutra::Engine& engine, const Input& input, const Planes& output, int threads) {
    const lutra::Image in = image_of(input, threads);
    require(engine.outputs() >= 1 && output.shape(0) == input.shape(2) &&
                output.shape(1) == static_cast<std::size_t>(engine.outputs()) && output.shape(2) == input.shape(0) &&
                output.shape(3) == input.shape(1),
            "output: its shape does not fit the image's planes");
    run(engine, in, {output.data(), in.height, in.width, in.channels, in.width}, threads);
}

}  // namespace

NB_MODULE(_lutra, module) {
    // Python keeps plans in caches that live as long as the process.
    nb::set_leak_warnings(false);
    module.doc() = "The compiled core of lutra.engine";
    module.attr("sources") = LUTRA_SOURCES;  // SHA-256 of what it was built from
    lutra::bind_builders(module);
    lutra::bind_resample(module);
    nb::class_<lutra::Engine>(module, "Engine")
        .def(
            "__init__",
            [](lutra::Engine* engine, lutra::UnitBuilder& builder, const std::string& level) {
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
