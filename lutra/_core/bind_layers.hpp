// A plan of layers under construction.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "layers.hpp"

namespace lutra {

class LayerBuilder {
  public:
    using Entries = nanobind::ndarray<const std::int16_t, nanobind::ndim<3>, nanobind::c_contig, nanobind::device::cpu>;
    // (plane, channel, row, column) each.
    using Sources =
        nanobind::ndarray<const std::int32_t, nanobind::shape<-1, 4>, nanobind::c_contig, nanobind::device::cpu>;

    LayerBuilder(const LayerBuilder&) = delete;
    LayerBuilder(int scale, bool reflect, int colours);

    int plane(int channels, int low, int high);
    int layer(int low, int denominator, int divisor, bool shared, const Entries& entries);
    void split(std::vector<int> writes, int offset, int bits, const Sources& inputs);
    // Those after it, up to the next call, are a chain of their own; see Operation::chain.
    void chain() { ++chain_; }
    void sum(int layer, int writes, int low, int high, const Sources& inputs, const Sources& adds);
    void merge(int rotations, int divisor, int offset, const Sources& inputs, const Sources& adds);
    LayerPlan take();

  private:
    Operation& start(Operation::Kind kind, const Sources* inputs, const Sources* adds);

    LayerPlan plan_;
    int chain_ = 0;
};

}  // namespace lutra
