// The part of the Python module that resamples planes by a kernel for every pixel.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>

#include "bind.hpp"
#include "engine.hpp"
#include "resample.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
namespace {

using Numbers = nb::ndarray<const double, nb::shape<3, 256>, nb::c_contig, nb::device::cpu>;
using Few = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Planes = nb::ndarray<const std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using RealPlanes = nb::ndarray<const double, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using RealSlopes = nb::ndarray<double, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Means = nb::ndarray<double, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using First = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FirstOfAll = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using DistanceOfAll = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Resampler made(const Numbers& numbers, const Few& powers, const Few& polynomial, bool replicate,
               const std::string& level) {
    require(powers.shape(0) == 16 && polynomial.shape(0) == 5, "resampler: expected 16 powers and 5 coefficients");
    KernelNumbers found{};
    std::copy_n(numbers.data(), 256, found.steepness);
    std::copy_n(numbers.data() + 256, 256, found.correlation);
    std::copy_n(numbers.data() + 512, 256, found.curve);
    std::copy_n(powers.data(), 16, found.powers);
    std::copy_n(polynomial.data(), 5, found.polynomial);
    return {found, replicate, best_kernels(level)};
}

ResampleInput input_of(const Planes& planes, const Output& output, int threads) {
    constexpr std::size_t most = std::size_t{1} << 27;
    require(planes.shape(0) >= 1 && planes.shape(0) <= 4 && planes.shape(1) == 4 && planes.shape(2) >= 1 &&
                planes.shape(2) <= most && planes.shape(3) >= 1 && planes.shape(3) <= most,
            "planes: expected 1 to 4 channels of 4 planes");
    require(output.shape(2) == planes.shape(0) && output.shape(0) >= 1 && output.shape(0) <= most &&
                output.shape(1) >= 1 && output.shape(1) <= most,
            "output: its shape does not fit the planes");
    require(threads >= 1 && threads <= 1024, "threads out of range");
    return {planes.data(), static_cast<int>(planes.shape(2)), static_cast<int>(planes.shape(3)),
            static_cast<int>(planes.shape(0))};
}

Image image_of(const Output& output) {
    const auto row = static_cast<std::ptrdiff_t>(output.shape(1) * output.shape(2));
    return {output.data(), static_cast<int>(output.shape(0)), static_cast<int>(output.shape(1)),
            static_cast<int>(output.shape(2)), row};
}

// Whether it is a distance from the first of two neighbours; the exponents of further ones would not fit.
bool is_near(double distance) { return distance >= 0 && distance <= 1.001; }

GridAxis axis_of(const First& first, const Few& distance, int size, std::size_t outputs) {
    require(first.shape(0) == outputs && distance.shape(0) == outputs, "grid: its size is not that of the output");
    for (std::size_t i = 0; i < outputs; ++i) {
        require(first.data()[i] >= (i ? first.data()[i - 1] : -1) && first.data()[i] < size,
                "grid: a neighbour out of order, or beyond the border");
        require(is_near(distance.data()[i]), "grid: a distance out of range");
    }
    return {first.data(), distance.data(), static_cast<int>(outputs)};
}

template <class Work>
void watched(Work work) {
    Unlocked unlocked;
    Watch watch([&unlocked] { return unlocked.signalled(); });
    work(watch);
    unlocked.lock();
    if (watch.stopped()) throw nb::python_error();
}

void grid(const Resampler& resampler, const Planes& planes, const First& top, const Few& down, const First& left,
          const Few& across, const Output& output, int threads) {
    const ResampleInput input = input_of(planes, output, threads);
    const GridAxis rows = axis_of(top, down, input.height, output.shape(0));
    const GridAxis columns = axis_of(left, across, input.width, output.shape(1));
    watched([&](Watch& watch) { resampler.grid(input, rows, columns, image_of(output), threads, watch); });
}

void points(const Resampler& resampler, const Planes& planes, const FirstOfAll& top, const DistanceOfAll& down,
            const FirstOfAll& left, const DistanceOfAll& across, const Output& output, int threads) {
    const ResampleInput input = input_of(planes, output, threads);
    const auto fits = [&](const auto& array) {
        return array.shape(0) == output.shape(0) && array.shape(1) == output.shape(1);
    };
    require(fits(top) && fits(down) && fits(left) && fits(across), "points: their number is not that of the output");
    for (std::size_t i = 0; i < down.size(); ++i)
        require(is_near(down.data()[i]) && is_near(across.data()[i]), "points: a distance out of range");
    const Points all{top.data(),
                     left.data(),
                     down.data(),
                     across.data(),
                     static_cast<int>(output.shape(0)),
                     static_cast<int>(output.shape(1))};
    watched([&](Watch& watch) { resampler.points(input, all, image_of(output), threads, watch); });
}

RealInput input_of(const RealPlanes& planes, const Means& means, int threads) {
    constexpr std::size_t most = std::size_t{1} << 27;
    const auto fits = [](std::size_t side) { return side >= 1 && side <= most; };
    require(planes.shape(1) == 4, "planes: expected 4 of every image");
    require(fits(planes.shape(0)) && fits(planes.shape(2)) && fits(planes.shape(3)), "planes: a size out of range");
    require(means.shape(0) == planes.shape(0) && fits(means.shape(1)) && fits(means.shape(2)) &&
                means.shape(0) * means.shape(1) <= most,
            "means: their shape does not fit the planes");
    require(threads >= 1 && threads <= 1024, "threads out of range");
    return {planes.data(), static_cast<int>(planes.shape(0)), static_cast<int>(planes.shape(2)),
            static_cast<int>(planes.shape(3))};
}

void means(const Resampler& resampler, const RealPlanes& planes, const First& top, const Few& down, const First& left,
           const Few& across, const Means& out, int threads) {
    const RealInput input = input_of(planes, out, threads);
    const GridAxis rows = axis_of(top, down, input.height, out.shape(1));
    const GridAxis columns = axis_of(left, across, input.width, out.shape(2));
    const Unlocked unlocked;
    resampler.means(input, rows, columns, out.data(), threads);
}

void slopes(const Resampler& resampler, const RealPlanes& planes, const First& top, const Few& down, const First& left,
            const Few& across, const Means& means, const Means& gradient, const RealSlopes& out, int threads) {
    const RealInput input = input_of(planes, means, threads);
    for (std::size_t axis = 0; axis < 4; ++axis) {
        require(out.shape(axis) == planes.shape(axis), "slopes: their shape is not that of the planes");
        require(axis == 3 || gradient.shape(axis) == means.shape(axis), "gradient: its shape is not that of the means");
    }
    const GridAxis rows = axis_of(top, down, input.height, means.shape(1));
    const GridAxis columns = axis_of(left, across, input.width, means.shape(2));
    const Unlocked unlocked;
    std::fill_n(out.data(), out.size(), 0.0);
    resampler.slopes(input, rows, columns, {means.data(), gradient.data(), out.data()}, threads);
}

}  // namespace

void bind_resample(nb::module_& module) {
    nb::class_<Resampler>(module, "Resampler")
        .def(
            "__init__",
            [](Resampler* self, const Numbers& numbers, const Few& powers, const Few& polynomial, bool replicate,
               const std::string& level) { new (self) Resampler(made(numbers, powers, polynomial, replicate, level)); },
            "numbers"_a, "powers"_a, "polynomial"_a, "replicate"_a, "level"_a = "")
        .def("grid", &grid, "planes"_a.noconvert(), "top"_a, "down"_a, "left"_a, "across"_a, "output"_a.noconvert(),
             "threads"_a)
        .def("means", &means, "planes"_a, "top"_a, "down"_a, "left"_a, "across"_a, "out"_a.noconvert(), "threads"_a)
        .def("slopes", &slopes, "planes"_a, "top"_a, "down"_a, "left"_a, "across"_a, "means"_a, "gradient"_a,
             "out"_a.noconvert(), "threads"_a)
        .def("points", &points, "planes"_a.noconvert(), "top"_a, "down"_a, "left"_a, "across"_a, "output"_a.noconvert(),
             "threads"_a);
}

}  // namespace lutra
