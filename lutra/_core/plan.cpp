// What follows from a plan's steps together: common denominators, margins, how far steps run behind each other.
#include "plan.hpp"

#include <algorithm>

namespace lutra {
namespace {

// Of all planes together, kept by every thread: tens of megabytes for wide images. Published systems keep about 300.
constexpr std::int64_t kMostRows = 1 << 13;

template <class Visit>
void for_each_read(const Unit& unit, Visit visit) {
    const int count = unit.taps == TapKind::channel ? 4 : 1;
    for (int tap = 0; tap < count; ++tap) visit(unit.reads[tap]);
    if (unit.previous >= 0) visit(unit.previous);
}

void set_denominators(Step& step, int tap_bits) {
    for (const Unit& unit : step.units)
        if (unit.taps == TapKind::sampled || unit.previous >= 0) {
            step.mixes_taps = true;
            step.tap_bits = tap_bits;
        }
    for (const Unit& unit : step.units)
        step.denominator_bits =
            std::max(step.denominator_bits, step.tap_bits + std::max(unit.layout.interval, unit.layout.coarse));
    std::int64_t lookups = 0;
    for (Unit& unit : step.units) {
        unit.near = static_cast<std::uint32_t>(unit.layout.width) << unit.layout.interval << step.tap_bits;
        for (auto* grids : {&unit.node, &unit.cell})
            for (Grid& grid : *grids) grid.shift = step.denominator_bits - step.tap_bits - grid.interval;
        lookups += unit.rotations;
    }
    // Sums are kept in 32 bits, with as much room again for rounding.
    ensure(lookups * 128 << step.denominator_bits < std::int64_t{1} << 30, "a step of too many lookups");
    ensure(step.divisor >= 1 && step.divisor <= 1 << 12 && std::abs(step.offset) <= 1 << 12,
           "divisor or offset out of range");
    const std::int64_t divisor = static_cast<std::int64_t>(step.divisor)
                                 << (step.round_each ? 0 : step.denominator_bits);
    const std::int64_t most =
        (lookups * 128 << (step.round_each ? 0 : step.denominator_bits)) + std::abs(step.offset) * divisor;
    ensure(most < std::int64_t{1} << 30, "divisor or offset out of range");
    step.single_precision = most < 1 << 24 && divisor < 1 << 14;
}

// A window turned by any rotation lies in rows 0, s, 2s, ... with s = 1 or -1: take them two by two.
void set_pairs(Unit& unit) {
    const int kernel = unit.kernel, pairs = (kernel + 1) / 2;
    for (int rotation = 0; rotation < 4; ++rotation) {
        auto& weights = unit.pair_weights[rotation];
        weights.assign(static_cast<std::size_t>(pairs * kernel * 4), 0);
        for (int tap = 0; tap < 4; ++tap)
            for (int row = 0; row < kernel; ++row)
                for (int column = 0; column < kernel; ++column) {
                    int dy = row, dx = column;
                    turn(rotation, dy, dx);
                    const int line = std::abs(dy), first = dx < 0 || rotation == 1 || rotation == 2 ? 1 - kernel : 0;
                    const int place = (line / 2 * kernel + dx - first) * 4 + tap;
                    const std::int32_t weight = unit.weights[(tap * kernel + row) * kernel + column];
                    weights[place] |= line % 2 ? weight << 16 : weight;
                }
    }
}

}  // namespace

void set_turns(Step& step) {
    const int side = step.upscale, square = side * side;
    for (int value = 0; value < step.values; ++value) step.turned[0].push_back(value);
    for (int rotation = 1; rotation < 4; ++rotation) {
        const auto& before = step.turned[rotation - 1];
        for (int value = 0; value < step.values; ++value) {
            const int row = value % square / side, column = value % side;
            step.turned[rotation].push_back(before[value / square * square + (side - 1 - column) * side + row]);
        }
    }
    for (int rotation = 0; rotation < 4; ++rotation)
        for (int value = 0; value < std::min(step.values, kLanes); ++value) {
            const auto from = static_cast<std::uint8_t>(step.turned[rotation][value]);
            step.turned_row[rotation][value] = from;
            for (int row = 0; row < 4; ++row)
                step.turned_quad[rotation][4 * value + row] = static_cast<std::uint8_t>(16 * row + from);
            step.turned_fifth[4 * value + rotation] = static_cast<std::uint8_t>(16 * rotation + from);
        }
}

void Plan::finish() {
    ensure(!steps.empty() && steps.size() <= 64 && planes.size() <= 256, "too few or too many steps or planes");
    ensure(scale >= 1 && scale <= 8 && steps.back().upscale == scale, "the last step must upscale to the scale");
    ensure(tap_bits >= 0 && tap_bits <= 8, "fractional bits of taps out of range");
    const auto plane_count = static_cast<int>(planes.size());
    for (int number = 0; number < static_cast<int>(steps.size()); ++number) {
        Step& step = steps[number];
        const bool last = number + 1 == static_cast<int>(steps.size());
        ensure(!step.units.empty() && step.units.size() <= 64, "a step of no units, or of too many");
        ensure(last || step.upscale == 1, "only the last step may upscale");
        ensure(outputs.empty() || step.upscale == 1, "a step upscales, and the result is planes");
        ensure((colours == 1 || colours == 3) && (colours == 1 || outputs.empty()), "colours out of range");
        const bool writes_output = last && outputs.empty();
        ensure(writes_output == step.writes.empty(), "the last step alone writes no plane");
        step.values = (writes_output ? 1 : static_cast<int>(step.writes.size())) * step.upscale * step.upscale;
        for (const Unit& unit : step.units) {
            ensure(unit.values == step.values, "a unit returns another number of values than its step writes");
            for_each_read(unit, [&](int plane) {
                ensure(plane >= 0 && plane < plane_count && (plane == 0 || planes[plane].writer >= 0),
                       "a plane is read that nothing wrote");
                const int writer = planes[plane].writer;
                step.lag = std::max(step.lag, unit.reach + (writer >= 0 ? steps[writer].lag : 0));
            });
            step.reach = std::max(step.reach, unit.reach);
        }
        for (int plane : step.writes) {
            ensure(plane >= 1 && plane < plane_count && planes[plane].writer < 0, "a plane is written twice");
            planes[plane].writer = number;
        }
        set_denominators(step, tap_bits);
        set_turns(step);
        for (Unit& unit : step.units)
            if (unit.taps == TapKind::sampled) set_pairs(unit);
    }
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
        for (int plane : step->writes) step->margin = std::max(step->margin, planes[plane].margin);
        for (const Unit& unit : step->units)
            for_each_read(unit, [&](int index) {
                Plane& plane = planes[index];
                const int written = plane.writer >= 0 ? steps[plane.writer].lag : 0;
                plane.margin = std::max(plane.margin, step->margin + unit.reach);
                plane.pad = std::max(plane.pad, unit.reach);
                plane.rows = std::max(plane.rows, step->lag + unit.reach - written + 1);
            });
    }
    for (int index : outputs) {
        ensure(index >= 1 && index < plane_count && planes[index].writer >= 0, "a plane is put out that nothing wrote");
        planes[index].rows = std::max(planes[index].rows, steps.back().lag - steps[planes[index].writer].lag + 1);
    }
    std::int64_t rows = 0;
    for (const Plane& plane : planes) rows += plane.rows;
    ensure(rows <= kMostRows, "planes of too many rows, which steps wait for");
}

void Plan::build_cells() {
    for (Step& step : steps) {
        step.picks = step.values == 1 && !step.round_each && !step.mixes_taps &&
                     std::all_of(step.units.begin(), step.units.end(),
                                 [](const Unit& unit) { return unit.layout.interval == 4 && !unit.diagonal; });
        for (Unit& unit : step.units)
            if (step.values == 1 || step.values == 2 || step.values == 4) {
                expand_cells(unit, step.picks);
                for (Grid& grid : unit.cell) grid.shift = step.denominator_bits - step.tap_bits - grid.interval;
            }
    }
}

}  // namespace lutra
