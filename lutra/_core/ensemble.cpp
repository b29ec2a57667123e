// See ensemble.hpp. The backward pass is cut into parts whose number does not depend on the threads: each adds up
// gradients of its own, which are then summed in order.
#include "ensemble.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "kernels.hpp"
#include "pool.hpp"

namespace lutra {
namespace {

constexpr std::int64_t kSmallTable = 1 << 20;  // bytes, up to which a table's gradient may exist four times
constexpr int kSlack = 2 * kChunk;             // numbers that kernels may read beyond a plane

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

std::int64_t part_begin(std::int64_t size, int parts, int part) { return size * part / parts; }

// Memory that grows and is kept; what it holds is not.
template <class T>
T* room(AlignedArray<T>& memory, std::size_t size) {
    if (memory.size() < size) memory = AlignedArray<T>(size);
    return memory.data();
}

}  // namespace

template <class T>
struct Ensemble<T>::Ready {
    std::mutex mutex;  // held during a call
    Extent extent{};
    int reach = 0;
    std::ptrdiff_t stride = 0, plane_size = 0;
    std::vector<AlignedArray<T>> planes, nodes;                          // by plane, by unit
    std::vector<AlignedArray<T>> node_gradients;                         // by unit and part
    std::vector<std::array<AlignedArray<T>, 5>> read_gradients;          // by unit and plane read
    std::vector<std::vector<double>> weight_gradients, share_gradients;  // by unit and part
    std::vector<const T*> tables;                                        // in the kernels' order
    std::vector<std::unique_ptr<EnsembleScratch<T>>> scratch;            // by thread
};

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
    const std::int64_t images = input.extent.images, height = input.extent.height, width = input.extent.width;
    const int reach = step_.reach;
    ready.extent = input.extent;
    ready.reach = reach;
    ready.stride = width + 2 * reach;
    ready.plane_size = ready.stride * (height + 2 * reach) * images;
    ready.planes.resize(static_cast<std::size_t>(planes_));
    ready.nodes.resize(step_.units.size());
    ready.tables.resize(step_.units.size());
    while (ready.scratch.size() < static_cast<std::size_t>(threads))
        ready.scratch.push_back(std::make_unique<EnsembleScratch<T>>());
    for (auto& plane : ready.planes) room(plane, static_cast<std::size_t>(ready.plane_size + kSlack));
    run_parallel(planes_ * static_cast<int>(images), threads, [&](int task, int) {
        const int plane = task % planes_, image = task / planes_;
        const T* from = input.planes[plane] + image * height * width;
        T* to = ready.planes[plane].data() + image * (height + 2 * reach) * ready.stride;
        for (std::int64_t y = -reach; y < height + reach; ++y) {
            const T* line = from + inside(static_cast<int>(y), static_cast<int>(height), reflect_) * width;
            for (int x = -reach; x < 0; ++x) *to++ = line[inside(x, static_cast<int>(width), reflect_)];
            to = std::copy_n(line, width, to);
            for (std::int64_t x = width; x < width + reach; ++x)
                *to++ = line[inside(static_cast<int>(x), static_cast<int>(width), reflect_)];
        }
    });
    for (std::size_t unit = 0; unit < step_.units.size(); ++unit) {
        ready.tables[unit] = input.tables[unit];
        if (!step_.units[unit].diagonal) continue;  // the same order
        const Placement& placement = placements_[unit];
        const auto values = static_cast<std::size_t>(step_.values);
        T* nodes = room(ready.nodes[unit], placement.rows * values);
        for (std::size_t entry = 0; entry < placement.row.size(); ++entry)
            std::copy_n(input.tables[unit] + entry * values, values, nodes + placement.row[entry] * values);
        ready.tables[unit] = nodes;
    }
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

template <class T>
void Ensemble<T>::backward(const EnsembleInput<T>& input, const T* gradient, const EnsembleGradient<T>& wanted,
                           int threads) {
    threads = useful_threads(threads);
    Ready& ready = ready_.get();
    const std::lock_guard lock(ready.mutex);
    prepare(input, threads, ready);
    const std::int64_t images = input.extent.images, height = input.extent.height, width = input.extent.width;
    const auto units = step_.units.size();
    const auto values = static_cast<std::size_t>(step_.values);
    std::int64_t bytes = 0;
    for (const Placement& placement : placements_)
        bytes = std::max(bytes, static_cast<std::int64_t>(placement.rows * values * sizeof(T)));
    const bool planes = std::any_of(wanted.planes.begin(), wanted.planes.end(), [](T* plane) { return plane; });
    // Parts end with an image where planes want gradients, for those of neighbouring rows overlap.
    const std::int64_t lengths = planes ? images : images * height, length = planes ? height : 1;
    const int parts = static_cast<int>(std::min<std::int64_t>(lengths, bytes <= kSmallTable ? 4 : 2));

    ready.node_gradients.resize(units * static_cast<std::size_t>(parts));
    ready.read_gradients.resize(units);
    ready.weight_gradients.assign(units * static_cast<std::size_t>(parts), {});
    ready.share_gradients.assign(units * static_cast<std::size_t>(parts), {});
    const auto read_plane = [&](std::size_t unit, int read) {
        const Unit& one = step_.units[unit];
        if (read == 4) return one.previous;
        return read == 0 || one.taps == TapKind::channel ? one.reads[read] : -1;
    };
    const auto for_each_read = [&](std::size_t unit, auto visit) {
        for (int read = 0; read < 5; ++read) {
            const int plane = read_plane(unit, read);
            if (plane >= 0 && wanted.planes[plane]) visit(read, plane);
        }
    };
    for (std::size_t unit = 0; unit < units; ++unit)
        for_each_read(unit, [&](int read, int) {
            room(ready.read_gradients[unit][read], static_cast<std::size_t>(ready.plane_size + kSlack));
        });

    run_parallel(static_cast<int>(units) * parts, threads, [&](int task, int worker) {
        const auto unit = static_cast<std::size_t>(task / parts);
        const int part = task % parts;
        const Unit& one = step_.units[unit];
        EnsembleUnit<T> call{&one, ready.tables[unit], input.weights[unit], input.shares[unit]};
        if (wanted.tables[unit]) {
            const std::size_t size = placements_[unit].rows * values;
            // The first part's gradient is added up where it is wanted, if the order is the same.
            call.node_gradient =
                part == 0 && !one.diagonal ? wanted.tables[unit] : room(ready.node_gradients[task], size);
            std::fill_n(call.node_gradient, size, T(0));
        }
        if (wanted.weights[unit]) {
            ready.weight_gradients[task].assign(static_cast<std::size_t>(4 * one.kernel * one.kernel), 0);
            call.weight_gradient = ready.weight_gradients[task].data();
        }
        if (wanted.shares[unit]) {
            ready.share_gradients[task].assign(4, 0);
            call.share_gradient = ready.share_gradients[task].data();
        }
        const std::int64_t first = part_begin(lengths, parts, part) * length;
        const std::int64_t end = part_begin(lengths, parts, part + 1) * length;
        call.slopes = call.weight_gradient || call.share_gradient;
        for_each_read(unit, [&](int read, int) {
            call.slopes = true;
            const std::ptrdiff_t image_size = ready.plane_size / images;
            std::fill_n(ready.read_gradients[unit][read].data() + first / height * image_size,
                        (end - first) / height * image_size, T(0));
        });
        if (!call.node_gradient && !call.slopes) return;
        std::vector<const T*> lines;
        for (std::int64_t y = first; y < end; ++y) {
            const EnsembleRow<T> line = row(ready, y, lines);
            for_each_read(unit, [&](int read, int plane) {
                call.read_gradient[read] =
                    ready.read_gradients[unit][read].data() + (lines[plane] - ready.planes[plane].data());
            });
            kernels_->backward(line, call, gradient + y * width * step_.values, *ready.scratch[worker]);
        }
    });

    for (std::size_t unit = 0; unit < units; ++unit) {
        const auto of_part = [&](int part) {
            return unit * static_cast<std::size_t>(parts) + static_cast<std::size_t>(part);
        };
        if (T* to = wanted.tables[unit]) {
            const Placement& placement = placements_[unit];
            const bool diagonal = step_.units[unit].diagonal;
            const int pieces = 4 * threads;
            run_parallel(pieces, threads, [&](int piece, int) {
                const auto begin = static_cast<std::size_t>(
                    part_begin(static_cast<std::int64_t>(placement.row.size()), pieces, piece));
                const auto end = static_cast<std::size_t>(
                    part_begin(static_cast<std::int64_t>(placement.row.size()), pieces, piece + 1));
                for (int part = diagonal ? 0 : 1; part < parts; ++part) {
                    const T* from = ready.node_gradients[of_part(part)].data();
                    if (!diagonal) {
                        for (std::size_t i = begin * values; i < end * values; ++i) to[i] += from[i];
                        continue;
                    }
                    for (std::size_t entry = begin; entry < end; ++entry)
                        for (std::size_t v = 0; v < values; ++v) {
                            const T add = from[placement.row[entry] * values + v];
                            T& sum = to[entry * values + v];
                            sum = part == 0 ? add : sum + add;
                        }
                }
            });
        }
        const auto add_up = [&](T* to, const std::vector<std::vector<double>>& from) {
            if (!to) return;
            for (std::size_t i = 0; i < from[of_part(0)].size(); ++i) {
                double sum = 0;
                for (int part = 0; part < parts; ++part) sum += from[of_part(part)][i];
                to[i] = static_cast<T>(sum);
            }
        };
        add_up(wanted.weights[unit], ready.weight_gradients);
        add_up(wanted.shares[unit], ready.share_gradients);
    }
    for (int plane = 0; plane < planes_; ++plane)
        if (wanted.planes[plane]) {
            std::vector<const T*> sources;
            for (std::size_t unit = 0; unit < units; ++unit)
                for_each_read(unit, [&](int read, int from) {
                    if (from == plane) sources.push_back(ready.read_gradients[unit][read].data());
                });
            fold(ready, sources, wanted.planes[plane], threads);
        }
}

// Adds up gradients of a plane with borders; what fell on a border belongs to the pixel that it repeats.
template <class T>
void Ensemble<T>::fold(const Ready& ready, const std::vector<const T*>& sources, T* wanted, int threads) const {
    const std::int64_t images = ready.extent.images, height = ready.extent.height, width = ready.extent.width;
    const int reach = ready.reach;
    run_parallel(static_cast<int>(images), threads, [&](int image, int) {
        T* to = wanted + image * height * width;
        std::fill_n(to, height * width, T(0));
        for (const T* source : sources) {
            const T* from = source + image * (height + 2 * reach) * ready.stride + reach;
            for (std::int64_t y = -reach; y < height + reach; ++y, from += ready.stride) {
                T* line = to + inside(static_cast<int>(y), static_cast<int>(height), reflect_) * width;
                for (std::int64_t x = 0; x < width; ++x) line[x] += from[x];
                for (int x = -reach; x < 0; ++x) line[inside(x, static_cast<int>(width), reflect_)] += from[x];
                for (std::int64_t x = width; x < width + reach; ++x)
                    line[inside(static_cast<int>(x), static_cast<int>(width), reflect_)] += from[x];
            }
        }
    });
}

template class Ensemble<float>;
template class Ensemble<double>;

}  // namespace lutra
