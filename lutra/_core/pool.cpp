// See pool.hpp.
#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#ifndef _WIN32
#include <unistd.h>
#endif

namespace lutra {
namespace {

// How long a thread that has nothing to do looks for work before it sleeps: the next frame, or the next step of a
// training, often comes sooner than the system wakes a thread.
constexpr auto kAwake = std::chrono::microseconds(200);

void rest() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

template <class Condition>
void spin_until(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + kAwake;
    while (!condition() && std::chrono::steady_clock::now() < until) rest();
}

// One call of run_parallel.
struct Job {
    Job(int count, const std::function<void(int, int)>& function) : work(function), tasks(count) {}

    const std::function<void(int, int)>& work;
    const int tasks;
    std::atomic<int> next{0};
    int joined = 1;               // threads that took part so far, the caller among them
    std::atomic<int> running{0};  // helpers at work; changed under the pool's mutex
    std::exception_ptr error;
    std::mutex error_mutex;

    void help(int worker) {
        try {
            for (int task; (task = next.fetch_add(1)) < tasks;) work(task, worker);
        } catch (...) {
            const std::lock_guard lock(error_mutex);
            error = std::current_exception();
            next = tasks;
        }
    }
};

class Pool {
  public:
    void run(Job& job, int helpers) {
        {
            const std::lock_guard lock(mutex_);
            grow(helpers);
            helpers = std::min(helpers, workers_);
            for (int i = 0; i < helpers; ++i) wanted_.push_back(&job);
            waiting_ = wanted_.size();
        }
        for (int i = 0; i < helpers; ++i) wake_.notify_one();
        job.help(0);
        std::unique_lock lock(mutex_);
        wanted_.erase(std::remove(wanted_.begin(), wanted_.end(), &job), wanted_.end());
        waiting_ = wanted_.size();
        lock.unlock();
        spin_until([&] { return job.running == 0; });
        lock.lock();
        done_.wait(lock, [&] { return job.running == 0; });
    }

  private:
    void grow(int count) {
        try {
            for (; workers_ < count; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            // No more threads to be had: those that run do the work.
        }
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            lock.unlock();
            spin_until([this] { return waiting_ > 0; });
            lock.lock();
            wake_.wait(lock, [this] { return !wanted_.empty(); });
            Job& job = *wanted_.front();
            wanted_.pop_front();
            waiting_ = wanted_.size();
            const int worker = job.joined++;
            ++job.running;
            lock.unlock();
            job.help(worker);
            lock.lock();
            if (--job.running == 0) done_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::deque<Job*> wanted_;              // once for every helper that a job has room for
    std::atomic<std::size_t> waiting_{0};  // how many, for threads that look without the mutex
    int workers_ = 0;
};

// Never destroyed: its threads live as long as the process. A forked child has none of them and starts its own.
Pool& pool() {
    static std::mutex mutex;
    static Pool* shared = nullptr;
#ifndef _WIN32
    static pid_t owner = 0;
    const std::lock_guard lock(mutex);
    if (owner != getpid()) {
        shared = new Pool;
        owner = getpid();
    }
#else
    const std::lock_guard lock(mutex);
    if (!shared) shared = new Pool;
#endif
    return *shared;
}

}  // namespace

void run_parallel(int tasks, int threads, const std::function<void(int, int)>& work) {
    Job job(tasks, work);
    const int helpers = std::min(tasks, threads) - 1;
    if (helpers > 0)
        pool().run(job, helpers);
    else
        job.help(0);
    if (job.error) std::rethrow_exception(job.error);
}

}  // namespace lutra
