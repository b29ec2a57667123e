// The tasks of a backward pass; see ensemble_backward.hpp.
#include "ensemble_backward.hpp"

namespace lutra {
namespace {

constexpr std::int64_t kSmallTable = 1 << 20;  // bytes, up to which a table's gradient may exist four times
constexpr std::int64_t kSampledRows = 96;      // rows of pixels that decide how a table is cut into ranges
constexpr int kBlocks = 4096;                  // a range consists of blocks; so many a table, at most

// Cuts a table into ranges that are touched about equally often.
std::vector<NodeRange> balanced(const std::vector<std::uint32_t>& counts, int shift, std::size_t rows, int ranges) {
    std::uint64_t total = counts.size(), sum = 0;  // one more a block: a range must be cleared too
    for (std::uint32_t count : counts) total += count;
    std::vector<NodeRange> found;
    std::size_t block = 0;
    for (int range = 0; range < ranges; ++range) {
        const std::size_t first = block;
        const std::uint64_t until = total * static_cast<std::uint64_t>(range + 1) / static_cast<std::uint64_t>(ranges);
        while (block < counts.size() && sum < until) sum += counts[block++] + 1;
        const std::size_t begin = std::min(first << shift, rows), end = std::min(block << shift, rows);
        found.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)});
    }
    return found;
}

}  // namespace

template <class T>
void Ensemble<T>::Backward::run() {
    take_memory();
    if (cut_.ranges == 1) {
        run_parallel(units_ * cut_.parts, threads_, [&](int task, int worker) { part(task, worker); });
    } else {
        find_ranges();
        const int nodes = units_ * cut_.parts * cut_.ranges;
        const int slopes = units_ * static_cast<int>(input_.extent.images) * cut_.bands;
        run_parallel(nodes + slopes, threads_, [&](int task, int worker) {
            task < nodes ? range(task, worker) : band(task - nodes, worker);
        });
    }
    for (int unit = 0; unit < units_; ++unit) {
        sum_tables(unit);
        sum_slots(wanted_.weights[unit], ready_.weight_gradients[unit]);
        sum_slots(wanted_.shares[unit], ready_.share_gradients[unit]);
    }
    fold();
}

template <class T>
void Ensemble<T>::Backward::take_memory() {
    const auto units = static_cast<std::size_t>(units_);
    ready_.node_gradients.resize(units * static_cast<std::size_t>(cut_.parts));
    ready_.read_gradients.resize(units);
    ready_.band_gradients.resize(ready_.scratch.size());
    ready_.weight_gradients.resize(units);
    ready_.share_gradients.resize(units);
    for (int unit = 0; unit < units_; ++unit) {
        const auto squares = static_cast<std::size_t>(4 * step_.units[unit].kernel * step_.units[unit].kernel);
        const auto count = static_cast<std::size_t>(slots());
        ready_.weight_gradients[unit].assign(wanted_.weights[unit] ? count * squares : 0, 0);
        ready_.share_gradients[unit].assign(wanted_.shares[unit] ? count * 4 : 0, 0);
        for_each_read(unit, [&](int read, int) {
            room(ready_.read_gradients[unit][read], static_cast<std::size_t>(ready_.plane_size + kSlack));
        });
        if (!wanted_.tables[unit]) continue;
        for (int part = 0; part < cut_.parts; ++part)
            if (!is_in_place(unit, part)) room(node_memory(unit, part), table_size(unit));
    }
}

// All gradients of a unit over a part.
template <class T>
void Ensemble<T>::Backward::part(int task, int worker) {
    const int unit = task / cut_.parts, part = task % cut_.parts;
    const Rows rows = rows_of(part);
    EnsembleUnit<T> call = call_of(unit);
    if (wanted_.tables[unit]) {
        call.node_gradient = node_gradient(unit, part);
        std::fill_n(call.node_gradient, table_size(unit), T(0));
    }
    if (!call.node_gradient && !call.slopes) return;
    for_each_read(unit, [&](int read, int) {  // whole images
        const std::int64_t height = input_.extent.height;
        std::fill_n(ready_.read_gradients[unit][read].data() + rows.first / height * ready_.image_size(),
                    (rows.end - rows.first) / height * ready_.image_size(), T(0));
    });
    std::vector<const T*> lines;
    for (std::int64_t y = rows.first; y < rows.end; ++y) {
        const EnsembleRow<T> row = ensemble_.row(ready_, y, lines);
        for_each_read(unit, [&](int read, int plane) {
            call.read_gradient[read] =
                ready_.read_gradients[unit][read].data() + (lines[plane] - ready_.planes[plane].data());
        });
        choose_slot(call, unit, y);
        ensemble_.kernels_->backward(row, call, gradient_of(y), *ready_.scratch[worker]);
    }
}

template <class T>
void Ensemble<T>::Backward::find_ranges() {
    ranges_.resize(static_cast<std::size_t>(units_));
    run_parallel(units_, threads_, [&](int unit, int worker) {
        const std::size_t rows = ensemble_.placements_[unit].rows;
        int shift = 0;
        while (rows >> shift >= kBlocks) ++shift;
        std::vector<std::uint32_t> counts((rows >> shift) + 1);
        const EnsembleUnit<T> call = call_of(unit);
        const std::int64_t all = input_.extent.images * input_.extent.height;
        const std::int64_t sampled = std::min(all, kSampledRows);
        std::vector<const T*> lines;
        for (std::int64_t i = 0; i < sampled; ++i)
            ensemble_.kernels_->count(ensemble_.row(ready_, all * i / sampled, lines), call, shift, counts.data(),
                                      *ready_.scratch[worker]);
        ranges_[unit] = balanced(counts, shift, rows, cut_.ranges);
    });
}

// The gradients of a unit's nodes in one range over a part.
template <class T>
void Ensemble<T>::Backward::range(int task, int worker) {
    const int unit = task / (cut_.parts * cut_.ranges), part = task / cut_.ranges % cut_.parts;
    if (!wanted_.tables[unit]) return;
    const NodeRange range = ranges_[unit][task % cut_.ranges];
    EnsembleUnit<T> call = call_of(unit);
    call.node_gradient = node_gradient(unit, part);
    std::fill_n(call.node_gradient + range.first * values(), range.size * values(), T(0));
    const Rows rows = rows_of(part);
    std::vector<const T*> lines;
    for (std::int64_t y = rows.first; y < rows.end; ++y)
        ensemble_.kernels_->backward_within(ensemble_.row(ready_, y, lines), call, range, gradient_of(y),
                                            *ready_.scratch[worker]);
}

// All gradients of a unit but those of its nodes, over a band of rows of an image. Rows next to the band reach
// into it: they are computed here as well, in memory of this thread's, so that each number's terms keep their order.
template <class T>
void Ensemble<T>::Backward::band(int task, int worker) {
    const std::int64_t height = input_.extent.height;
    const int unit = task / cut_.bands % units_, reach = ready_.reach, number = task % cut_.bands;
    const std::int64_t image = task / cut_.bands / units_;
    EnsembleUnit<T> call = call_of(unit);
    const auto begin = [&](int band) {
        return std::min(part_begin(groups_of(height), cut_.bands, band) * kGroup, height);
    };
    const Rows own{begin(number), begin(number + 1)};
    if (!call.slopes || own.first == own.end) return;
    const Rows all{planes_ ? std::max<std::int64_t>(own.first - reach, 0) : own.first,
                   planes_ ? std::min(own.end + reach, height) : own.end};
    for_each_read(unit, [&](int read, int) {
        const auto size = static_cast<std::size_t>((all.end - all.first + 2 * reach) * ready_.stride);
        std::fill_n(room(ready_.band_gradients[worker][read], size + kSlack), size, T(0));
    });
    std::vector<const T*> lines;
    for (std::int64_t y = all.first; y < all.end; ++y) {
        const EnsembleRow<T> row = ensemble_.row(ready_, image * height + y, lines);
        for_each_read(unit, [&](int read, int) {
            call.read_gradient[read] = ready_.band_gradients[worker][read].data() +
                                       (y - all.first + reach) * ready_.stride + reach;
        });
        call.weight_gradient = call.share_gradient = nullptr;
        if (y >= own.first && y < own.end) choose_slot(call, unit, image * height + y);
        ensemble_.kernels_->backward(row, call, gradient_of(image * height + y), *ready_.scratch[worker]);
    }
    const std::int64_t top = own.first == 0 ? 0 : own.first + reach;  // with the border
    const std::int64_t bottom = own.end == height ? height + 2 * reach : own.end + reach;
    for_each_read(unit, [&](int read, int) {
        std::copy_n(ready_.band_gradients[worker][read].data() + (top - all.first) * ready_.stride,
                    (bottom - top) * ready_.stride,
                    ready_.read_gradients[unit][read].data() + image * ready_.image_size() + top * ready_.stride);
    });
}

template <class T>
Cut Ensemble<T>::cut(const Extent& extent, bool planes, int threads) const {
    std::int64_t bytes = 0;
    for (const Placement& placement : placements_)
        bytes = std::max(bytes, static_cast<std::int64_t>(placement.rows * sizeof(T)) * step_.values);
    const auto shares = [](std::int64_t wanted, std::int64_t of) { return (wanted + of - 1) / of; };
    const std::int64_t lengths = planes ? extent.images : extent.images * extent.height;
    const auto units = static_cast<std::int64_t>(step_.units.size());
    Cut cut;
    cut.parts = static_cast<int>(std::min<std::int64_t>(lengths, bytes <= kSmallTable ? 4 : 2));
    if (threads <= units * cut.parts) return cut;
    cut.ranges = static_cast<int>(shares(threads, units * cut.parts));
    cut.bands = static_cast<int>(std::min(shares(threads, units * extent.images), groups_of(extent.height)));
    return cut;
}

template <class T>
void Ensemble<T>::backward(const EnsembleInput<T>& input, const T* gradient, const EnsembleGradient<T>& wanted,
                           int threads) {
    Ready& ready = ready_.get();
    const std::lock_guard lock(ready.mutex);
    prepare(input, useful_threads(threads), ready);
    Backward(*this, ready, input, gradient, wanted, threads).run();
}

template Cut Ensemble<float>::cut(const Extent&, bool, int) const;
template Cut Ensemble<double>::cut(const Extent&, bool, int) const;
template void Ensemble<float>::backward(const EnsembleInput<float>&, const float*, const EnsembleGradient<float>&, int);
template void Ensemble<double>::backward(const EnsembleInput<double>&, const double*, const EnsembleGradient<double>&,
                                         int);

}  // namespace lutra
