// The parts of the Python module.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>
#include <vector>

#include <unistd.h>

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
            for (;;) pause();
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
void bind_builders(nanobind::module_& module);
void bind_resample(nanobind::module_& module);
void bind_patches(nanobind::module_& module);
}  // namespace lutra
