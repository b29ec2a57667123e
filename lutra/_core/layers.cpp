// What follows from a plan's operations together: that they fit, margins, how far they run behind each other.
#include "layers.hpp"

#include <algorithm>

namespace lutra {
namespace {

constexpr std::int64_t kMostLines = 1 << 16;  // rows of channels kept by a thread
constexpr int kMostMargin = 1 << 10;          // which every row kept has at both ends
constexpr int kMostReal = 1 << 22;            // sums that single precision divides exactly

bool is_byte(int low, int high) { return -128 <= low && low <= high && high <= 127; }

bool is_pixel(int low, int high) { return 0 <= low && low <= high && high <= 255; }

void check_layer(const Layer& layer) {
    ensure(layer.inputs >= 1 && layer.inputs <= kMostInputs && layer.outputs >= 1 && layer.outputs <= kMostChannels,
           "a layer of too few or too many inputs or outputs");
    ensure(layer.levels >= 1 && layer.levels <= kLevels && is_byte(layer.low, layer.low + layer.levels - 1),
           "a layer's levels out of range");
    ensure(layer.divisor >= 1 && layer.divisor <= 1 << 12 && layer.denominator >= 1 && layer.denominator <= 1 << 12,
           "a layer's divisor or denominator out of range");
    ensure(layer.entries.size() == static_cast<std::size_t>(layer.inputs) * layer.outputs * layer.levels,
           "a layer with another number of entries");
    for (int output = 0; output < layer.outputs; ++output) {
        std::int64_t most = 0;
        for (int input = 0; input < layer.inputs; ++input) {
            int largest = 0;
            for (int level = 0; level < layer.levels; ++level)
                largest = std::max(largest, std::abs(layer.entry(input, output, level)));
            most += largest;
        }
        ensure(most < kMostReal, "a layer of too large sums");
    }
}

class Finisher {
  public:
    explicit Finisher(LayerPlan& plan) : plan_(plan) {}

    void check(Operation& operation, int number) {
        if (operation.kind == Operation::Kind::split) check_split(operation);
        if (operation.kind == Operation::Kind::sum) check_sum(operation);
        if (operation.kind == Operation::Kind::merge) check_merge(operation);
        for (auto* sources : {&operation.inputs, &operation.adds})
            for (Source& source : *sources) {
                check_source(source, operation);
                source.is_signed = plan_.planes[source.plane].is_signed();
            }
        for (const Source& add : operation.adds) operation.adds_unsigned = operation.adds_unsigned || !add.is_signed;
        for (int number_of : operation.writes) {
            ensure(number_of >= 1 && number_of < static_cast<int>(plan_.planes.size()) &&
                       plan_.planes[number_of].writer < 0,
                   "a plane is written twice");
            plan_.planes[number_of].writer = number;
        }
    }

    // From the last operation to the first: what their readers need of planes.
    void look_back(Operation& operation) {
        for (int plane : operation.writes) operation.margin = std::max(operation.margin, plan_.planes[plane].margin);
        for (const auto* sources : {&operation.inputs, &operation.adds})
            for (const Source& source : *sources) read(source, operation);
    }

  private:
    int written(int plane) const {
        const int writer = plan_.planes[plane].writer;
        return writer >= 0 ? plan_.operations[writer].lag : 0;
    }

    // Reflected rows may lie on the other side.
    int reach(int offset) const { return plan_.reflect ? std::abs(offset) : std::max(0, offset); }

    void check_split(const Operation& operation) const {
        ensure(operation.bits >= 0 && operation.bits <= 7 && operation.writes.size() == 2 &&
                   std::abs(operation.offset) <= 1 << 12,
               "a split out of range");
        const auto channels = static_cast<int>(operation.inputs.size());
        for (int plane : operation.writes)
            ensure(
                plane >= 1 && plane < static_cast<int>(plan_.planes.size()) && plan_.planes[plane].channels == channels,
                "a split into another number of channels");
    }

    void check_sum(Operation& operation) const {
        ensure(operation.writes.size() == 1 && operation.writes[0] >= 1 &&
                   operation.writes[0] < static_cast<int>(plan_.planes.size()),
               "a sum that does not write one plane");
        ensure(is_byte(operation.low, operation.high) || is_pixel(operation.low, operation.high),
               "a sum's bounds out of range");
        const auto channels = static_cast<std::size_t>(plan_.planes[operation.writes[0]].channels);
        ensure(operation.adds.size() % channels == 0 && operation.adds.size() <= 16 * channels,
               "a sum's added planes out of range");
        ensure(operation.layer >= -1 && operation.layer < static_cast<int>(plan_.layers.size()), "no such layer");
        ensure(operation.layer >= 0 || !operation.adds.empty(), "a sum of nothing");
        std::size_t inputs = 0;
        if (operation.layer >= 0) {
            const Layer& layer = plan_.layers[operation.layer];
            ensure(layer.outputs == static_cast<int>(channels), "a layer with another number of outputs");
            inputs = layer.inputs * (layer.shared ? 1 : channels);
        }
        ensure(operation.inputs.size() == inputs, "a layer with another number of inputs");
        const auto adds = static_cast<int>(operation.adds.size() / channels);
        operation.saturates = saturates(operation, adds, operation.layer < 0 ? 2 : 1);
        operation.cuts = saturates(operation, adds, 0);
    }

    // Whether a sum that was cut at a byte's limits before plane `next` was added is beyond the bounds whatever is
    // added from there on. The first sum is that of a layer and a plane, or of two planes.
    bool saturates(const Operation& operation, int adds, int next) const {
        for (std::size_t first = 0; first < operation.adds.size(); first += adds) {
            int up = 0, down = 0;
            for (int add = next; add < adds; ++add) {
                const int plane = operation.adds[first + add].plane;
                if (plane < 0 || plane >= static_cast<int>(plan_.planes.size())) return false;
                up += std::max(0, plan_.planes[plane].high);
                down += std::max(0, -plan_.planes[plane].low);
            }
            if (127 - down < operation.high || up - 128 > operation.low) return false;
        }
        return true;
    }

    void check_merge(const Operation& operation) const {
        ensure(&operation == &plan_.operations.back(), "only the last operation merges");
        ensure(operation.writes.empty() && operation.upscale == plan_.scale, "a merge that does not write the output");
        ensure(operation.rotations == 1 || operation.rotations == 4, "1 or 4 rotations");
        const auto colours = static_cast<std::size_t>(plan_.planes[0].channels);
        ensure(operation.inputs.size() == colours * operation.rotations * plan_.scale * plan_.scale,
               "a merge of another number of channels");
        ensure(operation.divisor >= 1 && operation.divisor <= 1 << 12 && std::abs(operation.offset) <= 1 << 12,
               "divisor or offset out of range");
        ensure(operation.adds.size() <= 4 * colours && operation.adds.size() % colours == 0,
               "a merge's added planes out of range");
        for (const Source& source : operation.adds)
            ensure(source.plane == 0 && source.row == 0 && source.column == 0, "a merge adds the input alone");
    }

    void check_source(const Source& source, Operation& operation) const {
        ensure(source.plane >= 0 && source.plane < static_cast<int>(plan_.planes.size()), "no such plane");
        const LayerPlane& plane = plan_.planes[source.plane];
        ensure(source.plane == 0 || plane.writer >= 0, "a plane is read that nothing wrote");
        ensure(source.channel >= 0 && source.channel < plane.channels, "no such channel");
        ensure(std::abs(source.row) <= kMaxReach && std::abs(source.column) <= kMaxReach, "an offset out of range");
        operation.lag = std::max(operation.lag, written(source.plane) + reach(source.row));
    }

    void read(const Source& source, const Operation& operation) {
        LayerPlane& plane = plan_.planes[source.plane];
        const int distance = std::max(std::abs(source.row), std::abs(source.column));
        plane.margin = std::max(plane.margin, operation.margin + distance);
        plane.pad = std::max(plane.pad, std::abs(source.column));
        const bool together = plane.writer >= 0 && plan_.operations[plane.writer].chain == operation.chain;
        const int before = operation.lag + reach(-source.row) - written(source.plane);
        plane.rows = std::max(plane.rows, before + (together ? kRowsAtOnce : kBlockRows));
    }

    LayerPlan& plan_;
};

}  // namespace

void LayerPlan::finish() {
    ensure(scale >= 1 && scale <= 8, "scale out of range");
    ensure(!planes.empty() && planes[0].channels <= 4, "too many colours");
    ensure(!operations.empty() && operations.back().kind == Operation::Kind::merge, "the last operation must merge");
    for (const Layer& layer : layers) check_layer(layer);
    for (const LayerPlane& plane : planes)
        ensure(plane.channels >= 1 && plane.channels <= kMostChannels &&
                   (is_byte(plane.low, plane.high) || is_pixel(plane.low, plane.high)),
               "a plane's channels or bounds out of range");
    Finisher finisher(*this);
    for (std::size_t i = 1; i < operations.size(); ++i)
        ensure(operations[i - 1].chain <= operations[i].chain, "chains out of order");
    for (int number = 0; number < static_cast<int>(operations.size()); ++number)
        finisher.check(operations[number], number);
    for (auto operation = operations.rbegin(); operation != operations.rend(); ++operation)
        finisher.look_back(*operation);
    ensure(planes.front().margin <= kMostMargin, "operations that together look too far");
    std::int64_t lines = 0;
    for (const LayerPlane& plane : planes) lines += std::int64_t{plane.rows} * plane.channels;
    ensure(lines <= kMostLines, "planes of too many rows, which operations wait for");
}

void LayerPlan::pack_layers(Form best) {
    packed.clear();
    for (int number = 0; number < static_cast<int>(layers.size()); ++number) {
        Form most = best;
        bool saturates = true, cuts = true;
        for (const Operation& operation : operations) {
            if (operation.layer != number) continue;
            saturates = saturates && operation.saturates;
            cuts = cuts && operation.cuts;
            if (operation.adds_unsigned || operation.high > 127)
                most = Form::plain;  // which alone reads bytes without a sign
        }
        packed.push_back(pack(layers[number], most, saturates, cuts));
    }
}

}  // namespace lutra
