// What the C interface hands out: a loaded model.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

#include "any_size.hpp"
#include "lutra.h"

struct lutra_model {
    explicit lutra_model(lutra::PlanFile file)
        : margin(file.program->margin()),
          planes(static_cast<lutra_planes>(file.planes)),
          title(std::move(file.title)),
          engine(std::move(file.program), level()) {
        if (file.resampling) any_size.emplace(*file.resampling, margin, level());
    }

    static const char* level() {
        const char* chosen = std::getenv("LUTRA_SIMD");
        return chosen ? chosen : "";
    }

    int margin;
    lutra_planes planes;
    std::string title;
    mutable lutra::Engine engine;
    std::optional<lutra::AnySize> any_size;
};

namespace lutra {

inline constexpr int kMostSide = 1 << 27;

}  // namespace lutra
