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

void restore(lutra::Engine& engine, const Input& input, const Output& output, int threads) {
    constexpr std::size_t most = std::size_t{1} << 27;
    const std::size_t height = input.shape(0), width = input.shape(1), channels = input.shape(2);
    const auto scale = static_cast<std::size_t>(engine.scale());
    require(height >= 1 && width >= 1 && height <= most && width <= most, "image: a side out of range");
    require(channels >= 1 && channels <= 4, "image: expected 1 to 4 channels");
    require(output.shape(0) == height * scale && output.shape(1) == width * scale && output.shape(2) == channels,
            "output: its shape does not fit the image");
    require(threads >= 1 && threads <= 1024, "threads out of range");
    // The input is only read: Image serves both ways.
    const lutra::Image in{const_cast<std::uint8_t*>(input.data()), static_cast<int>(height), static_cast<int>(width),
                          static_cast<int>(channels), static_cast<std::ptrdiff_t>(width * channels)};
    const lutra::Image out{output.data(), in.height * engine.scale(), in.width * engine.scale(), in.channels,
                           in.stride * engine.scale()};
    lutra::Unlocked unlocked;
    lutra::Watch watch([&unlocked] { return unlocked.signalled(); });
    engine.restore(in, out, threads, watch);
    unlocked.lock();
    if (watch.stopped()) throw nb::python_error();
}

}  // namespace

NB_MODULE(_lutra, module) {
    // Python keeps plans in caches that live as long as the process.
    nb::set_leak_warnings(false);
    module.doc() = "The compiled core of lutra.engine";
    module.attr("sources") = LUTRA_SOURCES;  // SHA-256 of what it was built from
    lutra::bind_builders(module);
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
        .def("restore", &restore, "input"_a.noconvert(), "output"_a.noconvert(), "threads"_a);
    module.def("levels", &lutra::levels);
    lutra::bind_ensemble(module);
    lutra::bind_sums(module);
    lutra::bind_patches(module);
}
