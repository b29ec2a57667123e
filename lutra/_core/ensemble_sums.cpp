// The sums at the end of a backward pass, always in the same order; see ensemble_backward.hpp.
#include "ensemble_backward.hpp"

namespace lutra {

template <class T>
void Ensemble<T>::Backward::sum_tables(int unit) {
    T* to = wanted_.tables[unit];
    if (!to) return;
    const std::vector<std::uint32_t>& place = ensemble_.placements_[unit].row;
    const int pieces = 4 * threads_;
    const auto size = static_cast<std::int64_t>(place.size());
    run_parallel(pieces, threads_, [&](int piece, int) {
        const auto begin = static_cast<std::size_t>(part_begin(size, pieces, piece));
        const auto end = static_cast<std::size_t>(part_begin(size, pieces, piece + 1));
        for (int part = is_in_place(unit, 0) ? 1 : 0; part < cut_.parts; ++part) {
            const T* from = node_gradient(unit, part);
            if (!step_.units[unit].diagonal) {
                for (std::size_t i = begin * values(); i < end * values(); ++i) to[i] += from[i];
                continue;
            }
            for (std::size_t entry = begin; entry < end; ++entry)
                for (std::size_t v = 0; v < values(); ++v) {
                    const T add = from[place[entry] * values() + v];
                    T& sum = to[entry * values() + v];
                    sum = part == 0 ? add : sum + add;
                }
        }
    });
}

template <class T>
void Ensemble<T>::Backward::sum_slots(T* to, const std::vector<double>& from) const {
    if (!to) return;
    const auto count = static_cast<std::size_t>(slots()), each = from.size() / count;
    for (std::size_t i = 0; i < each; ++i) {
        double sum = 0;
        for (std::size_t slot = 0; slot < count; ++slot) sum += from[slot * each + i];
        to[i] = static_cast<T>(sum);
    }
}

// Adds up the gradients of planes with borders; what fell on a border belongs to the pixel that it repeats.
template <class T>
void Ensemble<T>::Backward::fold() {
    std::vector<std::vector<const T*>> sources(static_cast<std::size_t>(ensemble_.planes_));
    for (int unit = 0; unit < units_; ++unit)
        for_each_read(unit, [&](int read, int plane) {
            sources[plane].push_back(ready_.read_gradients[unit][read].data());
        });
    const int images = static_cast<int>(input_.extent.images);
    run_parallel(ensemble_.planes_ * images, threads_, [&](int task, int) {
        const int plane = task / images, image = task % images;
        if (wanted_.planes[plane]) fold_image(sources[plane], wanted_.planes[plane], image);
    });
}

template <class T>
void Ensemble<T>::Backward::fold_image(const std::vector<const T*>& sources, T* wanted, int image) const {
    const std::int64_t height = input_.extent.height, width = input_.extent.width;
    const int reach = ready_.reach;
    const auto column = [&](std::int64_t x) {
        return inside(static_cast<int>(x), static_cast<int>(width), ensemble_.reflect_);
    };
    T* to = wanted + image * height * width;
    std::fill_n(to, height * width, T(0));
    for (const T* source : sources) {
        const T* from = source + image * ready_.image_size() + reach;
        for (std::int64_t y = -reach; y < height + reach; ++y, from += ready_.stride) {
            T* line =
                to + inside(static_cast<int>(y), static_cast<int>(height), ensemble_.reflect_) * width;
            for (std::int64_t x = 0; x < width; ++x) line[x] += from[x];
            for (std::int64_t x = -reach; x < 0; ++x) line[column(x)] += from[x];
            for (std::int64_t x = width; x < width + reach; ++x) line[column(x)] += from[x];
        }
    }
}

template class Ensemble<float>::Backward;
template class Ensemble<double>::Backward;

}  // namespace lutra
