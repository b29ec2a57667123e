// The parts of the Python module.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <tuple>
#include <utility>
#include <vector>

#include "plan.hpp"

#ifndef _WIN32
#include <unistd.h>
#endif

namespace lutra {

// Releases the GIL, to its own end or to `lock`.
//
// While the interpreter ends, Python before 3.14 ends every other thread that asks for the GIL, by unwinding its stack.
// nanobind's functions cannot be unwound (they are noexcept), and the process would abort. Here such a thread waits
// for the end of the process, as it does in later versions of Python.
class Unlocked {
  public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    Unlocked(const Unlocked&) = delete;
    ~Unlocked() { lock(); }

    void lock() {
        if (!state_) return;
        try {
            PyEval_RestoreThread(std::exchange(state_, nullptr));
        } catch (...) {
#ifndef _WIN32
            for (;;) pause();
#endif
        }
    }

    // Whether the Python handler of a signal raised an exception, which is then set. Python runs handlers on the main
    // thread only.
    bool signalled() {
        lock();
        const bool raised = PyErr_CheckSignals() != 0;
        state_ = PyEval_SaveThread();
        return raised;
    }

  private:
    PyThreadState* state_;
};

// Throws nanobind::value_error unless the condition holds.
inline void require(bool condition, const char* what) {
    if (!condition) throw nanobind::value_error(what);
}

void bind_ensemble(nanobind::module_& module);
void bind_sums(nanobind::module_& module);
void bind_layers(nanobind::module_& module);
void bind_residuals(nanobind::module_& module);
void bind_resample(nanobind::module_& module);
void bind_patches(nanobind::module_& module);

// Where a unit's taps lie under the rotations that it is applied at, `turns`, or all of its step's; throws
// nanobind::value_error.
inline void set_offsets(Unit& unit, const std::array<std::pair<int, int>, 4>& offsets, const std::vector<int>& turns) {
    require(turns.size() <= 4, "plan: at most 4 rotations");
    for (int turned : turns) require(turned >= 0 && turned <= 3, "plan: a rotation out of range");
    if (!turns.empty()) unit.rotations = static_cast<int>(turns.size());
    for (int tap = 0; tap < 4; ++tap) {
        const auto [row, column] = offsets[tap];
        if (row < 0 || row > kMaxReach || column < 0 || column > kMaxReach)
            throw nanobind::value_error("plan: an offset out of range");
        unit.reach = std::max({unit.reach, row, column});
        for (int rotation = 0; rotation < unit.rotations; ++rotation) {
            std::tie(unit.row[rotation][tap], unit.column[rotation][tap]) = offsets[tap];
            turn(turns.empty() ? rotation : turns[rotation], unit.row[rotation][tap], unit.column[rotation][tap]);
        }
    }
}

}  // namespace lutra
