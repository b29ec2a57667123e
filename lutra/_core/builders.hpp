// Plans under construction, number by number, whoever brings the numbers: Python or a plan file. A builder checks what
// memory depends on, Plan::finish and its like check the rest; both throw std::invalid_argument.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "layers.hpp"
#include "plan.hpp"
#include "residuals.hpp"

namespace lutra {

// Rows of numbers that somebody else owns.
template <class T, std::size_t dimensions>
struct View {
    const T* data;
    std::array<std::size_t, dimensions> shape;

    std::size_t size() const {
        std::size_t product = 1;
        for (const std::size_t side : shape) product *= side;
        return product;
    }
};

// A plan of units; see Plan.
class UnitBuilder {
  public:
    using Table = View<std::int8_t, 2>;     // (entries, values)
    using Weights = View<std::int16_t, 2>;  // (4 taps, pixels of a square window)

    UnitBuilder(const UnitBuilder&) = delete;
    UnitBuilder(int planes, int scale, bool reflect, int rounding, int tap_bits, int colours = 1);

    void step(std::vector<int> writes, int divisor, int offset, int upscale, int rotations);
    void fixed(int plane, int previous, const std::array<int, 4>& shares,
               const std::array<std::pair<int, int>, 4>& offsets, const std::array<int, 4>& layout, Table table,
               const std::vector<int>& turns = {});
    void sampled(int plane, int previous, const std::array<int, 4>& shares, Weights weights,
                 const std::array<int, 4>& layout, Table table);
    // `shifts`: how many colours after its own each tap lies; `colour`: the one that it makes, -1 for all.
    void coloured(int plane, const std::array<int, 4>& shifts, const std::array<std::pair<int, int>, 4>& offsets,
                  int colour, const std::array<int, 4>& layout, Table table);
    void channel(const std::array<int, 4>& planes, const std::array<int, 4>& layout, Table table);
    void outputs(std::vector<int> planes);
    Plan take();

  private:
    Unit start(TapKind taps, int previous, const std::array<int, 4>& shares) const;
    void add(Unit unit, const std::array<int, 4>& layout, const Table& table);

    Plan plan_;
    int rotations_ = 4;
};

// A plan of layers; see LayerPlan.
class LayerBuilder {
  public:
    using Entries = View<std::int16_t, 3>;  // (inputs, outputs, levels)
    using Sources = View<std::int32_t, 2>;  // (plane, channel, row, column) each

    LayerBuilder(const LayerBuilder&) = delete;
    LayerBuilder(int scale, bool reflect, int colours = 1);

    int plane(int channels, int low, int high);
    int layer(int low, int denominator, int divisor, bool shared, const Entries& entries);
    void split(std::vector<int> writes, int offset, int bits, const Sources& inputs);
    // Those after it, up to the next call, are a chain of their own; see Operation::chain.
    void chain() { ++chain_; }
    void sum(int layer, int writes, int low, int high, const Sources& inputs, const Sources& adds);
    void merge(int rotations, int divisor, int offset, const Sources& inputs, const Sources& adds);
    LayerPlan take();

  private:
    Operation& start(Operation::Kind kind, const Sources& inputs, const Sources& adds);

    LayerPlan plan_;
    int chain_ = 0;
};

// A plan of residuals; see ResidualPlan.
class ResidualBuilder {
  public:
    using Offsets = View<std::int32_t, 3>;  // (4 rotations, taps, row and column)
    using Entries = View<std::int8_t, 3>;   // (4 rotations, entries, values)

    ResidualBuilder(const ResidualBuilder&) = delete;
    explicit ResidualBuilder(int scale) { plan_.scale = scale; }

    void step(int upscale, int low_bits);
    void table(bool high, bool reflect, const Offsets& offsets, const Entries& entries);
    ResidualPlan take();

  private:
    ResidualPlan plan_;
};

}  // namespace lutra
