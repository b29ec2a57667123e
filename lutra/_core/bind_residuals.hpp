// A plan of residuals under construction.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "residuals.hpp"

namespace lutra {

class ResidualBuilder {
  public:
    using Offsets = nanobind::ndarray<const std::int32_t, nanobind::shape<4, -1, 2>, nanobind::c_contig,
                                      nanobind::device::cpu>;
    // (rotation, entry, value)
    using Entries = nanobind::ndarray<const std::int8_t, nanobind::shape<4, -1, -1>, nanobind::c_contig,
                                      nanobind::device::cpu>;

    ResidualBuilder(const ResidualBuilder&) = delete;
    explicit ResidualBuilder(int scale) { plan_.scale = scale; }

    void step(int upscale, int low_bits);
    void table(bool high, bool reflect, const Offsets& offsets, const Entries& entries);
    ResidualPlan take();

  private:
    ResidualPlan plan_;
};

}  // namespace lutra
