// Threads that are kept between calls and shared by everything in the process that computes.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace lutra {

// Lets the thread that started a computation end it early. Every thread at work calls `over` now and then; the calls of
// the thread that made the watch also run `ask`, ten times a second.
class Watch {
  public:
    static constexpr auto kInterval = std::chrono::milliseconds(100);

    explicit Watch(std::function<bool()> ask) : ask_(std::move(ask)) {}

    bool over() {
        if (std::this_thread::get_id() == caller_ && Clock::now() >= next_) {
            if (ask_()) stopped_.store(true, std::memory_order_relaxed);
            next_ = Clock::now() + kInterval;
        }
        return stopped();
    }
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  private:
    using Clock = std::chrono::steady_clock;

    std::function<bool()> ask_;
    const std::thread::id caller_ = std::this_thread::get_id();
    Clock::time_point next_ = Clock::now() + kInterval;
    std::atomic<bool> stopped_{false};
};

// The threads to use where `wanted` are asked for: no more than the machine has processors, or four.
int useful_threads(int wanted);

// Calls work(task, worker) for every task of 0..tasks-1, each once, on up to `threads` threads, the caller's among
// them; `worker` is below `threads` and no two threads have the same. Returns when all are done, and throws what one
// threw. While it waits for other threads it calls `watch`, which `work` obeys.
void run_parallel(int tasks, int threads, const std::function<void(int task, int worker)>& work,
                  Watch* watch = nullptr);

}  // namespace lutra
