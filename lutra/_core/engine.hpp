// A program ready to run: chooses kernels for this processor and divides images between threads.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "process.hpp"
#include "program.hpp"

namespace lutra {

class Engine {
  public:
    // level: "portable", "avx2", "avx512", "neon", or empty for the best this processor has.
    Engine(std::unique_ptr<Program> program, const std::string& level);
    ~Engine() { idle_.destroy(); }
    const char* level() const { return kernels_->name; }
    int scale() const { return program_->scale(); }
    int colours() const { return program_->colours(); }
    int outputs() const { return program_->outputs(); }
    // input: 1 to 4 channels; of a program that restores colours together, those or gray.
    // output: scale * height x scale * width, or the planes [channel][plane][row][column] of a program that has
    // outputs; incomplete if `watch` ends it. Several threads may call it at once.
    void restore(const Image& input, const Image& output, int threads, Watch& watch);

  private:
    struct Idle {
        std::mutex mutex;
        std::vector<std::unique_ptr<Worker>> workers;
    };

    std::unique_ptr<Worker> take(int channels, int width);
    void give(std::unique_ptr<Worker> worker);

    std::unique_ptr<Program> program_;
    const Kernels* kernels_;
    PerProcess<Idle> idle_;
};

std::vector<std::string> levels();  // that this processor can run, slowest first

}  // namespace lutra
