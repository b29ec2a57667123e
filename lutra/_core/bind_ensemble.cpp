// Ensembles for Python: built unit by unit, checked, and run with the GIL released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "bind.hpp"
#include "ensemble.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
namespace {

template <class T, int dimensions>
using In = nb::ndarray<const T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
template <class T, int dimensions>
using Out = nb::ndarray<T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
template <class Array>
using Maybe = std::vector<std::optional<Array>>;

constexpr std::int64_t kMostPixels = std::int64_t{1} << 31;

template <class T>
class EnsembleBinding {
  public:
    EnsembleBinding(const EnsembleBinding&) = delete;
    EnsembleBinding(int planes, int values, int upscale, int rotations, int rounding, bool reflect, int tap_bits,
                    std::string level)
        : planes_(planes), reflect_(reflect), level_(std::move(level)), rotations_(rotations) {
        require(planes >= 1 && planes <= 256, "ensemble: planes out of range");
        require(upscale >= 1 && upscale <= 8 && values >= 1 && values <= 64 && values % (upscale * upscale) == 0,
                "ensemble: values or upscale out of range");
        require(rotations == 1 || rotations == 4, "ensemble: 1 or 4 rotations");
        require(rounding >= 0 && rounding <= 2, "ensemble: rounding out of range");
        require(tap_bits >= -1 && tap_bits <= 8, "ensemble: fractional bits of taps out of range");
        step_.values = values;
        step_.upscale = upscale;
        step_.tap_bits = tap_bits;
        step_.round_each = rounding > 0 && rotations > 1;
        step_.round_apart = step_.round_each && rounding == 2;
    }

    void fixed(int plane, int previous, std::array<std::pair<int, int>, 4> offsets, std::array<int, 4> layout,
               const std::vector<int>& turns) {
        Unit unit = start(TapKind::fixed, plane, previous);
        set_offsets(unit, offsets, turns);
        add(std::move(unit), layout);
    }

    void sampled(int plane, int previous, int kernel, std::array<int, 4> layout) {
        require(kernel >= 1 && kernel <= kMaxReach, "ensemble: kernel out of range");
        Unit unit = start(TapKind::sampled, plane, previous);
        unit.kernel = kernel;
        unit.reach = kernel - 1;
        add(std::move(unit), layout);
    }

    void channel(std::array<int, 4> planes, std::array<int, 4> layout) {
        Unit unit = start_apart(planes);
        unit.rotations = 1;
        add(std::move(unit), layout);
    }

    // Each tap at an offset in a plane of its own.
    void coloured(std::array<int, 4> planes, std::array<std::pair<int, int>, 4> offsets, std::array<int, 4> layout) {
        Unit unit = start_apart(planes);
        set_offsets(unit, offsets, {});
        add(std::move(unit), layout);
    }

    void forward(const std::vector<In<T, 3>>& planes, const std::vector<In<T, 2>>& tables,
                 const Maybe<In<T, 2>>& weights, const Maybe<In<T, 1>>& shares, const Out<T, 4>& out, int threads) {
        const EnsembleInput<T> input = checked(planes, tables, weights, shares, threads);
        require_like(out, input.extent);
        if (empty(input)) return;
        const Unlocked unlocked;
        ensemble_->forward(input, out.data(), threads);
    }

    // Gradients are written to what is given of `..._gradients`, each a list as long as its namesake, or empty.
    void backward(const std::vector<In<T, 3>>& planes, const std::vector<In<T, 2>>& tables,
                  const Maybe<In<T, 2>>& weights, const Maybe<In<T, 1>>& shares, const In<T, 4>& gradient,
                  const Maybe<Out<T, 3>>& plane_gradients, const Maybe<Out<T, 2>>& table_gradients,
                  const Maybe<Out<T, 2>>& weight_gradients, const Maybe<Out<T, 1>>& share_gradients, int threads) {
        const EnsembleInput<T> input = checked(planes, tables, weights, shares, threads);
        require_like(gradient, input.extent);
        const EnsembleGradient<T> wanted{outputs(planes, plane_gradients), outputs(tables, table_gradients),
                                         outputs(weights, weight_gradients), outputs(shares, share_gradients)};
        require(!empty(input), "ensemble: no pixels to take gradients of");
        const Unlocked unlocked;
        ensemble_->backward(input, gradient.data(), wanted, threads);
    }

    // How a call on a batch of this size would be cut: parts, ranges and bands.
    std::array<int, 3> cut(std::int64_t images, std::int64_t height, bool planes, int threads) {
        require(images >= 1 && height >= 1 && std::max(images, height) <= kMostPixels / 64 && threads >= 1 &&
                    threads <= 1024,
                "ensemble: images, rows or threads out of range");
        const Cut cut = ready().cut({images, height, 1}, planes, threads);
        return {cut.parts, cut.ranges, cut.bands};
    }

  private:
    // The ensemble, with the units given so far.
    Ensemble<T>& ready() {
        if (!ensemble_) {
            require(!step_.units.empty(), "ensemble: it has no units");
            ensemble_ = std::make_unique<Ensemble<T>>(std::move(step_), planes_, reflect_, level_);
        }
        return *ensemble_;
    }

    Unit start(TapKind taps, int plane, int previous) const {
        require(!ensemble_, "ensemble: it has been used already");
        require(step_.units.size() < 64, "ensemble: too many units");
        require(plane >= 0 && plane < planes_ && previous < planes_, "ensemble: a plane out of range");
        Unit unit;
        unit.taps = taps;
        unit.reads[0] = plane;
        unit.previous = previous < 0 ? -1 : previous;
        unit.rotations = rotations_;
        unit.values = step_.values;
        return unit;
    }

    Unit start_apart(const std::array<int, 4>& planes) const {
        Unit unit = start(TapKind::channel, 0, -1);
        for (int plane : planes) require(plane >= 0 && plane < planes_, "ensemble: a plane out of range");
        unit.reads = planes;
        return unit;
    }

    void add(Unit unit, const std::array<int, 4>& layout) {
        unit.layout = {layout[0], layout[1], layout[2], layout[3]};
        check_layout(unit.layout, -1, unit.values);
        step_.units.push_back(std::move(unit));
    }

    EnsembleInput<T> checked(const std::vector<In<T, 3>>& planes, const std::vector<In<T, 2>>& tables,
                             const Maybe<In<T, 2>>& weights, const Maybe<In<T, 1>>& shares, int threads) {
        const auto& units = ready().step().units;
        require(threads >= 1 && threads <= 1024, "threads out of range");
        require(planes.size() == static_cast<std::size_t>(planes_), "ensemble: another number of planes");
        require(tables.size() == units.size() && weights.size() == units.size() && shares.size() == units.size(),
                "ensemble: another number of units");
        EnsembleInput<T> input;
        input.extent = {static_cast<std::int64_t>(planes[0].shape(0)), static_cast<std::int64_t>(planes[0].shape(1)),
                        static_cast<std::int64_t>(planes[0].shape(2))};
        const auto [images, height, width] = input.extent;
        require(std::max({images, height, width}) <= kMostPixels / 64 &&
                    (images * height <= kMostPixels / std::max<std::int64_t>(width, 1)),
                "ensemble: planes too large");
        for (const auto& plane : planes) {
            for (std::size_t axis = 0; axis < 3; ++axis)
                require(plane.shape(axis) == planes[0].shape(axis), "ensemble: planes of different shapes");
            input.planes.push_back(plane.data());
        }
        for (std::size_t i = 0; i < units.size(); ++i) {
            const Unit& unit = units[i];
            require(static_cast<std::int64_t>(tables[i].shape(0)) == ensemble_->entries(static_cast<int>(i)) &&
                        tables[i].shape(1) == static_cast<std::size_t>(unit.values),
                    "ensemble: a table's shape does not fit its layout");
            input.tables.push_back(tables[i].data());
            const bool sampled = unit.taps == TapKind::sampled, mixed = unit.previous >= 0;
            require(sampled == weights[i].has_value() && mixed == shares[i].has_value(),
                    "ensemble: weights or shares are missing, or too many");
            require(!sampled || (weights[i]->shape(0) == 4 &&
                                 weights[i]->shape(1) == static_cast<std::size_t>(unit.kernel * unit.kernel)),
                    "ensemble: weights do not fit the kernel");
            require(!mixed || shares[i]->shape(0) == 4, "ensemble: expected four shares");
            input.weights.push_back(sampled ? weights[i]->data() : nullptr);
            input.shares.push_back(mixed ? shares[i]->data() : nullptr);
        }
        return input;
    }

    static bool empty(const EnsembleInput<T>& input) {
        return input.extent.images * input.extent.height * input.extent.width == 0;
    }

    template <class Array>
    void require_like(const Array& array, const Extent& extent) const {
        require(static_cast<std::int64_t>(array.shape(0)) == extent.images &&
                    static_cast<std::int64_t>(array.shape(1)) == extent.height &&
                    static_cast<std::int64_t>(array.shape(2)) == extent.width &&
                    array.shape(3) == static_cast<std::size_t>(ensemble_->step().values),
                "ensemble: values do not fit the planes");
    }

    template <class Given, class Array>
    static std::vector<T*> outputs(const std::vector<Given>& like, const Maybe<Array>& arrays) {
        std::vector<T*> pointers(like.size(), nullptr);
        require(arrays.empty() || arrays.size() == like.size(), "ensemble: another number of gradients");
        for (std::size_t i = 0; i < arrays.size(); ++i) {
            if (!arrays[i]) continue;
            const auto* shape = given(like[i]);
            require(shape != nullptr, "ensemble: a gradient of what is not there");
            for (std::size_t axis = 0; axis < arrays[i]->ndim(); ++axis)
                require(arrays[i]->shape(axis) == shape->shape(axis), "ensemble: a gradient of another shape");
            pointers[i] = arrays[i]->data();
        }
        return pointers;
    }

    template <class Array>
    static const Array* given(const Array& array) {
        return &array;
    }
    template <class Array>
    static const Array* given(const std::optional<Array>& array) {
        return array ? &*array : nullptr;
    }

    Step step_;
    int planes_;
    bool reflect_;
    std::string level_;
    int rotations_;
    std::unique_ptr<Ensemble<T>> ensemble_;
};

template <class T>
void bind(nb::module_& module, const char* name) {
    using Binding = EnsembleBinding<T>;
    nb::class_<Binding>(module, name)
        .def(nb::init<int, int, int, int, int, bool, int, std::string>(), "planes"_a, "values"_a, "upscale"_a,
             "rotations"_a, "rounding"_a, "reflect"_a, "tap_bits"_a, "level"_a = "")
        .def("fixed", &Binding::fixed, "plane"_a, "previous"_a, "offsets"_a, "layout"_a,
             "turns"_a = std::vector<int>())
        .def("sampled", &Binding::sampled, "plane"_a, "previous"_a, "kernel"_a, "layout"_a)
        .def("channel", &Binding::channel, "planes"_a, "layout"_a)
        .def("coloured", &Binding::coloured, "planes"_a, "offsets"_a, "layout"_a)
        .def("forward", &Binding::forward, "planes"_a, "tables"_a, "weights"_a, "shares"_a, "out"_a, "threads"_a)
        .def("backward", &Binding::backward, "planes"_a, "tables"_a, "weights"_a, "shares"_a, "gradient"_a,
             "plane_gradients"_a, "table_gradients"_a, "weight_gradients"_a, "share_gradients"_a, "threads"_a)
        .def("cut", &Binding::cut, "images"_a, "height"_a, "planes"_a, "threads"_a);
}

}  // namespace

void bind_ensemble(nb::module_& module) {
    bind<float>(module, "Ensemble");
    bind<double>(module, "EnsembleDouble");
}

}  // namespace lutra
