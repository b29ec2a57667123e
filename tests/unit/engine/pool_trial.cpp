// Memory runs out within run_parallel, at every allocation in turn, each time in a process of its own; afterwards the
// pool must work as before. Compiled and run by test_pool.py.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "pool.hpp"

namespace {

thread_local long allocations_left = -1;  // of this thread, before the one that fails; negative: none fails
bool failed = false;

// Whether every task ran once, and on no more threads than asked for.
bool runs(int tasks, int threads) {
    std::atomic<int> done{0}, beyond{0};
    lutra::run_parallel(tasks, threads, [&](int, int worker) {
        ++done;
        if (worker >= threads) ++beyond;
    });
    return done == tasks && beyond == 0;
}

enum Outcome { fine, fine_without_failure, wrong };

Outcome try_once(int threads, long after) {
    allocations_left = after;
    try {
        if (!runs(2000, threads)) return wrong;
    } catch (const std::bad_alloc&) {
    }
    allocations_left = -1;
    for (int i = 0; i < 50; ++i)
        if (!runs(50, 2)) return wrong;
    return failed ? fine : fine_without_failure;
}

}  // namespace

void* operator new(std::size_t size) {
    if (allocations_left >= 0 && allocations_left-- == 0) {
        failed = true;
        throw std::bad_alloc();
    }
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main() {
    for (int threads : {2, 4, 200}) {
        for (long after = 0;; ++after) {
            if (const pid_t child = fork(); child == 0) {
                alarm(300);
                _exit(try_once(threads, after));
            }
            int status = 0;
            wait(&status);
            if (status == fine_without_failure << 8) break;
            if (status != fine) return std::printf("%d threads, failure %ld: status %d\n", threads, after, status), 1;
        }
    }
}
