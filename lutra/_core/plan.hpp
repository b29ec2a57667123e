// A model as the engine runs it: steps over planes, each a sum of table lookups. Built and checked once, then
// read-only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "memory.hpp"

namespace lutra {

inline constexpr int kChunk = 64;     // pixels a kernel works on at once
inline constexpr int kMaxReach = 15;  // how far a tap may lie from its pixel, in rows or columns
inline constexpr int kLanes = 16;     // values of an entry that the vector kernels handle at once

inline constexpr int kWeightBits = 14;  // sampling weights are multiples of 2^-14

// Throws std::invalid_argument unless the condition holds.
inline void ensure(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(std::string("plan: ") + what);
}

// Where a pixel at (row, column) from another one lies when the image is turned by quarter turns.
inline void turn(int rotation, int& row, int& column) {
    for (; rotation > 0; --rotation) {
        const int before = row;
        row = column;
        column = -before;
    }
}

// The position inside 0..size-1 that continues a plane beyond its border.
inline int inside(int position, int size, bool reflect) {
    if (position >= 0 && position < size) return position;
    if (!reflect || size == 1) return std::clamp(position, 0, size - 1);
    const int period = 2 * (size - 1);
    position = (position % period + period) % period;
    return std::min(position, period - position);
}

enum class Rounding { exact, lookup, branch };
enum class TapKind { fixed, sampled, channel };

// Zeroed memory aligned for the widest vectors.
template <class T>
class AlignedArray {
  public:
    AlignedArray() = default;
    explicit AlignedArray(std::size_t size);
    T* data() const { return memory_.get(); }
    std::size_t size() const { return size_; }

  private:
    struct Free {
        std::size_t bytes = 0;
        void operator()(T* pointer) const { give_memory(pointer, bytes); }
    };
    std::unique_ptr<T[], Free> memory_;
    std::size_t size_ = 0;
};

// Memory that grows and is kept; what it holds is not.
template <class T>
T* room(AlignedArray<T>& memory, std::size_t size) {
    if (memory.size() < size) memory = AlignedArray<T>(size);
    return memory.data();
}

// How a table is stored in a model file: every node of the grid, or a diagonal part and a coarse grid (DFC).
struct Layout {
    int interval = 4;
    int coarse = 0;  // 0: every node
    int width = 0;
    int bound_axes = 0;  // where every node is stored, 1 for a table of three axes, without d

    int axes() const { return coarse == 0 ? 4 - bound_axes : 4; }
};

// Where a grid's nodes lie in memory: node (a, b, c, d) is at origin + sum of coefficient * coordinate. A step along
// an axis always adds that axis's coefficient, in a diagonal part too.
struct Grid {
    int interval = 0;
    int shift = 0;  // makes remainders multiples of 1 / 2^Step::denominator_bits
    std::array<std::uint32_t, 4> coefficient{};
    std::uint32_t origin = 0;
};

struct Unit {
    TapKind taps = TapKind::fixed;
    std::array<int, 4> reads{};  // planes; the first alone unless taps are the channel's
    // Of fixed taps in a model of three colours: how many colours after its own each lies, times the number of planes.
    std::array<int, 4> beyond{};
    int colour = -1;    // the one that the unit makes; -1 for all
    int previous = -1;  // plane that AdaRL mixes in
    int values = 1;
    int rotations = 4;
    int reach = 0;
    std::array<std::array<int, 4>, 4> row{}, column{};  // [rotation][tap] of fixed taps
    int kernel = 0;
    std::vector<std::int16_t> weights;  // [tap][row][column] of sampled taps
    // [rotation][pair of rows][column][tap]: the weights of two rows, the nearer one's in the low half
    std::array<std::vector<std::int32_t>, 4> pair_weights;
    std::array<std::int32_t, 4> shares{};

    Layout layout;
    bool diagonal = false;
    std::uint32_t near = 0;           // how far from a, in tap units, the diagonal part reaches
    std::array<Grid, 2> node, cell;   // [0] fine, [1] coarse
    AlignedArray<std::int8_t> nodes;  // rows of `values` bytes
    // For few values: the 16 corners of every cell, value after value; the 8 of a table of three axes if Step::picks.
    AlignedArray<std::int8_t> cells;
};

// Where a unit's taps lie under the rotations that it is applied at, `turns`, or all of its step's; throws
// std::invalid_argument.
inline void set_offsets(Unit& unit, const std::array<std::pair<int, int>, 4>& offsets, const std::vector<int>& turns) {
    if (turns.size() > 4) throw std::invalid_argument("plan: at most 4 rotations");
    for (int turned : turns)
        if (turned < 0 || turned > 3) throw std::invalid_argument("plan: a rotation out of range");
    if (!turns.empty()) unit.rotations = static_cast<int>(turns.size());
    for (int tap = 0; tap < 4; ++tap) {
        const auto [row, column] = offsets[tap];
        if (row < 0 || row > kMaxReach || column < 0 || column > kMaxReach)
            throw std::invalid_argument("plan: an offset out of range");
        unit.reach = std::max({unit.reach, row, column});
        for (int rotation = 0; rotation < unit.rotations; ++rotation) {
            unit.row[rotation][tap] = row;
            unit.column[rotation][tap] = column;
            turn(turns.empty() ? rotation : turns[rotation], unit.row[rotation][tap], unit.column[rotation][tap]);
        }
    }
}

struct Step {
    std::vector<Unit> units;
    std::vector<int> writes;
    int divisor = 1;
    int offset = 0;
    int upscale = 1;
    int values = 1;
    bool round_each = false;        // round the running sum after each lookup
    bool round_apart = false;       // ... and restart it for every unit
    bool mixes_taps = false;        // whether taps are means of pixels: those have tap_bits, which may be none
    int tap_bits = 0;               // fractional bits of the taps of this step
    int denominator_bits = 0;       // interpolation weights sum to 2^this
    bool picks = false;             // whether vertices are picked from its cells (kernel/picks.hpp)
    bool single_precision = false;  // whether float tells the quotients of its sums apart
    int reach = 0;
    int margin = 0;                          // how far beyond the wanted pixels this step's result is needed
    int lag = 0;                             // rows it runs behind the input
    std::array<std::vector<int>, 4> turned;  // [rotation][output value] -> value of the entry
    // The same for bytes of up to 16 values: of one row, of four rows to a word each (row = byte of the word), and of
    // one row from each of the four rotations.
    alignas(64) std::array<std::array<std::uint8_t, 16>, 4> turned_row{};
    alignas(64) std::array<std::array<std::uint8_t, 64>, 4> turned_quad{};
    alignas(64) std::array<std::uint8_t, 64> turned_fifth{};
};

// The value of a table entry that ends up at each output value when the square of values is turned back.
void set_turns(Step& step);

struct Plane {
    int writer = -1;  // step
    int margin = 0;
    int pad = 0;   // columns its readers look beyond the border
    int rows = 1;  // rows kept
};

struct Plan {
    int scale = 1;
    bool reflect = false;
    Rounding rounding = Rounding::exact;
    int tap_bits = 0;
    std::vector<Plane> planes;  // plane 0 is the input
    std::vector<Step> steps;    // the last one writes the output, which is no plane, unless there are outputs
    int colours = 1;            // channels that units may read together
    std::vector<int> outputs;   // planes that are the result, at the size of the input

    // Derive what depends on the whole plan, checking it; throws std::invalid_argument.
    void finish();
    // Store cells in addition to nodes, for kernels that read them.
    void build_cells();
};

// Check the layout and the number of entries, if it is not negative; throws std::invalid_argument.
void check_layout(const Layout& layout, std::int64_t entries, int values);
// How a table's entries lie in memory so that a grid's steps are constant.
struct Placement {
    std::vector<std::uint32_t> row;  // of every entry, in the order of a model file
    std::size_t rows = 0;
};
// Decide that and set the unit's grids.
Placement place_nodes(Unit& unit);
// Lay a table's entries, in the order of a model file, out accordingly.
void expand_nodes(Unit& unit, const std::int8_t* entries);
// Store the corners of every cell: 8 of a table of three axes if `least`, and 16 otherwise.
void expand_cells(Unit& unit, bool least);

}  // namespace lutra
