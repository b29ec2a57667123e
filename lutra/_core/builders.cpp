// See builders.hpp.
#include "builders.hpp"

#include <algorithm>
#include <stdexcept>

namespace lutra {
namespace {

constexpr std::size_t kMostSources = 1 << 16;

void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

std::vector<Source> read(const LayerBuilder::Sources& sources) {
    require(sources.shape[0] <= kMostSources, "plan: an operation reads too much");
    std::vector<Source> found;
    const std::int32_t* number = sources.data;
    for (std::size_t i = 0; i < sources.shape[0]; ++i, number += 4)
        found.push_back({number[0], number[1], number[2], number[3]});
    return found;
}

// A plan that is complete; the builder is empty afterwards.
template <class Any>
Any finished(Any& building) {
    Any plan = std::move(building);
    building = {};
    plan.finish();
    return plan;
}

}  // namespace

UnitBuilder::UnitBuilder(int planes, int scale, bool reflect, int rounding, int tap_bits, int colours) {
    require(planes >= 1 && planes <= 256, "plan: planes out of range");
    require(rounding >= 0 && rounding <= 2, "plan: rounding out of range");
    plan_.planes.resize(static_cast<std::size_t>(planes));
    plan_.scale = scale;
    plan_.reflect = reflect;
    plan_.rounding = static_cast<Rounding>(rounding);
    plan_.tap_bits = tap_bits;
    plan_.colours = colours;
}

void UnitBuilder::step(std::vector<int> writes, int divisor, int offset, int upscale, int rotations) {
    require(upscale >= 1 && upscale <= 8, "plan: upscale out of range");
    require(rotations == 1 || rotations == 4, "plan: 1 or 4 rotations");
    require(writes.size() <= 64 && plan_.steps.size() < 64, "plan: too many planes or steps");
    Step& step = plan_.steps.emplace_back();
    step.writes = std::move(writes);
    step.divisor = divisor;
    step.offset = offset;
    step.upscale = upscale;
    step.round_each = plan_.rounding != Rounding::exact && rotations > 1;
    step.round_apart = step.round_each && plan_.rounding == Rounding::branch;
    rotations_ = rotations;
}

void UnitBuilder::fixed(int plane, int previous, const std::array<int, 4>& shares,
                        const std::array<std::pair<int, int>, 4>& offsets, const std::array<int, 4>& layout,
                        Table table, const std::vector<int>& turns) {
    Unit unit = start(TapKind::fixed, previous, shares);
    unit.reads[0] = plane;
    set_offsets(unit, offsets, turns);
    require(turns.empty() || plan_.steps.back().upscale == 1, "plan: rotations of a unit that enlarges");
    add(std::move(unit), layout, table);
}

void UnitBuilder::sampled(int plane, int previous, const std::array<int, 4>& shares, Weights weights,
                          const std::array<int, 4>& layout, Table table) {
    Unit unit = start(TapKind::sampled, previous, shares);
    unit.reads[0] = plane;
    const auto window = static_cast<int>(std::min<std::size_t>(weights.shape[1], 1 << 20));
    while (unit.kernel <= kMaxReach && unit.kernel * unit.kernel < window) ++unit.kernel;
    require(weights.shape[0] == 4 && unit.kernel >= 1 && unit.kernel <= kMaxReach &&
                unit.kernel * unit.kernel == window,
            "plan: sampling weights of a window that is no square of 1..15");
    unit.reach = unit.kernel - 1;
    unit.weights.assign(weights.data, weights.data + weights.size());
    for (int tap = 0; tap < 4; ++tap) {
        int sum = 0;
        for (int i = 0; i < window; ++i) {
            const int weight = unit.weights[tap * window + i];
            require(weight >= 0, "plan: a sampling weight below zero");
            sum += weight;
        }
        require(sum == 1 << kWeightBits, "plan: sampling weights that do not sum to one");
    }
    add(std::move(unit), layout, table);
}

void UnitBuilder::coloured(int plane, const std::array<int, 4>& shifts,
                           const std::array<std::pair<int, int>, 4>& offsets, int colour,
                           const std::array<int, 4>& layout, Table table) {
    Unit unit = start(TapKind::fixed, -1, {});
    require(plan_.colours == 3, "plan: colours of a unit that cannot have them");
    require(colour >= -1 && colour <= 2, "plan: a colour out of range");
    unit.reads[0] = plane;
    unit.colour = colour;
    for (int tap = 0; tap < 4; ++tap) {
        require(shifts[tap] >= 0 && shifts[tap] <= 2, "plan: a colour out of range");
        unit.beyond[tap] = shifts[tap] * static_cast<int>(plan_.planes.size());
    }
    set_offsets(unit, offsets, {});
    add(std::move(unit), layout, table);
}

void UnitBuilder::channel(const std::array<int, 4>& planes, const std::array<int, 4>& layout, Table table) {
    Unit unit = start(TapKind::channel, -1, {});
    unit.reads = planes;
    unit.rotations = 1;
    add(std::move(unit), layout, table);
}

void UnitBuilder::outputs(std::vector<int> planes) {
    require(planes.size() <= 64, "plan: too many outputs");
    plan_.outputs = std::move(planes);
}

Plan UnitBuilder::take() {
    require(!plan_.steps.empty(), "plan: used before, or without steps");
    return finished(plan_);
}

Unit UnitBuilder::start(TapKind taps, int previous, const std::array<int, 4>& shares) const {
    require(!plan_.steps.empty() && plan_.steps.back().units.size() < 64, "plan: a unit without a step, or too many");
    Unit unit;
    unit.taps = taps;
    unit.previous = previous < 0 ? -1 : previous;
    unit.rotations = rotations_;
    for (int tap = 0; tap < 4; ++tap) {
        require(shares[tap] >= 0 && shares[tap] <= 1024, "plan: a share out of range");
        unit.shares[tap] = shares[tap];
    }
    return unit;
}

void UnitBuilder::add(Unit unit, const std::array<int, 4>& layout, const Table& table) {
    unit.layout = {layout[0], layout[1], layout[2], layout[3]};
    unit.values = static_cast<int>(std::min<std::size_t>(table.shape[1], 65));
    check_layout(unit.layout, static_cast<std::int64_t>(table.shape[0]), unit.values);
    expand_nodes(unit, table.data);
    plan_.steps.back().units.push_back(std::move(unit));
}

LayerBuilder::LayerBuilder(int scale, bool reflect, int colours) {
    plan_.scale = scale;
    plan_.reflect = reflect;
    plan_.planes.emplace_back().channels = colours;
}

int LayerBuilder::plane(int channels, int low, int high) {
    require(plan_.planes.size() < 4096, "plan: too many planes");
    LayerPlane& plane = plan_.planes.emplace_back();
    plane.channels = channels;
    plane.low = low;
    plane.high = high;
    return static_cast<int>(plan_.planes.size()) - 1;
}

int LayerBuilder::layer(int low, int denominator, int divisor, bool shared, const Entries& entries) {
    require(plan_.layers.size() < 256 && entries.shape[0] <= kMostInputs && entries.shape[1] <= kMostChannels &&
                entries.shape[2] <= kLevels,
            "plan: too many layers, or one that is too large");
    Layer& layer = plan_.layers.emplace_back();
    layer.inputs = static_cast<int>(entries.shape[0]);
    layer.outputs = static_cast<int>(entries.shape[1]);
    layer.levels = static_cast<int>(entries.shape[2]);
    layer.low = low;
    layer.denominator = denominator;
    layer.divisor = divisor;
    layer.shared = shared;
    layer.entries.assign(entries.data, entries.data + entries.size());
    return static_cast<int>(plan_.layers.size()) - 1;
}

Operation& LayerBuilder::start(Operation::Kind kind, const Sources& inputs, const Sources& adds) {
    require(plan_.operations.size() < 1024, "plan: too many operations");
    Operation& operation = plan_.operations.emplace_back();
    operation.kind = kind;
    operation.chain = chain_;
    operation.inputs = read(inputs);
    operation.adds = read(adds);
    return operation;
}

void LayerBuilder::split(std::vector<int> writes, int offset, int bits, const Sources& inputs) {
    Operation& operation = start(Operation::Kind::split, inputs, {nullptr, {0, 4}});
    operation.writes = std::move(writes);
    operation.offset = offset;
    operation.bits = bits;
}

void LayerBuilder::sum(int layer, int writes, int low, int high, const Sources& inputs, const Sources& adds) {
    Operation& operation = start(Operation::Kind::sum, inputs, adds);
    operation.layer = layer;
    operation.writes = {writes};
    operation.low = low;
    operation.high = high;
}

void LayerBuilder::merge(int rotations, int divisor, int offset, const Sources& inputs, const Sources& adds) {
    Operation& operation = start(Operation::Kind::merge, inputs, adds);
    operation.upscale = plan_.scale;
    operation.rotations = rotations;
    operation.divisor = divisor;
    operation.offset = offset;
}

LayerPlan LayerBuilder::take() {
    require(!plan_.operations.empty(), "plan: used before, or without operations");
    return finished(plan_);
}

void ResidualBuilder::step(int upscale, int low_bits) {
    require(plan_.steps.size() < 64 && upscale >= 1 && upscale <= 8 && low_bits >= 1 && low_bits <= 7,
            "plan: too many steps, or an upscale or bits out of range");
    ResidualStep& step = plan_.steps.emplace_back();
    step.upscale = upscale;
    step.low_bits = low_bits;
}

void ResidualBuilder::table(bool high, bool reflect, const Offsets& offsets, const Entries& entries) {
    require(!plan_.steps.empty() && plan_.steps.back().tables.size() < 64 && offsets.shape[1] <= kMostDirectTaps &&
                entries.shape[1] <= kMostEntries && entries.shape[2] <= 64,
            "plan: a table without a step, too many, or one that is too large");
    DirectTable& table = plan_.steps.back().tables.emplace_back();
    table.high = high;
    table.reflect = reflect;
    table.taps = static_cast<int>(offsets.shape[1]);
    const std::int32_t* place = offsets.data;
    const std::size_t size = entries.shape[1] * entries.shape[2];
    for (int rotation = 0; rotation < 4; ++rotation) {
        for (int tap = 0; tap < table.taps; ++tap, place += 2) table.offsets[rotation][tap] = {place[0], place[1]};
        const std::int8_t* first = entries.data + rotation * size;
        table.entries[rotation].assign(first, first + size);
    }
}

ResidualPlan ResidualBuilder::take() {
    require(!plan_.steps.empty(), "plan: used before, or without steps");
    return finished(plan_);
}

}  // namespace lutra
