// See engine.hpp.
#include "engine.hpp"

#include <algorithm>
#include <stdexcept>

namespace lutra {
namespace {

constexpr int kStripWidth = 640;  // pixels: the rows in use of all planes stay in the second-level cache
constexpr std::size_t kIdleWorkers = 16;

#ifdef LUTRA_X86
// The features that the compiler may use in a level's code: those that CMakeLists.txt allows, and those that they
// imply. A virtual machine may hide any of them. Each check includes that the system saves the registers.
bool runs_avx2() {
    return __builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
           __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("avx") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

bool runs_avx512() {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
}
#endif

std::vector<const Kernels*> runnable() {
#ifdef LUTRA_WASM
    std::vector<const Kernels*> found{&wasm_kernels};
#else
    std::vector<const Kernels*> found{&portable_kernels};
#endif
#ifdef LUTRA_X86
    __builtin_cpu_init();
    if (runs_avx2()) found.push_back(&avx2_kernels);
    if (runs_avx512()) found.push_back(&avx512_kernels);
#endif
#ifdef LUTRA_ARM
    found.push_back(&neon_kernels);  // every 64-bit ARM processor runs them
#endif
    return found;
}

// Strips as narrow as the cache likes; bands of rows only as far as threads need work, because their borders are
// computed twice.
std::vector<Rectangle> divide(int margin, const Image& image, int threads) {
    const int strips = (image.width + kStripWidth - 1) / kStripWidth;
    const int worthwhile = std::max(1, image.height / std::max(16, 24 * margin));
    int bands = 1;
    if (threads > 1 && strips < 4 * threads)
        bands = std::clamp(worthwhile, std::min(threads, image.height), 4 * threads);
    if (bands > threads) bands -= bands % threads;  // five bands keep two threads busy for as long as six
    bands = std::min(bands, image.height);
    std::vector<Rectangle> parts;
    const auto edge = [](int size, int count, int i) { return static_cast<int>(std::int64_t{size} * i / count); };
    for (int band = 0; band < bands; ++band)
        for (int strip = 0; strip < strips; ++strip)
            parts.push_back({edge(image.height, bands, band), edge(image.height, bands, band + 1),
                             edge(image.width, strips, strip), edge(image.width, strips, strip + 1)});
    return parts;
}

}  // namespace

const Kernels& best_kernels(const std::string& level) {
    const auto found = runnable();
    if (level.empty()) return *found.back();
    for (const Kernels* kernels : found)
        if (level == kernels->name) return *kernels;
    std::string known;
    for (const Kernels* kernels : found) known += (known.empty() ? "" : ", ") + std::string(kernels->name);
    throw std::invalid_argument("vector level '" + level + "': this processor has " + known);
}

std::vector<std::string> levels() {
    std::vector<std::string> names;
    for (const Kernels* kernels : runnable()) names.emplace_back(kernels->name);
    return names;
}

Engine::Engine(std::unique_ptr<Program> program, const std::string& level)
    : program_(std::move(program)), kernels_(&best_kernels(level)) {
    program_->prepare(*kernels_);
}

std::unique_ptr<Worker> Engine::take(int channels, int width) {
    Idle& idle = idle_.get();
    {
        const std::lock_guard lock(idle.mutex);
        for (auto& worker : idle.workers)
            if (worker->fits(channels, width)) {
                std::swap(worker, idle.workers.back());
                auto found = std::move(idle.workers.back());
                idle.workers.pop_back();
                return found;
            }
    }
    return program_->worker(channels, width);
}

void Engine::give(std::unique_ptr<Worker> worker) {
    Idle& idle = idle_.get();
    const std::lock_guard lock(idle.mutex);
    if (idle.workers.size() >= kIdleWorkers) idle.workers.erase(idle.workers.begin());
    idle.workers.push_back(std::move(worker));
}

void Engine::restore(const Image& input, const Image& output, int threads, Watch& watch) {
    threads = useful_threads(threads);
    const auto parts = divide(program_->margin(), input, threads);
    const std::size_t count = std::min(parts.size(), static_cast<std::size_t>(threads));
    const int width = std::min(input.width, kStripWidth), channels = std::max(input.channels, colours());
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::size_t i = 0; i < count; ++i) workers.push_back(take(channels, width));
    const auto work = [&](int part, int worker) {
        workers[worker]->restore(*kernels_, input, output, parts[part], watch);
    };
    run_parallel(static_cast<int>(parts.size()), static_cast<int>(count), work, &watch);
    for (auto& worker : workers) give(std::move(worker));
}

}  // namespace lutra
