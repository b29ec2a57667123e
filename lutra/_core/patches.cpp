// Square patches out of images that lie one after the other, flipped and transposed: for the batches of a training.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstring>

#include "bind.hpp"
#include "pool.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
namespace {

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Patches = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

void gather_patches(const Bytes& data, const Indices& starts, const Indices& strides, const Indices& turns,
                    const Patches& out, int threads) {
    const auto size = static_cast<std::int64_t>(data.shape(0)), side = static_cast<std::int64_t>(out.shape(1));
    const std::size_t count = out.shape(0);
    if (starts.shape(0) != count || strides.shape(0) != count || turns.shape(0) != count ||
        out.shape(2) != out.shape(1))
        throw nb::value_error("patches: lists of different lengths, or patches that are not square");
    if (threads < 1 || threads > 1024 || count > (1u << 30)) throw nb::value_error("patches: threads out of range");
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t start = starts.data()[i], stride = strides.data()[i];
        if (start < 0 || stride < side || side < 1 || start > size || (size - start - side) / stride < side - 1 ||
            size - start < side)
            throw nb::value_error("patches: a patch lies beyond the data");
    }
    const Unlocked unlocked;
    run_parallel(static_cast<int>(count), threads, [&](int task, int) {
        const std::uint8_t* from = data.data() + starts.data()[task];
        std::int64_t down = strides.data()[task], across = 1;
        const std::int64_t turn = turns.data()[task];
        if (turn & 1) {
            from += (side - 1) * down;
            down = -down;
        }
        if (turn & 2) {
            from += side - 1;
            across = -1;
        }
        if (turn & 4) std::swap(down, across);
        std::uint8_t* to = out.data() + task * side * side;
        for (std::int64_t y = 0; y < side; ++y, from += down)
            for (std::int64_t x = 0; x < side; ++x) *to++ = from[x * across];
    });
}

}  // namespace

void bind_patches(nb::module_& module) {
    module.def("gather_patches", &gather_patches, "data"_a, "starts"_a, "strides"_a, "turns"_a, "out"_a, "threads"_a);
}

}  // namespace lutra
