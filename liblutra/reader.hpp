// Plan files (docs/format.md) become programs.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "program.hpp"
#include "resample_kernels.hpp"

namespace lutra {

// What makes results of any size of the outputs of a program.
struct Resampling {
    int scale;  // the factor where no size is asked for
    bool replicate;
    KernelNumbers numbers;
};

struct PlanFile {
    std::unique_ptr<Program> program;
    std::optional<Resampling> resampling;
    std::string title;
    int planes = 0;  // what the model was trained on: lutra_planes
};

inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::size_t kMostBytes = std::size_t{1} << 30;

// The size that a file of this header has. Both throw std::invalid_argument.
std::size_t size_of_plan(const std::uint8_t* header, std::size_t size);
PlanFile read_plan(const std::uint8_t* data, std::size_t size);

}  // namespace lutra
