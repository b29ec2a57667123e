// Threads that are kept between calls and shared by everything in the process that computes.
#pragma once

#include <functional>

namespace lutra {

// Calls work(task, worker) for every task of 0..tasks-1, each once, on up to `threads` threads, the caller's among
// them; `worker` is below `threads` and no two threads have the same. Returns when all are done, and throws what one
// threw.
void run_parallel(int tasks, int threads, const std::function<void(int task, int worker)>& work);

}  // namespace lutra
