// Plan files (docs/format.md) become programs.
#pragma once

#include <memory>
#include <string>

#include "program.hpp"

namespace lutra {

struct PlanFile {
    std::unique_ptr<Program> program;
    std::string title;
    int planes = 0;  // what the model was trained on: lutra_planes
};

inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::size_t kMostBytes = std::size_t{1} << 30;

// The size that a file of this header has. Both throw std::invalid_argument.
std::size_t size_of_plan(const std::uint8_t* header, std::size_t size);
PlanFile read_plan(const std::uint8_t* data, std::size_t size);

}  // namespace lutra
