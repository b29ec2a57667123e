// The C interface: arguments are checked here, and no exception leaves.
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>

#include "model.hpp"

#ifdef __linux__
#include <sched.h>
#endif

namespace {

thread_local char error_text[512] = "";
std::atomic<int> models{0};  // that exist

using lutra::fail;
using lutra::guarded;

lutra_status fail_at(const char* path, lutra_status status, const char* text) {
    char whole[sizeof(error_text)];
    std::snprintf(whole, sizeof(whole), "%.300s: %s", path, text);
    return fail(status, whole);
}

// A model that is counted while it is made, so that its memory cannot change its source.
lutra_status load(const std::uint8_t* data, std::size_t size, lutra_model** model) {
    lutra::PlanFile file = lutra::read_plan(data, size);
    return guarded(LUTRA_BAD_ARGUMENT, [&] {  // what is left to go wrong is the vector level
        *model = new lutra_model(std::move(file));
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

// What a call reads and writes.
struct Pixels {
    const std::uint8_t* in;
    std::ptrdiff_t in_stride;
    int width, height, channels;
    std::uint8_t* out;
    std::ptrdiff_t out_stride;
    std::int64_t out_width, out_height;
    int threads;

    // The input is only read: Image serves both ways.
    lutra::Image from() const { return {const_cast<std::uint8_t*>(in), height, width, channels, in_stride}; }
    lutra::Image to() const {
        return {out, static_cast<int>(out_height), static_cast<int>(out_width), channels, out_stride};
    }
    int used_threads() const { return std::min(threads ? threads : processors(), 1024); }
};

bool is_side(int size) { return size >= 1 && size <= lutra::kMostSide; }

// What is wrong with the arguments of a call; null if nothing is.
const char* mistake(const lutra_model* model, const Pixels& pixels) {
    if (!model || !pixels.in || !pixels.out) return "model, in or out is null";
    if (!is_side(pixels.width) || !is_side(pixels.height))
        return "width or height is out of range, expected 1 to 134217728";
    if (pixels.channels < 1 || pixels.channels > 4) return "channels is out of range, expected 1 to 4";
    if (pixels.channels != 1 && pixels.channels % model->engine.colours() != 0)
        return "channels is neither 1 nor 3, and the model restores three colours together";
    if (pixels.threads < 0) return "threads is negative";
    if (!fits(std::int64_t{pixels.width} * pixels.channels, pixels.height, pixels.in_stride))
        return "in_stride is less than a row, or too large";
    if (!fits(pixels.out_width * pixels.channels, pixels.out_height, pixels.out_stride))
        return "out_stride is less than a row, or too large";
    if (pixels.in == pixels.out) return "out shares memory with in";
    return nullptr;
}

lutra_status restore_sizes(const lutra_model& model, const Pixels& pixels, const lutra::Sizes& sizes) {
    const lutra::Image to = pixels.to();
    model.any_size->restore(model.engine, {pixels.from(), 0, 0}, sizes, {0, to.height, 0, to.width}, to,
                            pixels.used_threads());
    return LUTRA_OK;
}

}  // namespace

lutra_status lutra::fail(lutra_status status, const char* text) {
    std::snprintf(error_text, sizeof(error_text), "%s", text);
    return status;
}

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

int lutra_scale(const lutra_model* model) {
    if (!model) return 0;
    return model->any_size ? model->any_size->scale() : model->engine.scale();
}

int lutra_any_size(const lutra_model* model) { return model && model->any_size; }

int lutra_colours(const lutra_model* model) { return model ? model->engine.colours() : 0; }

int lutra_margin(const lutra_model* model) {
    if (!model) return 0;
    return model->any_size ? model->any_size->margin() : model->margin;
}

lutra_planes lutra_trained_planes(const lutra_model* model) { return model ? model->planes : LUTRA_EACH_PLANE; }

const char* lutra_title(const lutra_model* model) { return model ? model->title.c_str() : ""; }

const char* lutra_level(const lutra_model* model) { return model ? model->engine.level() : ""; }

lutra_status lutra_restore(const lutra_model* model, const uint8_t* in, ptrdiff_t in_stride, int width, int height,
                           int channels, uint8_t* out, ptrdiff_t out_stride, int threads) {
    const std::int64_t scale = lutra_scale(model);
    const Pixels pixels{in,  in_stride,  width,         height,         channels,
                        out, out_stride, width * scale, height * scale, threads};
    if (const char* text = mistake(model, pixels)) return fail(LUTRA_BAD_ARGUMENT, text);
    return guarded(LUTRA_BAD_ARGUMENT, [&] {
        if (model->any_size)
            return restore_sizes(*model, pixels, {model->any_size->own(height), model->any_size->own(width)});
        lutra::Watch watch([] { return false; });
        model->engine.restore(pixels.from(), pixels.to(), pixels.used_threads(), watch);
        return LUTRA_OK;
    });
}

lutra_status lutra_restore_to(const lutra_model* model, const uint8_t* in, ptrdiff_t in_stride, int width, int height,
                              int channels, uint8_t* out, ptrdiff_t out_stride, int out_width, int out_height,
                              double scale, int threads) {
    const Pixels pixels{in, in_stride, width, height, channels, out, out_stride, out_width, out_height, threads};
    if (!is_side(out_width) || !is_side(out_height))
        return fail(LUTRA_BAD_ARGUMENT, "out_width or out_height is out of range, expected 1 to 134217728");
    if (!(scale >= 0 && scale <= lutra::kMostSide)) return fail(LUTRA_BAD_ARGUMENT, "scale is out of range");
    if (const char* text = mistake(model, pixels)) return fail(LUTRA_BAD_ARGUMENT, text);
    if (!model->any_size) return fail(LUTRA_BAD_ARGUMENT, "the model restores at one scale alone");
    return guarded(LUTRA_BAD_ARGUMENT, [&] {
        const lutra::AnySize& any_size = *model->any_size;
        return restore_sizes(*model, pixels,
                             {any_size.asked(height, out_height, scale), any_size.asked(width, out_width, scale)});
    });
}

lutra_status lutra_set_memory(const lutra_memory* memory) {
    static const lutra::MemorySource usual = lutra::memory_source;
    if (models > 0) return fail(LUTRA_BAD_ARGUMENT, "the memory cannot change while a model is loaded");
    if (memory && (!memory->allocate || !memory->release)) return fail(LUTRA_BAD_ARGUMENT, "a function is null");
    lutra::memory_source = memory ? lutra::MemorySource{memory->allocate, memory->release, memory->context} : usual;
    return LUTRA_OK;
}
