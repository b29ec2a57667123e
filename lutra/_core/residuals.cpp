// See residuals.hpp. Real numbers are float32, and every operation rounds once, in the order of the reference.
#include "residuals.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lutra {
namespace {

constexpr int kBand = 32;  // rows of the input: the states of a band stay in the second-level cache
constexpr int kHigh = 0, kLow = 1;

template <int Values>
void add_entries(const std::uint8_t* const* rows, int taps, int bits, const std::int8_t* entries, int values, int count,
                 std::int32_t* sums) {
    const int n = Values ? Values : values;
    for (int x = 0; x < count; ++x) {
        std::uint32_t at = 0;
        for (int tap = 0; tap < taps; ++tap) at = at << bits | rows[tap][x];
        const std::int8_t* entry = entries + static_cast<std::size_t>(at) * n;
        for (int i = 0; i < n; ++i) sums[x * n + i] += entry[i];
    }
}

}  // namespace

void ResidualPlan::finish() {
    const auto require = [](bool condition, const char* what) {
        if (!condition) throw std::invalid_argument(what);
    };
    int enlarged = 1;
    require(!steps.empty() && steps.size() <= 64, "plan: 1 to 64 steps");
    for (ResidualStep& step : steps) {
        std::array<int, 2> counts{};
        require(!step.tables.empty() && step.tables.size() <= 64, "plan: 1 to 64 tables in a step");
        for (const DirectTable& table : step.tables) {
            const int bits = table.high ? 8 - step.low_bits : step.low_bits;
            require(table.taps >= 1 && bits * table.taps <= 16, "plan: a table of too many entries");
            const std::size_t size = (std::size_t{1} << (bits * table.taps)) * step.upscale * step.upscale;
            for (int rotation = 0; rotation < 4; ++rotation) {
                require(table.entries[rotation].size() == size, "plan: a table of another size than its taps'");
                for (int tap = 0; tap < table.taps; ++tap) {
                    const auto [row, column] = table.offsets[rotation][tap];
                    const int far = std::max(std::abs(row), std::abs(column));
                    require(far <= kMostDirectReach, "plan: an offset out of range");
                    step.reach = std::max(step.reach, far);
                }
            }
            ++counts[table.high ? kHigh : kLow];
        }
        for (int bits = 0; bits < 2; ++bits) {
            const int most = counts[bits] * 4 * 128;
            const auto count = static_cast<float>(std::max(counts[bits], 1));
            for (int sum = -most; sum <= most; ++sum)
                step.shares[bits].push_back(static_cast<float>(sum) / count / 255.0F);
        }
        margin += (step.reach + enlarged - 1) / enlarged;
        enlarged *= step.upscale;
        require(enlarged <= scale, "plan: steps that do not give the scale");
    }
    require(enlarged == scale && scale <= 8, "plan: steps that do not give the scale");
}

void ResidualWorkspace::restore(const Kernels&, const Image& input, const Image& output, const Rectangle& wanted,
                                Watch& watch) {
    for (int top = wanted.top; top < wanted.bottom; top += kBand) {
        place(input, {top, std::min(top + kBand, wanted.bottom), wanted.left, wanted.right});
        for (int channel = 0; channel < input.channels; ++channel) {
            if (watch.over()) return;
            Area& first = areas_.front();
            float* state = first.state.data();
            for (int row = first.part.top; row < first.part.bottom; ++row)
                for (int column = first.part.left; column < first.part.right; ++column)
                    *state++ = static_cast<float>(input.at(row, column)[channel]) / 255.0F;
            for (std::size_t stage = 0; stage < plan_.steps.size(); ++stage)
                run(plan_.steps[stage], areas_[stage], areas_[stage + 1]);
            const Area& last = areas_.back();
            const float* result = last.state.data();
            for (int row = last.part.top; row < last.part.bottom; ++row) {
                std::uint8_t* pixel = output.at(row, last.part.left) + channel;
                for (int column = last.part.left; column < last.part.right; ++column, pixel += output.channels)
                    *pixel = static_cast<std::uint8_t>(std::lrint(*result++ * 255.0F));
            }
        }
    }
}

// Each stage's part of the image, from that of the last back to the input's.
void ResidualWorkspace::place(const Image& input, const Rectangle& band) {
    int enlarged = plan_.scale;
    Rectangle part{band.top * enlarged, band.bottom * enlarged, band.left * enlarged, band.right * enlarged};
    for (std::size_t stage = areas_.size(); stage-- > 0;) {
        Area& area = areas_[stage];
        if (stage + 1 < areas_.size()) {
            const ResidualStep& step = plan_.steps[stage];
            const int r = step.upscale, reach = step.reach;
            enlarged /= r;
            const int below = (part.bottom - 1) / r + 1 + reach, beyond = (part.right - 1) / r + 1 + reach;
            part = {std::max(part.top / r - reach, 0), std::min(below, input.height * enlarged),
                    std::max(part.left / r - reach, 0), std::min(beyond, input.width * enlarged)};
        }
        area.part = part;
        area.height = input.height * enlarged;
        area.width = input.width * enlarged;
        area.state.resize(static_cast<std::size_t>(part.bottom - part.top) * area.columns());
    }
}

void ResidualWorkspace::run(const ResidualStep& step, const Area& from, Area& to) {
    const int r = step.upscale;
    const Rectangle core{to.part.top / r, (to.part.bottom - 1) / r + 1, to.part.left / r, (to.part.right - 1) / r + 1};
    filled_ = {};
    for (const DirectTable& table : step.tables) bits(step, table, from, core);
    for (int row = core.top; row < core.bottom; ++row) {
        sum(step, core, row);
        add(step, from, to, row);
    }
}

// The bits that a table reads in `core` and around it.
const Vector<std::uint8_t>& ResidualWorkspace::bits(const ResidualStep& step, const DirectTable& table,
                                                    const Area& from, const Rectangle& core) {
    const int number = (table.high ? 0 : 2) + (table.reflect ? 1 : 0);
    Vector<std::uint8_t>& plane = planes_[number];
    if (std::exchange(filled_[number], true)) return plane;
    const int width = core.right - core.left + 2 * step.reach, height = core.bottom - core.top + 2 * step.reach;
    plane.resize(static_cast<std::size_t>(width) * height);
    std::uint8_t* value = plane.data();
    const int low = (1 << step.low_bits) - 1;
    for (int row = core.top - step.reach; row < core.bottom + step.reach; ++row) {
        const int source = inside(row, from.height, table.reflect) - from.part.top;
        const float* state = from.state.data() + static_cast<std::ptrdiff_t>(source) * from.columns() - from.part.left;
        for (int column = core.left - step.reach; column < core.right + step.reach; ++column) {
            const int whole = static_cast<int>(state[inside(column, from.width, table.reflect)] * 255.0F);  // >= 0
            *value++ = static_cast<std::uint8_t>(table.high ? whole >> step.low_bits : whole & low);
        }
    }
    return plane;
}

// All tables and rotations of a row.
void ResidualWorkspace::sum(const ResidualStep& step, const Rectangle& core, int row) {
    const int values = step.upscale * step.upscale, count = core.right - core.left, width = count + 2 * step.reach;
    for (auto& sums : sums_) sums.assign(static_cast<std::size_t>(count) * values, 0);
    const auto add = values == 1 ? add_entries<1> : values == 4 ? add_entries<4> : add_entries<0>;
    for (const DirectTable& table : step.tables) {
        const std::uint8_t* plane = planes_[(table.high ? 0 : 2) + (table.reflect ? 1 : 0)].data() +
                                    static_cast<std::ptrdiff_t>(row - core.top + step.reach) * width + step.reach;
        for (int rotation = 0; rotation < 4; ++rotation) {
            const std::uint8_t* rows[kMostDirectTaps];
            for (int tap = 0; tap < table.taps; ++tap) {
                const auto [down, right] = table.offsets[rotation][tap];
                rows[tap] = plane + static_cast<std::ptrdiff_t>(down) * width + right;
            }
            const int bits = table.high ? 8 - step.low_bits : step.low_bits;
            add(rows, table.taps, bits, table.entries[rotation].data(), values, count,
                sums_[table.high ? kHigh : kLow].data());
        }
    }
}

// Writes the rows that a row becomes, as far as they are wanted.
void ResidualWorkspace::add(const ResidualStep& step, const Area& from, Area& to, int row) {
    const int r = step.upscale, first = to.part.left / r, end = (to.part.right - 1) / r + 1;
    const float* high = step.share(kHigh);
    const float* low = step.share(kLow);
    const float* state = from.state.data() + static_cast<std::ptrdiff_t>(row - from.part.top) * from.columns() +
                         (first - from.part.left);
    for (int down = std::max(row * r, to.part.top); down < std::min((row + 1) * r, to.part.bottom); ++down) {
        float* result = to.state.data() + static_cast<std::ptrdiff_t>(down - to.part.top) * to.columns();
        std::size_t value = static_cast<std::size_t>(down % r) * r;
        for (int column = first; column < end; ++column, value += static_cast<std::size_t>(r) * r) {
            const float before = state[column - first];
            const int begin = std::max(to.part.left - column * r, 0), rest = std::min(to.part.right - column * r, r);
            for (int i = begin; i < rest; ++i) {
                const float added = high[sums_[kHigh][value + i]] + low[sums_[kLow][value + i]];
                *result++ = std::clamp(added + before, 0.0F, 1.0F);
            }
        }
    }
}

}  // namespace lutra
