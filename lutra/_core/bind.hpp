// The parts of the Python module.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <utility>

#include "plan.hpp"

namespace lutra {

void bind_ensemble(nanobind::module_& module);
void bind_patches(nanobind::module_& module);

// Where a unit's taps lie under every rotation; throws nanobind::value_error.
inline void set_offsets(Unit& unit, const std::array<std::pair<int, int>, 4>& offsets) {
    for (int tap = 0; tap < 4; ++tap) {
        auto [row, column] = offsets[tap];
        if (row < 0 || row > kMaxReach || column < 0 || column > kMaxReach)
            throw nanobind::value_error("plan: an offset out of range");
        unit.reach = std::max({unit.reach, row, column});
        for (int rotation = 0; rotation < 4; ++rotation) {
            unit.row[rotation][tap] = row;
            unit.column[rotation][tap] = column;
            turn(1, row, column);
        }
    }
}

}  // namespace lutra
