// Sums of one-dimensional tables for Python: built step by step, checked, and run with the GIL released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "bind.hpp"
#include "sums.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
namespace {

using Taps = std::vector<std::pair<int, int>>;
template <class T, int dimensions>
using In = nb::ndarray<const T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
template <class T, int dimensions>
using Out = nb::ndarray<T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;

constexpr std::size_t kMostSide = 1 << 14;

class SumsBinding {
  public:
    SumsBinding(const SumsBinding&) = delete;
    SumsBinding(bool reflect, int colours, std::string level) : level_(std::move(level)) {
        require(colours >= 1 && colours <= 4, "sums: colours out of range");
        net_.reflect = reflect;
        net_.planes.push_back({colours});
    }

    // Returns the numbers of the planes of high and low bits.
    std::pair<int, int> split(int offset, int bits) {
        require(bits >= 1 && bits <= 7 && offset >= -255 && offset <= 0, "sums: bits or offset out of range");
        SumsStep step;
        step.kind = SumsKind::split;
        step.writes = plane(net_.colours(), offset >> bits, (255 + offset) >> bits, false);
        step.low_plane = plane(net_.colours(), 0, (1 << bits) - 1, false);
        step.offset = offset;
        step.bits = bits;
        net_.steps.push_back(step);
        return {step.writes, step.low_plane};
    }

    int sum(int reads, Taps taps, bool dense, int channels, std::pair<int, int> bounds, int divisor,
            std::vector<int> adds) {
        require(channels >= 1 && channels <= kMostTerms, "sums: channels out of range");
        require(bounds.first >= -128 && bounds.second <= 127 && bounds.first < bounds.second, "sums: bounds");
        SumsStep step;
        bool trained = false;
        if (reads >= 0) {
            const SumsPlane read = checked(reads);
            require(read.high - read.low < kLevels, "sums: a layer reads a plane of more than 64 levels");
            const std::size_t inputs = taps.size() * (dense ? static_cast<std::size_t>(read.channels) : 1);
            require(!taps.empty() && inputs <= kMostTerms, "sums: taps");
            require(dense || read.channels == 1 || read.channels == channels, "sums: depthwise over channels");
            see(taps, reads);
            step.reads = reads;
            step.dense = dense;
            step.inputs = static_cast<int>(inputs);
            step.outputs = channels;
            step.layer = static_cast<int>(net_.layers.size());
            step.taps = std::move(taps);
            net_.layers.push_back(
                {step.inputs, channels, read.high - read.low + 1, read.low, !dense && read.channels > 1});
            trained = true;
        }
        require(adds.size() <= 8 && (reads >= 0 || !adds.empty()), "sums: planes to add");
        for (const int add : adds) {
            const SumsPlane& added = checked(add);
            require(added.channels == 1 || added.channels == channels, "sums: a plane to add has other channels");
            trained = trained || added.trained;
        }
        step.adds = std::move(adds);
        step.quotient = Quotient::of(divisor, step.inputs);
        step.writes = plane(channels, bounds.first, bounds.second, trained);
        net_.steps.push_back(std::move(step));
        return net_.steps.back().writes;
    }

    int shift(int reads, Taps offsets, std::vector<int> sources) {
        const SumsPlane read = checked(reads);
        require(!offsets.empty() && offsets.size() <= kMostTerms && offsets.size() == sources.size(),
                "sums: an offset for every channel");
        for (const int channel : sources) require(channel >= 0 && channel < read.channels, "sums: no such channel");
        see(offsets, reads);
        SumsStep step;
        step.kind = SumsKind::shift;
        step.reads = reads;
        step.writes = plane(static_cast<int>(offsets.size()), read.low, read.high, read.trained);
        step.taps = std::move(offsets);
        step.sources = std::move(sources);
        net_.steps.push_back(std::move(step));
        return net_.steps.back().writes;
    }

    void merge(int reads, int upscale, int rotations) {
        require(upscale >= 1 && upscale <= 8 && checked(reads).channels == net_.colours() * upscale * upscale,
                "sums: upscale");
        require(rotations == 1 || rotations == 4, "sums: 1 or 4 rotations");
        net_.merge = {reads, upscale, rotations};
        require(net_.planes[reads].trained, "sums: nothing to train");
        sums_ = std::make_unique<Sums>(std::move(net_), level_);
    }

    void forward(const In<std::uint8_t, 4>& images, const std::vector<In<std::int8_t, 3>>& tables,
                 const Out<float, 4>& out, int threads) {
        const SumsBatch batch = checked(images, out, threads);
        const auto from = pointers<const std::int8_t>(tables);
        const Unlocked unlocked;
        sums_->forward(batch, from, out.data(), threads);
    }

    void backward(const In<std::uint8_t, 4>& images, const std::vector<In<std::int8_t, 3>>& tables,
                  const std::vector<In<float, 3>>& slopes, const In<float, 4>& gradient,
                  const std::vector<Out<float, 3>>& gradients, int threads) {
        const SumsBatch batch = checked(images, gradient, threads);
        const auto from = pointers<const std::int8_t>(tables);
        const auto steep = pointers<const float>(slopes);
        const auto to = pointers<float>(gradients);
        const Unlocked unlocked;
        sums_->backward(batch, from, steep, gradient.data(), to, threads);
    }

  private:
    int plane(int channels, int low, int high, bool trained) {
        require(!sums_ && net_.planes.size() < 512, "sums: used already, or too many planes");
        net_.planes.push_back({channels, low, high, trained});
        return static_cast<int>(net_.planes.size()) - 1;
    }

    const SumsPlane& checked(int number) const {
        require(!sums_ && number >= 1 && number < static_cast<int>(net_.planes.size()), "sums: no such plane");
        return net_.planes[number];
    }

    void see(const Taps& taps, int plane) {
        for (const auto& [row, column] : taps) {
            require(std::abs(row) <= kMaxReach && std::abs(column) <= kMaxReach, "sums: an offset out of range");
            int& reach = net_.planes[plane].reach;
            reach = std::max({reach, std::abs(row), std::abs(column)});
            net_.pad = std::max(net_.pad, reach);
        }
    }

    template <class Array>
    SumsBatch checked(const In<std::uint8_t, 4>& images, const Array& outputs, int threads) const {
        require(sums_ != nullptr, "sums: it has no merge yet");
        const auto scale = static_cast<std::size_t>(sums_->net().merge.upscale);
        require(threads >= 1 && threads <= 1024, "threads out of range");
        require(images.shape(1) == static_cast<std::size_t>(sums_->net().colours()), "sums: other colours");
        require(images.shape(0) >= 1 && images.shape(2) >= 1 && images.shape(3) >= 1 &&
                    std::max({images.shape(0), images.shape(2), images.shape(3)}) <= kMostSide,
                "sums: images of no or too many pixels");
        require(outputs.shape(0) == images.shape(0) && outputs.shape(1) == images.shape(1) &&
                    outputs.shape(2) == images.shape(2) * scale && outputs.shape(3) == images.shape(3) * scale,
                "sums: outputs do not fit the images");
        return {images.data(), static_cast<int>(images.shape(0)), static_cast<int>(images.shape(2)),
                static_cast<int>(images.shape(3))};
    }

    template <class T, class Array>
    std::vector<T*> pointers(const std::vector<Array>& arrays) const {
        const auto& layers = sums_->net().layers;
        require(arrays.size() == layers.size(), "sums: another number of layers");
        std::vector<T*> found;
        for (std::size_t n = 0; n < layers.size(); ++n) {
            require(arrays[n].shape(0) == static_cast<std::size_t>(layers[n].inputs) &&
                        arrays[n].shape(1) == static_cast<std::size_t>(layers[n].outputs) &&
                        arrays[n].shape(2) == static_cast<std::size_t>(layers[n].levels),
                    "sums: a layer's vectors have another shape");
            found.push_back(arrays[n].data());
        }
        return found;
    }

    SumsNet net_;
    std::string level_;
    std::unique_ptr<Sums> sums_;
};

}  // namespace

void bind_sums(nb::module_& module) {
    nb::class_<SumsBinding>(module, "Sums")
        .def(nb::init<bool, int, std::string>(), "reflect"_a, "colours"_a = 1, "level"_a = "")
        .def("split", &SumsBinding::split, "offset"_a, "bits"_a)
        .def("sum", &SumsBinding::sum, "reads"_a, "taps"_a, "dense"_a, "channels"_a, "bounds"_a, "divisor"_a, "adds"_a)
        .def("shift", &SumsBinding::shift, "reads"_a, "offsets"_a, "sources"_a)
        .def("merge", &SumsBinding::merge, "reads"_a, "upscale"_a, "rotations"_a)
        .def("forward", &SumsBinding::forward, "images"_a, "tables"_a, "out"_a, "threads"_a)
        .def("backward", &SumsBinding::backward, "images"_a, "tables"_a, "slopes"_a, "gradient"_a, "gradients"_a,
             "threads"_a);
}

}  // namespace lutra
