// What the C interface hands out: a loaded model, and statuses.
#pragma once

#include <cstdlib>
#include <new>
#include <optional>
#include <stdexcept>
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

// Keeps the text for lutra_error, and returns the status.
lutra_status fail(lutra_status status, const char* text);

// Runs `work`, which returns a status. `mistaken`: that of std::invalid_argument.
template <class Work>
lutra_status guarded(lutra_status mistaken, Work work) noexcept {
    try {
        return work();
    } catch (const std::invalid_argument& error) {
        return fail(mistaken, error.what());
    } catch (const std::bad_alloc&) {
        return fail(LUTRA_NO_MEMORY, "there is not enough memory");
    } catch (const std::exception& error) {
        return fail(LUTRA_FAILED, error.what());
    } catch (...) {
        return fail(LUTRA_FAILED, "an unknown error");
    }
}

}  // namespace lutra
