// Locks, and what they guard, that a forked child does not share with its parent.
#pragma once

#include <atomic>

namespace lutra {

extern std::atomic<unsigned> forks;  // from the process that loaded this module to this one

// A T for every process, made when it is first used. A forked child makes a new one and leaves its parent's alone: a
// thread that the child does not have may have held its lock in the middle of a change. `get` takes no lock.
template <class T>
class PerProcess {
  public:
    constexpr PerProcess() = default;
    PerProcess(const PerProcess&) = delete;

    T& get() {
        const unsigned now = forks;
        Owned* found = owned_.load(std::memory_order_acquire);
        if (found && found->forks == now) return found->value;
        auto* made = new Owned{now, {}};
        if (owned_.compare_exchange_strong(found, made)) return made->value;
        delete made;  // another thread was faster
        return found->value;
    }

    // Call this in the owner's destructor.
    void destroy() {
        Owned* found = owned_.exchange(nullptr);
        if (found && found->forks == forks) delete found;
    }

  private:
    struct Owned {
        unsigned forks;
        T value;
    };
    std::atomic<Owned*> owned_{nullptr};
};

}  // namespace lutra
