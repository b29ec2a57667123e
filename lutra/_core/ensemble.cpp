// See ensemble.hpp.
#include "ensemble.hpp"

#include <algorithm>

#include "ensemble_ready.hpp"
#include "kernels.hpp"
#include "pool.hpp"

namespace lutra {
namespace {

template <class T>
const EnsembleKernels<T>* best_ensemble(const std::string& level);

template <>
const EnsembleKernels<float>* best_ensemble<float>(const std::string& level) {
    return best_kernels(level).ensemble;
}

template <>
const EnsembleKernels<double>* best_ensemble<double>(const std::string&) {
    return &portable_ensemble_double;
}

}  // namespace

template <class T>
Ensemble<T>::Ensemble(Step step, int planes, bool reflect, const std::string& level)
    : step_(std::move(step)),
      planes_(planes),
      reflect_(reflect),
      kernels_(best_ensemble<T>(level)) {
    set_turns(step_);
    for (Unit& unit : step_.units) {
        placements_.push_back(place_nodes(unit));
        step_.reach = std::max(step_.reach, unit.reach);
    }
}

template <class T>
Ensemble<T>::~Ensemble() {
    ready_.destroy();
}

template <class T>
void Ensemble<T>::prepare(const EnsembleInput<T>& input, int threads, Ready& ready) const {
    ready.extent = input.extent;
    ready.reach = step_.reach;
    ready.stride = input.extent.width + 2 * step_.reach;
    ready.plane_size = ready.stride * (input.extent.height + 2 * step_.reach) * input.extent.images;
    while (ready.scratch.size() < static_cast<std::size_t>(threads))
        ready.scratch.push_back(std::make_unique<EnsembleScratch<T>>());
    prepare_planes(input, threads, ready);
    prepare_tables(input, threads, ready);
}

template <class T>
void Ensemble<T>::prepare_planes(const EnsembleInput<T>& input, int threads, Ready& ready) const {
    const std::int64_t images = input.extent.images, height = input.extent.height, width = input.extent.width;
    const int reach = step_.reach;
    ready.planes.resize(static_cast<std::size_t>(planes_));
    for (auto& plane : ready.planes) room(plane, static_cast<std::size_t>(ready.plane_size + kSlack));
    run_parallel(planes_ * static_cast<int>(images), threads, [&](int task, int) {
        const int plane = task % planes_, image = task / planes_;
        const T* from = input.planes[plane] + image * height * width;
        T* to = ready.planes[plane].data() + image * ready.image_size();
        for (std::int64_t y = -reach; y < height + reach; ++y) {
            const T* line = from + inside(static_cast<int>(y), static_cast<int>(height), reflect_) * width;
            for (int x = -reach; x < 0; ++x) *to++ = line[inside(x, static_cast<int>(width), reflect_)];
            to = std::copy_n(line, width, to);
            for (std::int64_t x = width; x < width + reach; ++x)
                *to++ = line[inside(static_cast<int>(x), static_cast<int>(width), reflect_)];
        }
    });
}

template <class T>
void Ensemble<T>::prepare_tables(const EnsembleInput<T>& input, int threads, Ready& ready) const {
    const auto values = static_cast<std::size_t>(step_.values);
    ready.tables = input.tables;
    ready.nodes.resize(step_.units.size());
    for (std::size_t unit = 0; unit < step_.units.size(); ++unit)
        if (step_.units[unit].diagonal)  // other tables have the kernels' order
            ready.tables[unit] = room(ready.nodes[unit], placements_[unit].rows * values);
    run_parallel(static_cast<int>(step_.units.size()) * threads, threads, [&](int task, int) {
        const auto unit = static_cast<std::size_t>(task / threads);
        if (!step_.units[unit].diagonal) return;
        const std::vector<std::uint32_t>& row = placements_[unit].row;
        const auto size = static_cast<std::int64_t>(row.size());
        const auto end = static_cast<std::size_t>(part_begin(size, threads, task % threads + 1));
        for (auto entry = static_cast<std::size_t>(part_begin(size, threads, task % threads)); entry < end; ++entry)
            std::copy_n(input.tables[unit] + entry * values, values, ready.nodes[unit].data() + row[entry] * values);
    });
}

template <class T>
EnsembleRow<T> Ensemble<T>::row(const Ready& ready, std::int64_t number, std::vector<const T*>& lines) const {
    const std::int64_t height = ready.extent.height, image = number / height, y = number % height;
    const std::ptrdiff_t first = (image * (height + 2 * ready.reach) + y + ready.reach) * ready.stride + ready.reach;
    lines.resize(static_cast<std::size_t>(planes_));
    for (int plane = 0; plane < planes_; ++plane) lines[plane] = ready.planes[plane].data() + first;
    return {&step_, lines.data(), ready.stride, static_cast<int>(ready.extent.width)};
}

template <class T>
void Ensemble<T>::forward(const EnsembleInput<T>& input, T* out, int threads) {
    threads = useful_threads(threads);
    Ready& ready = ready_.get();
    const std::lock_guard lock(ready.mutex);
    prepare(input, threads, ready);
    std::vector<EnsembleUnit<T>> units(step_.units.size());
    for (std::size_t i = 0; i < units.size(); ++i)
        units[i] = {&step_.units[i], ready.tables[i], input.weights[i], input.shares[i]};
    const std::int64_t rows = input.extent.images * input.extent.height;
    const int tasks = static_cast<int>(std::min<std::int64_t>(rows, 8 * threads));
    run_parallel(tasks, threads, [&](int task, int worker) {
        std::vector<const T*> lines;
        for (std::int64_t y = part_begin(rows, tasks, task); y < part_begin(rows, tasks, task + 1); ++y)
            kernels_->forward(row(ready, y, lines), units, out + y * input.extent.width * step_.values,
                              *ready.scratch[worker]);
    });
}

template class Ensemble<float>;
template class Ensemble<double>;

}  // namespace lutra
