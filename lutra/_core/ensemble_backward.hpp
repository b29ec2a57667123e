// One backward pass of an ensemble, for the files that compute it.
//
// The batch is cut into two or four parts, whatever the threads. Each part adds up a table's gradient in memory of its
// own, and the parts are summed in order. With more threads than parts, a table's rows are cut into ranges: one task
// for each part and range, which finds all simplices of its part and adds to the nodes in its range alone. So each
// node's terms keep their order, no table needs more memory, and results are the same for any number of threads. Then
// the gradients of planes, sampling weights and shares ("slopes") are tasks too, an image or a band of rows each.
//
// Memory: for a table as many gradients as there are parts (four of at most 1 MB, or two); for every unit a plane for
// each plane that it reads; for every thread as much as a band of one image; and sums of sampling weights for every
// kGroup rows.
#pragma once

#include <algorithm>

#include "ensemble_ready.hpp"
#include "pool.hpp"

namespace lutra {

inline constexpr int kGroup = 16;  // rows whose sums of sampling weights and shares are kept apart

inline std::int64_t groups_of(std::int64_t height) { return (height + kGroup - 1) / kGroup; }

// One call of Ensemble::backward.
template <class T>
class Ensemble<T>::Backward {
  public:
    Backward(const Ensemble& ensemble, Ready& ready, const EnsembleInput<T>& input, const T* gradient,
             const EnsembleGradient<T>& wanted, int threads)
        : ensemble_(ensemble),
          step_(ensemble.step_),
          ready_(ready),
          input_(input),
          gradient_(gradient),
          wanted_(wanted),
          threads_(useful_threads(threads)),
          units_(static_cast<int>(step_.units.size())),
          planes_(std::any_of(wanted.planes.begin(), wanted.planes.end(), [](T* plane) { return plane; })),
          cut_(ensemble.cut(input.extent, planes_, threads)) {}

    void run();

  private:
    struct Rows {
        std::int64_t first, end;
    };

    std::size_t values() const { return static_cast<std::size_t>(step_.values); }
    std::size_t table_size(int unit) const { return ensemble_.placements_[unit].rows * values(); }

    // Parts end with an image where planes want gradients, because those of neighbouring rows overlap.
    Rows rows_of(int part) const {
        const std::int64_t length = planes_ ? input_.extent.height : 1;
        const std::int64_t lengths = input_.extent.images * input_.extent.height / length;
        return {part_begin(lengths, cut_.parts, part) * length, part_begin(lengths, cut_.parts, part + 1) * length};
    }

    // The gradients of sampling weights and shares are summed over the rows of a slot, then over all slots in order. A
    // slot ends with a group of rows and with a part, so that no two tasks share one.
    std::int64_t slots() const { return input_.extent.images * groups_of(input_.extent.height) + cut_.parts - 1; }
    std::int64_t slot(std::int64_t row) const {
        const std::int64_t height = input_.extent.height;
        int part = 0;
        while (row >= rows_of(part).end) ++part;
        return row / height * groups_of(height) + row % height / kGroup + part;
    }

    int read_plane(int unit, int read) const {
        const Unit& one = step_.units[unit];
        if (read == 4) return one.previous;
        return read == 0 || one.taps == TapKind::channel ? one.reads[read] : -1;
    }
    // Calls visit(read, plane) for what the unit reads of planes that want a gradient.
    template <class Visit>
    void for_each_read(int unit, Visit visit) const {
        for (int read = 0; read < 5; ++read) {
            const int plane = read_plane(unit, read);
            if (plane >= 0 && wanted_.planes[plane]) visit(read, plane);
        }
    }

    // The first part's gradient is added up where it is wanted, if the order is the same.
    bool is_in_place(int unit, int part) const { return part == 0 && !step_.units[unit].diagonal; }
    AlignedArray<T>& node_memory(int unit, int part) const {
        return ready_.node_gradients[static_cast<std::size_t>(unit * cut_.parts + part)];
    }
    T* node_gradient(int unit, int part) const {
        return is_in_place(unit, part) ? wanted_.tables[unit] : node_memory(unit, part).data();
    }

    // The unit with nothing that it may write to.
    EnsembleUnit<T> call_of(int unit) const {
        EnsembleUnit<T> call{&step_.units[unit], ready_.tables[unit], input_.weights[unit], input_.shares[unit]};
        call.slopes = wanted_.weights[unit] || wanted_.shares[unit];
        for_each_read(unit, [&](int, int) { call.slopes = true; });
        return call;
    }
    const T* gradient_of(std::int64_t row) const { return gradient_ + row * input_.extent.width * step_.values; }
    void choose_slot(EnsembleUnit<T>& call, int unit, std::int64_t row) const {
        auto& weights = ready_.weight_gradients[unit];
        auto& shares = ready_.share_gradients[unit];
        const auto each = weights.size() / static_cast<std::size_t>(slots());
        const auto number = static_cast<std::size_t>(slot(row));
        call.weight_gradient = weights.empty() ? nullptr : weights.data() + number * each;
        call.share_gradient = shares.empty() ? nullptr : shares.data() + number * 4;
    }

    void take_memory();
    void find_ranges();
    // The tasks: of a unit all gradients over a part; those of its nodes in one range over a part; all others over a
    // band of rows of an image.
    void part(int task, int worker);
    void range(int task, int worker);
    void band(int task, int worker);
    // What follows the tasks.
    void sum_tables(int unit);
    void sum_slots(T* to, const std::vector<double>& from) const;
    void fold();
    void fold_image(const std::vector<const T*>& sources, T* wanted, int image) const;

    const Ensemble& ensemble_;
    const Step& step_;
    Ready& ready_;
    const EnsembleInput<T>& input_;
    const T* gradient_;
    const EnsembleGradient<T>& wanted_;
    const int threads_, units_;
    const bool planes_;
    const Cut cut_;
    std::vector<std::vector<NodeRange>> ranges_;  // by unit
};

}  // namespace lutra
