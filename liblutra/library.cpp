// The C interface: arguments are checked here, and no exception leaves.
#include "lutra.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>

#include "engine.hpp"
#include "reader.hpp"

#ifdef __linux__
#include <sched.h>
#endif

struct lutra_model {
    lutra_model(std::unique_ptr<lutra::Program> program, std::string text, int planes)
        : margin(program->margin()),
          planes(static_cast<lutra_planes>(planes)),
          title(std::move(text)),
          engine(std::move(program), level()) {}

    static const char* level() {
        const char* chosen = std::getenv("LUTRA_SIMD");
        return chosen ? chosen : "";
    }

    int margin;
    lutra_planes planes;
    std::string title;
    mutable lutra::Engine engine;
};

namespace {

thread_local char error_text[512] = "";
std::atomic<int> models{0};  // that exist

lutra_status fail(lutra_status status, const char* text) {
    std::snprintf(error_text, sizeof(error_text), "%s", text);
    return status;
}

lutra_status fail_at(const char* path, lutra_status status, const char* text) {
    char whole[sizeof(error_text)];
    std::snprintf(whole, sizeof(whole), "%.300s: %s", path, text);
    return fail(status, whole);
}

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

// A model that is counted while it is made, so that its memory cannot change its source.
lutra_status load(const std::uint8_t* data, std::size_t size, lutra_model** model) {
    lutra::PlanFile file = lutra::read_plan(data, size);
    return guarded(LUTRA_BAD_ARGUMENT, [&] {  // what is left to go wrong is the vector level
        *model = new lutra_model(std::move(file.program), std::move(file.title), file.planes);
        return LUTRA_OK;
    });
}

template <class Work>
lutra_status loading(lutra_model** model, Work work) noexcept {
    if (!model) return fail(LUTRA_BAD_ARGUMENT, "model is null");
    *model = nullptr;
    ++models;
    const lutra_status status = guarded(LUTRA_BAD_PLAN, work);
    if (status != LUTRA_OK) --models;
    return status;
}

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

// Memory grows with what the file really holds, whatever its header promises.
lutra_status load_file(const char* path, lutra_model** model) {
    constexpr std::size_t kPiece = 1 << 20;
    errno = 0;
    const std::unique_ptr<std::FILE, Close> file(std::fopen(path, "rb"));
    if (!file) return fail_at(path, LUTRA_CANNOT_READ, std::strerror(errno ? errno : EIO));
    std::vector<std::uint8_t> bytes(lutra::kHeaderBytes);
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
    if (std::ferror(file.get())) return fail_at(path, LUTRA_CANNOT_READ, std::strerror(errno ? errno : EIO));
    const std::size_t size = lutra::size_of_plan(bytes.data(), bytes.size());
    for (std::size_t read = 1; read > 0 && bytes.size() <= size;) {  // one more byte would be too many
        const std::size_t held = bytes.size();
        bytes.resize(held + std::min(kPiece, size + 1 - held));
        read = std::fread(bytes.data() + held, 1, bytes.size() - held, file.get());
        bytes.resize(held + read);
        if (std::ferror(file.get())) return fail_at(path, LUTRA_CANNOT_READ, std::strerror(errno ? errno : EIO));
    }
    return load(bytes.data(), bytes.size(), model);
}

int processors() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Whether `height` rows of `row` bytes, `stride` apart, are rows apart from each other in memory that can be.
bool fits(std::int64_t row, std::int64_t height, std::int64_t stride) {
    constexpr std::int64_t most = std::numeric_limits<std::ptrdiff_t>::max();
    if (stride < -most) return false;
    const std::int64_t distance = stride < 0 ? -stride : stride;
    return distance >= row && row <= most && (height - 1) <= (most - row) / distance;
}

}  // namespace

int lutra_abi(void) { return LUTRA_ABI; }

const char* lutra_version(void) { return LUTRA_VERSION; }

const char* lutra_error(void) { return error_text; }

lutra_status lutra_load_file(const char* path, lutra_model** model) {
    const lutra_status status =
        loading(model, [&] { return path ? load_file(path, model) : fail(LUTRA_BAD_ARGUMENT, "path is null"); });
    return status == LUTRA_BAD_PLAN ? fail_at(path, status, error_text) : status;
}

lutra_status lutra_load_memory(const void* bytes, size_t size, lutra_model** model) {
    return loading(model, [&] {
        return bytes ? load(static_cast<const std::uint8_t*>(bytes), size, model)
                     : fail(LUTRA_BAD_ARGUMENT, "bytes is null");
    });
}

void lutra_free(lutra_model* model) {
    if (!model) return;
    delete model;
    --models;
}

int lutra_scale(const lutra_model* model) { return model ? model->engine.scale() : 0; }

int lutra_colours(const lutra_model* model) { return model ? model->engine.colours() : 0; }

int lutra_margin(const lutra_model* model) { return model ? model->margin : 0; }

lutra_planes lutra_trained_planes(const lutra_model* model) { return model ? model->planes : LUTRA_EACH_PLANE; }

const char* lutra_title(const lutra_model* model) { return model ? model->title.c_str() : ""; }

const char* lutra_level(const lutra_model* model) { return model ? model->engine.level() : ""; }

lutra_status lutra_restore(const lutra_model* model, const uint8_t* in, ptrdiff_t in_stride, int width, int height,
                           int channels, uint8_t* out, ptrdiff_t out_stride, int threads) {
    constexpr int kMostSide = 1 << 27, kMostThreads = 1024;
    if (!model || !in || !out) return fail(LUTRA_BAD_ARGUMENT, "model, in or out is null");
    if (width < 1 || height < 1 || width > kMostSide || height > kMostSide)
        return fail(LUTRA_BAD_ARGUMENT, "width or height is out of range, expected 1 to 134217728");
    if (channels < 1 || channels > 4) return fail(LUTRA_BAD_ARGUMENT, "channels is out of range, expected 1 to 4");
    if (const int colours = model->engine.colours(); channels != 1 && channels % colours != 0)
        return fail(LUTRA_BAD_ARGUMENT, "channels is neither 1 nor 3, and the model restores three colours together");
    if (threads < 0) return fail(LUTRA_BAD_ARGUMENT, "threads is negative");
    const int scale = model->engine.scale();
    const std::int64_t row = std::int64_t{width} * channels;
    if (!fits(row, height, in_stride)) return fail(LUTRA_BAD_ARGUMENT, "in_stride is less than a row, or too large");
    if (!fits(row * scale, std::int64_t{height} * scale, out_stride))
        return fail(LUTRA_BAD_ARGUMENT, "out_stride is less than a row, or too large");
    if (in == out) return fail(LUTRA_BAD_ARGUMENT, "out shares memory with in");
    return guarded(LUTRA_BAD_ARGUMENT, [&] {
        // The input is only read: Image serves both ways.
        const lutra::Image from{const_cast<std::uint8_t*>(in), height, width, channels, in_stride};
        const lutra::Image to{out, height * scale, width * scale, channels, out_stride};
        lutra::Watch watch([] { return false; });
        model->engine.restore(from, to, std::min(threads ? threads : processors(), kMostThreads), watch);
        return LUTRA_OK;
    });
}

lutra_status lutra_set_memory(const lutra_memory* memory) {
    static const lutra::MemorySource usual = lutra::memory_source;
    if (models > 0) return fail(LUTRA_BAD_ARGUMENT, "the memory cannot change while a model is loaded");
    if (memory && (!memory->allocate || !memory->release)) return fail(LUTRA_BAD_ARGUMENT, "a function is null");
    lutra::memory_source =
        memory ? lutra::MemorySource{memory->allocate, memory->release, memory->context} : usual;
    return LUTRA_OK;
}
