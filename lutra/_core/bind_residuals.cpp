// The part of the Python module that builds plans of residuals.
#include "bind_residuals.hpp"

#include <utility>

#include "bind.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra {
void ResidualBuilder::step(int upscale, int low_bits) {
    require(plan_.steps.size() < 64 && upscale >= 1 && upscale <= 8 && low_bits >= 1 && low_bits <= 7,
            "plan: too many steps, or an upscale or bits out of range");
    ResidualStep& step = plan_.steps.emplace_back();
    step.upscale = upscale;
    step.low_bits = low_bits;
}

void ResidualBuilder::table(bool high, bool reflect, const Offsets& offsets, const Entries& entries) {
    require(!plan_.steps.empty() && plan_.steps.back().tables.size() < 64 && offsets.shape(1) <= kMostDirectTaps &&
                entries.shape(1) <= kMostEntries && entries.shape(2) <= 64,
            "plan: a table without a step, too many, or one that is too large");
    DirectTable& table = plan_.steps.back().tables.emplace_back();
    table.high = high;
    table.reflect = reflect;
    table.taps = static_cast<int>(offsets.shape(1));
    const std::int32_t* place = offsets.data();
    const std::size_t size = entries.shape(1) * entries.shape(2);
    for (int rotation = 0; rotation < 4; ++rotation) {
        for (int tap = 0; tap < table.taps; ++tap, place += 2) table.offsets[rotation][tap] = {place[0], place[1]};
        const std::int8_t* first = entries.data() + rotation * size;
        table.entries[rotation].assign(first, first + size);
    }
}

ResidualPlan ResidualBuilder::take() {
    require(!plan_.steps.empty(), "plan: used before, or without steps");
    ResidualPlan plan = std::move(plan_);
    plan_ = {};
    plan.finish();
    return plan;
}

void bind_residuals(nb::module_& module) {
    nb::class_<ResidualBuilder>(module, "ResidualBuilder")
        .def(nb::init<int>(), "scale"_a)
        .def("step", &ResidualBuilder::step, "upscale"_a, "low_bits"_a)
        .def("table", &ResidualBuilder::table, "high"_a, "reflect"_a, "offsets"_a, "entries"_a);
}

}  // namespace lutra
