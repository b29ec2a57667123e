// See sums.hpp.
#include "sums.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "kernels.hpp"
#include "pool.hpp"
#include "sums_run.hpp"

namespace lutra {
namespace {

constexpr int kSlots = 16;  // groups of images, each with sums of its own, whatever the threads

bool divides(const Quotient& by, int most) {
    for (int y = 0; y <= most; ++y)
        if (((y * static_cast<std::int64_t>(by.magic) >> 16) >> by.shift) != y / by.divisor) return false;
    return true;
}

}  // namespace

Quotient Quotient::of(int divisor, int inputs) {
    const int zero = 128 * inputs;
    Quotient by{divisor, 0, 0, 0, 0};
    if (divisor == 1) {
        by.minus = zero;
        return by;
    }
    by.minus = (zero + divisor - 1) / divisor;
    by.add = by.minus * divisor - zero + divisor / 2;
    const int most = 255 * inputs + by.add;
    for (by.shift = 0; by.shift < 15; ++by.shift) {
        const std::int64_t magic = ((std::int64_t{1} << (16 + by.shift)) + divisor - 1) / divisor;
        if (magic > 65535) break;
        by.magic = static_cast<int>(magic);
        if (most <= 65535 && divides(by, most)) return by;
    }
    throw std::invalid_argument("sums: a divisor or a number of inputs that is not supported");
}

struct Sums::Ready {
    std::mutex mutex;
    std::vector<SumsTables> tables;
    std::vector<std::unique_ptr<SumsRun>> runs;          // by thread
    std::vector<std::vector<AlignedArray<float>>> sums;  // by slot and layer
    std::vector<Window> windows;                         // by layer
    std::vector<std::ptrdiff_t> sizes;
};

Sums::Sums(SumsNet net, const std::string& level) : net_(std::move(net)), kernels_(best_kernels(level).sums) {}
Sums::~Sums() { ready_.destroy(); }

void Sums::prepare(const std::vector<const std::int8_t*>& tables, int threads, Ready& ready) const {
    ready.tables.resize(net_.layers.size());
    ready.windows.resize(net_.layers.size());
    ready.sizes.resize(net_.layers.size());
    while (ready.runs.size() < static_cast<std::size_t>(threads))
        ready.runs.push_back(std::make_unique<SumsRun>(net_, *kernels_));
    for (const SumsStep& step : net_.steps) {
        if (step.layer < 0) continue;
        const SumsLayer& layer = net_.layers[step.layer];
        if (layer.own) ready.windows[step.layer] = Window::of(step.taps);
        ready.sizes[step.layer] = kernel_size(layer, step);
        std::uint8_t* to = room(ready.tables[step.layer].bytes, std::ptrdiff_t{layer.outputs} * layer.inputs * kLevels);
        const std::int8_t* from = tables[step.layer];
        for (int i = 0; i < layer.inputs; ++i)
            for (int o = 0; o < layer.outputs; ++o)
                for (int level = 0; level < layer.levels; ++level)
                    to[(o * layer.inputs + i) * kLevels + ((layer.low + level) & (kLevels - 1))] =
                        static_cast<std::uint8_t>(*from++ + 128);
    }
}

void Sums::forward(const SumsBatch& batch, const std::vector<const std::int8_t*>& tables, float* out, int threads) {
    Ready& ready = ready_.get();
    const std::lock_guard lock(ready.mutex);
    prepare(tables, threads, ready);
    const int scale = net_.merge.upscale;
    const std::ptrdiff_t size = std::ptrdiff_t{net_.colours()} * batch.height * batch.width;
    run_parallel(batch.count, threads, [&](int image, int worker) {
        const std::uint8_t* from = batch.images + image * size;
        float* to = out + image * size * scale * scale;
        std::fill(to, to + size * scale * scale, 0.0f);
        for (int rotation = 0; rotation < net_.merge.rotations; ++rotation)
            ready.runs[worker]->forward(from, batch.height, batch.width, rotation, ready.tables, to, false);
    });
}

void Sums::prepare_slopes(const std::vector<const float*>& slopes, int slots, Ready& ready) const {
    ready.sums.resize(static_cast<std::size_t>(kSlots));
    for (int slot = 0; slot < slots; ++slot) {
        ready.sums[slot].resize(net_.layers.size());
        for (std::size_t n = 0; n < net_.layers.size(); ++n) {
            float* to = room(ready.sums[slot][n], ready.sizes[n]);
            std::memset(to, 0, sizeof(float) * static_cast<std::size_t>(ready.sizes[n]));
        }
    }
    for (std::size_t n = 0; n < net_.layers.size(); ++n) {
        const SumsLayer& layer = net_.layers[n];
        float* to = room(ready.tables[n].slopes, ready.sizes[n]);
        const float* from = slopes[n];
        for (int i = 0; i < layer.inputs; ++i)
            for (int o = 0; o < layer.outputs; ++o) {
                const std::ptrdiff_t place = kernel_place(layer, ready.windows[n], i, o, 0);
                for (int level = 0; level < layer.levels; ++level)
                    to[place + ((layer.low + level) & (kLevels - 1)) * kSumLanes] = *from++;
            }
    }
}

void Sums::collect(const std::vector<float*>& gradients, int slots, int threads, Ready& ready) const {
    run_parallel(static_cast<int>(net_.layers.size()), threads, [&](int n, int) {
        const SumsLayer& layer = net_.layers[n];
        float* sum = ready.sums[0][n].data();
        for (int slot = 1; slot < slots; ++slot) {
            const float* more = ready.sums[slot][n].data();
            for (std::ptrdiff_t i = 0; i < ready.sizes[n]; ++i) sum[i] += more[i];
        }
        float* to = gradients[n];
        for (int i = 0; i < layer.inputs; ++i)
            for (int o = 0; o < layer.outputs; ++o) {
                const std::ptrdiff_t place = kernel_place(layer, ready.windows[n], i, o, 0);
                for (int level = 0; level < layer.levels; ++level)
                    *to++ = sum[place + ((layer.low + level) & (kLevels - 1)) * kSumLanes];
            }
    });
}

void Sums::backward(const SumsBatch& batch, const std::vector<const std::int8_t*>& tables,
                    const std::vector<const float*>& slopes, const float* gradient,
                    const std::vector<float*>& gradients, int threads) {
    Ready& ready = ready_.get();
    const std::lock_guard lock(ready.mutex);
    prepare(tables, threads, ready);
    const int slots = std::min(kSlots, batch.count);
    prepare_slopes(slopes, slots, ready);
    const int scale = net_.merge.upscale;
    const std::ptrdiff_t size = std::ptrdiff_t{net_.colours()} * batch.height * batch.width;
    run_parallel(slots, threads, [&](int slot, int worker) {
        std::vector<float*> to;
        for (auto& sums : ready.sums[slot]) to.push_back(sums.data());
        const int begin = batch.count * slot / slots, end = batch.count * (slot + 1) / slots;
        for (int image = begin; image < end; ++image)
            for (int rotation = 0; rotation < net_.merge.rotations; ++rotation) {
                SumsRun& run = *ready.runs[worker];
                run.forward(batch.images + image * size, batch.height, batch.width, rotation, ready.tables, nullptr,
                            true);
                run.backward(batch.height, batch.width, rotation, ready.tables, gradient + image * size * scale * scale,
                             to);
            }
    });
    collect(gradients, slots, threads, ready);
}

}  // namespace lutra
