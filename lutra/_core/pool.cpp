// See pool.hpp.
#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <thread>

#include "process.hpp"

namespace lutra {
namespace {

// At least four, so that tests of several threads mean something on a small machine.
const int kMostThreads = std::max(4, static_cast<int>(std::thread::hardware_concurrency()));

// How long a thread that has nothing to do looks for work before it sleeps: the next frame, or the next step of a
// training, often comes sooner than the system wakes a thread. Every few looks it offers its processor to others.
constexpr auto kAwake = std::chrono::microseconds(200);
constexpr int kLooks = 16;

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
    for (int looks = 1; !condition() && std::chrono::steady_clock::now() < until; ++looks)
        looks % kLooks ? rest() : std::this_thread::yield();
}

// One call of run_parallel.
struct Job {
    Job(int count, const std::function<void(int, int)>& function) : work(function), tasks(count) {}

    const std::function<void(int, int)>& work;
    const int tasks;
    std::atomic<int> next{0};
    std::list<Job*> entry{this};  // in the pool's list while the job has room for helpers
    int room = 0;                 // for helpers that are still to come
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
    // Throws nothing: a job that is on the list stays there until its helpers are done.
    void run(Job& job, int helpers, Watch* watch) {
        {
            const std::lock_guard lock(mutex_);
            grow(helpers);
            helpers = std::min(helpers, workers_);
            if (helpers > 0) wanted_.splice(wanted_.end(), job.entry);
            job.room = helpers;
            waiting_ += helpers;
        }
        for (int i = 0; i < helpers; ++i) wake_.notify_one();
        job.help(0);
        std::unique_lock lock(mutex_);
        if (job.room > 0) close(job);
        lock.unlock();
        const auto done = [&] { return job.running == 0; };
        spin_until(done);
        lock.lock();
        if (!watch) return done_.wait(lock, done);
        while (!done_.wait_for(lock, Watch::kInterval, done)) {
            lock.unlock();
            watch->over();
            lock.lock();
        }
    }

  private:
    void grow(int count) {
        try {
            for (; workers_ < count; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::exception&) {
            // No more threads or memory to be had: those that run do the work.
        }
    }

    void close(Job& job) {
        waiting_ -= job.room;
        job.room = 0;
        job.entry.splice(job.entry.end(), wanted_, std::find(wanted_.begin(), wanted_.end(), &job));
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            lock.unlock();
            spin_until([this] { return waiting_ > 0; });
            lock.lock();
            wake_.wait(lock, [this] { return !wanted_.empty(); });
            Job& job = *wanted_.front();
            --job.room;
            --waiting_;
            if (job.room == 0) close(job);
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
    std::list<Job*> wanted_;       // those with room for helpers
    std::atomic<int> waiting_{0};  // their room, for threads that look without the mutex
    int workers_ = 0;
};

// Never destroyed: its threads live as long as the process. A forked child has none of them and starts its own.
constinit PerProcess<Pool> pool;

}  // namespace

int useful_threads(int wanted) { return std::min(wanted, kMostThreads); }

void run_parallel(int tasks, int threads, const std::function<void(int, int)>& work, Watch* watch) {
    Job job(tasks, work);
    const int helpers = std::min(tasks, useful_threads(threads)) - 1;
    if (helpers > 0)
        pool.get().run(job, helpers, watch);
    else
        job.help(0);
    if (job.error) std::rethrow_exception(job.error);
}

}  // namespace lutra
