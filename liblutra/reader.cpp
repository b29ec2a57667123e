// See reader.hpp. A file holds the calls that make up a plan: a record for each call of a builder, which checks it.
#include "reader.hpp"

#include <cstring>

#include "builders.hpp"
#include "cursor.hpp"
#include "layers_region.hpp"
#include "region.hpp"

namespace lutra {
namespace {

constexpr std::uint8_t kMagic[8] = {0x89, 'L', 'U', 'T', '\r', '\n', 0x1a, '\n'};
constexpr std::uint32_t kColourVersion = 2, kVersion = 3;  // the first of models of three colours, and the last
constexpr int kColours = 3;                                // of a model that restores them together
constexpr std::size_t kLongestTitle = 1024;

std::uint32_t crc32(const std::uint8_t* data, std::size_t size) {
    static constexpr auto table = [] {
        std::array<std::uint32_t, 256> entries{};
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            entries[byte] = byte;
            for (int bit = 0; bit < 8; ++bit) entries[byte] = entries[byte] >> 1 ^ (entries[byte] & 1) * 0xEDB88320U;
        }
        return entries;
    }();
    std::uint32_t sum = ~0U;
    for (std::size_t i = 0; i < size; ++i) sum = sum >> 8 ^ table[(sum ^ data[i]) & 255];
    return ~sum;
}

// Calls visit(kind, record), which must read all of it.
template <class Visit>
void read_record(Cursor& file, Visit visit) {
    const std::uint32_t kind = file.word();
    const std::size_t size = file.word();
    Cursor record(file.bytes(size), size);
    visit(kind, record);
    require_file(record.left() == 0, "a record that is longer than what it holds");
}

template <class Visit>
void for_each_record(Cursor& file, Visit visit) {
    while (file.left() > 0) read_record(file, visit);
}

// The numbers of the first record, which opens a plan.
template <std::size_t size>
std::array<int, size> opening(Cursor& file) {
    std::array<int, size> numbers;
    read_record(file, [&](std::uint32_t kind, Cursor& record) {
        require_file(kind == 1, "it does not begin with a record of kind 1");
        numbers = record.numbers<size>();
    });
    return numbers;
}

[[noreturn]] void refuse_kind(std::uint32_t kind) {
    throw std::invalid_argument("plan file: a record of kind " + std::to_string(kind) + ", which is unknown");
}

UnitBuilder::Table table_of(Cursor& record) {
    const std::size_t entries = record.count(), values = record.count();
    require_file(values <= 64, "a table of more than 64 values an entry");
    return {record.small(entries * values), {entries, values}};
}

std::array<std::pair<int, int>, 4> offsets_of(Cursor& record) {
    const auto at = record.numbers<8>();
    return {{{at[0], at[1]}, {at[2], at[3]}, {at[4], at[5]}, {at[6], at[7]}}};
}

// The bounds keep exponents within those that resampling is exact for.
Resampling read_resampling(UnitBuilder& plan, Cursor& record) {
    constexpr double kSixteenths = 23.0832;  // 16 / ln 2, and a little
    Resampling read;
    read.scale = record.number();
    require_file(read.scale >= 1 && read.scale <= 8, "the scale of a model of any size is out of range");
    read.replicate = record.flag();
    plan.outputs(record.numbers(std::size_t{4}));
    KernelNumbers& numbers = read.numbers;
    record.reals(numbers.steepness, 256, 0, 10);
    record.reals(numbers.correlation, 256, -kSixteenths, kSixteenths);
    record.reals(numbers.curve, 256, -50 * kSixteenths, 0);
    record.reals(numbers.powers, 16, 1, 2);
    record.reals(numbers.polynomial, 1, 0.5, 2);
    record.reals(numbers.polynomial + 1, 4, 0, 0.25);
    return read;
}

void read_units(Cursor& file, std::uint32_t version, int colours, PlanFile& read) {
    const auto [planes, scale, reflect, rounding, tap_bits] = opening<5>(file);
    UnitBuilder plan(planes, scale, to_flag(reflect), rounding, tap_bits, colours);
    for_each_record(file, [&](std::uint32_t kind, Cursor& record) {
        require_file(!read.resampling, "a record after the resampling");
        if (kind == 2) {
            const auto [divisor, offset, upscale, rotations] = record.numbers<4>();
            const std::size_t writes = record.count();
            return plan.step(record.numbers(writes), divisor, offset, upscale, rotations);
        }
        if (kind == 3 || (kind == 8 && version >= 3)) {
            const auto [plane, previous] = record.numbers<2>();
            const auto shares = record.numbers<4>();
            const auto offsets = offsets_of(record);
            const auto turns = record.numbers(kind == 8 ? record.count() : 0);
            const auto layout = record.numbers<4>();
            return plan.fixed(plane, previous, shares, offsets, layout, table_of(record), turns);
        }
        if (kind == 4) {
            const auto [plane, previous] = record.numbers<2>();
            const auto shares = record.numbers<4>(), layout = record.numbers<4>();
            const std::size_t window = record.count();
            const auto weights = record.shorts(4 * window);
            return plan.sampled(plane, previous, shares, {weights.data(), {4, window}}, layout, table_of(record));
        }
        if (kind == 5) {
            const auto reads = record.numbers<4>(), layout = record.numbers<4>();
            return plan.channel(reads, layout, table_of(record));
        }
        if (kind == 6) {
            const int plane = record.number();
            const auto shifts = record.numbers<4>();
            const auto offsets = offsets_of(record);
            const int colour = record.number();
            const auto layout = record.numbers<4>();
            return plan.coloured(plane, shifts, offsets, colour, layout, table_of(record));
        }
        if (kind == 7 && version >= 3) {
            read.resampling = read_resampling(plan, record);
            return;
        }
        refuse_kind(kind);
    });
    read.program = std::make_unique<StepProgram>(plan.take());
}

// Sources are four numbers of 16 bits each.
class Sources {
  public:
    explicit Sources(Cursor& record) : count_(record.count()) {
        const auto shorts = record.shorts(4 * count_);
        numbers_.assign(shorts.begin(), shorts.end());
    }
    LayerBuilder::Sources view() const { return {numbers_.data(), {count_, 4}}; }

  private:
    std::size_t count_;
    std::vector<std::int32_t> numbers_;
};

void read_layer(LayerBuilder& plan, Cursor& record) {
    const auto [low, denominator, divisor] = record.numbers<3>();
    const bool shared = record.flag(), wide = record.flag();
    const std::array<std::size_t, 3> shape{record.count(), record.count(), record.count()};
    require_file(shape[0] <= kMostInputs && shape[1] <= kMostChannels && shape[2] <= kLevels,
                 "a layer that is too large");
    const std::size_t size = shape[0] * shape[1] * shape[2];
    std::vector<std::int16_t> entries;
    if (wide) {
        entries = record.shorts(size);
    } else {
        const std::int8_t* narrow = record.small(size);
        entries.assign(narrow, narrow + size);
    }
    plan.layer(low, denominator, divisor, shared, {entries.data(), shape});
}

std::unique_ptr<Program> read_layers(Cursor& file, int colours) {
    const auto [scale, reflect] = opening<2>(file);
    LayerBuilder plan(scale, to_flag(reflect), colours);
    for_each_record(file, [&](std::uint32_t kind, Cursor& record) {
        if (kind == 2) {
            const auto [channels, low, high] = record.numbers<3>();
            plan.plane(channels, low, high);
        } else if (kind == 3) {
            read_layer(plan, record);
        } else if (kind == 4) {
            plan.chain();
        } else if (kind == 5) {
            std::vector<int> writes = record.numbers(2);
            const auto [offset, bits] = record.numbers<2>();
            plan.split(std::move(writes), offset, bits, Sources(record).view());
        } else if (kind == 6) {
            const auto [layer, writes, low, high] = record.numbers<4>();
            const Sources inputs(record), adds(record);
            plan.sum(layer, writes, low, high, inputs.view(), adds.view());
        } else if (kind == 7) {
            const auto [rotations, divisor, offset] = record.numbers<3>();
            const Sources inputs(record), adds(record);
            plan.merge(rotations, divisor, offset, inputs.view(), adds.view());
        } else {
            refuse_kind(kind);
        }
    });
    return std::make_unique<LayerProgram>(plan.take());
}

std::unique_ptr<Program> read_residuals(Cursor& file) {
    ResidualBuilder plan(opening<1>(file)[0]);
    for_each_record(file, [&](std::uint32_t kind, Cursor& record) {
        if (kind == 2) {
            const auto [upscale, low_bits] = record.numbers<2>();
            return plan.step(upscale, low_bits);
        }
        if (kind != 3) refuse_kind(kind);
        const bool high = record.flag(), reflect = record.flag();
        const std::size_t taps = record.count();
        const std::vector<int> offsets = record.numbers(8 * taps);
        const std::size_t entries = record.count(), values = record.count();
        require_file(entries <= kMostEntries && values <= 64, "a table that is too large");
        const std::int8_t* turned = record.small(4 * entries * values);
        plan.table(high, reflect, {offsets.data(), {4, taps, 2}}, {turned, {4, entries, values}});
    });
    return std::make_unique<ResidualProgram>(plan.take());
}

}  // namespace

std::size_t size_of_plan(const std::uint8_t* header, std::size_t size) {
    require_file(size >= kHeaderBytes && std::memcmp(header, kMagic, sizeof(kMagic)) == 0,
                 "it does not begin as a plan file does");
    Cursor fields(header + sizeof(kMagic), kHeaderBytes - sizeof(kMagic));
    const std::uint32_t version = fields.word();
    if (version < 1 || version > kVersion)
        throw std::invalid_argument("plan file: it is of version " + std::to_string(version) + ", expected 1 to 3");
    const std::uint32_t bytes = fields.word();
    require_file(bytes >= kHeaderBytes + 4 && bytes <= kMostBytes, "its size is out of range");
    return bytes;
}

PlanFile read_plan(const std::uint8_t* data, std::size_t size) {
    const std::size_t expected = size_of_plan(data, size);
    if (size != expected)
        throw std::invalid_argument("plan file: it has " + std::to_string(size) + " bytes, expected " +
                                    std::to_string(expected));
    require_file(Cursor(data + size - 4, 4).word() == crc32(data, size - 4), "its checksum is wrong: it is damaged");
    Cursor file(data + 8, size - 12);
    const std::uint32_t version = file.word();
    file.word();  // the size
    const std::uint32_t kind = file.word();
    PlanFile read;
    read.planes = file.number();
    require_file(read.planes == 0 || read.planes == 1, "the planes that it was trained on are unknown");
    const std::uint32_t colours = file.word();
    require_file(version > 1 || colours == 0, "a reserved field is not zero");
    require_file(version == 1 || (colours == kColours && kind != 3) || (version > kColourVersion && colours == 0),
                 "the colours that it restores together are unknown");
    const std::size_t length = file.count();
    require_file(length <= kLongestTitle, "its title is too long");
    const auto* title = reinterpret_cast<const char*>(file.small(length));
    read.title.assign(title, length);
    require_file(read.title.find('\0') == std::string::npos, "its title holds a zero");
    const int together = std::max(1, static_cast<int>(colours));
    if (kind == 1)
        read_units(file, version, together, read);
    else if (kind == 2)
        read.program = read_layers(file, together);
    else if (kind == 3)
        read.program = read_residuals(file);
    require_file(read.program != nullptr, "the kind of its plan is unknown");
    return read;
}

}  // namespace lutra
