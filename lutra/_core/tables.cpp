// Tables from the order of a model file to the order of the kernels.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "plan.hpp"

namespace lutra {
namespace {

constexpr std::size_t kMaxCellBytes = 8u << 20;  // a table of more stays with its nodes

int side(int interval) { return (1 << (8 - interval)) + 1; }

std::int64_t power(std::int64_t x, int axes) { return axes == 3 ? x * x * x : x * x * x * x; }

bool near_diagonal(const std::array<int, 4>& node, const Layout& layout) {
    for (int axis = 1; axis <= layout.bound_axes; ++axis)
        if (std::abs(node[axis] - node[0]) > layout.width) return false;
    return true;
}

// A whole grid of `size` positions an axis, or a box around its diagonal: axis b is stored as b - a + width, so a
// step along a moves the bound axes back. Zero-weight vertices may lie just outside the box: `guard` covers them.
struct Box {
    Grid grid;
    std::size_t size = 0;
};

// Where a table has no axis d, every d is at the same place.
Box whole_box(int interval, int positions, int axes = 4) {
    const auto n = static_cast<std::uint32_t>(positions);
    std::array<std::uint32_t, 4> stride{n * n * n, n * n, n, 1};
    if (axes == 3) stride = {n * n, n, 1, 0};
    return {{interval, 0, stride, 0}, static_cast<std::size_t>(power(positions, axes))};
}

Box diagonal_box(const Layout& layout, int positions) {
    const int reach = 2 * layout.width + 1;
    if (reach >= positions) return whole_box(layout.interval, positions);
    std::array<std::uint32_t, 4> stride{};
    std::uint32_t size = 1;
    for (int axis = 3; axis >= 0; --axis) {
        stride[axis] = size;
        size *= static_cast<std::uint32_t>(axis >= 1 && axis <= layout.bound_axes ? reach : positions);
    }
    std::uint32_t guard = 0, origin = 0;
    for (int axis = 1; axis <= layout.bound_axes; ++axis) {
        guard += stride[axis];
        origin += stride[axis] * static_cast<std::uint32_t>(layout.width);
    }
    Box box{{layout.interval, 0, stride, origin + guard}, std::size_t{size} + 2 * guard};
    box.grid.coefficient[0] -= guard;
    return box;
}

std::size_t position(const Grid& grid, const std::array<int, 4>& node) {
    std::uint32_t sum = grid.origin;
    for (int axis = 0; axis < 4; ++axis) sum += grid.coefficient[axis] * static_cast<std::uint32_t>(node[axis]);
    return sum;
}

template <class Visit>
void for_each_node(int positions, int axes, Visit visit) {
    std::array<int, 4> node{};
    for (node[0] = 0; node[0] < positions; ++node[0])
        for (node[1] = 0; node[1] < positions; ++node[1])
            for (node[2] = 0; node[2] < positions; ++node[2])
                for (node[3] = 0; node[3] < (axes == 3 ? 1 : positions); ++node[3]) visit(node);
}

}  // namespace

template <class T>
AlignedArray<T>::AlignedArray(std::size_t size) : size_(size) {
    const std::size_t bytes = aligned_size(size * sizeof(T));
    memory_ = {static_cast<T*>(take_memory(bytes)), Free{bytes}};
    std::memset(static_cast<void*>(memory_.get()), 0, bytes);
}

template class AlignedArray<std::int8_t>;
template class AlignedArray<std::uint8_t>;
template class AlignedArray<std::int16_t>;
template class AlignedArray<float>;
template class AlignedArray<double>;

void check_layout(const Layout& layout, std::int64_t entries, int values) {
    const auto fail = [](const std::string& what) { throw std::invalid_argument("plan: " + what); };
    if (layout.interval < 3 || layout.interval > 8) fail("interval " + std::to_string(layout.interval));
    if (values < 1 || values > 64) fail(std::to_string(values) + " values an entry");
    if (layout.coarse == 0 && (layout.bound_axes < 0 || layout.bound_axes > 1)) fail("a table of too few axes");
    std::int64_t expected = power(side(layout.interval), layout.axes());
    if (layout.coarse != 0) {
        if (layout.coarse <= layout.interval || layout.coarse > 8 || layout.bound_axes < 1 || layout.bound_axes > 3 ||
            layout.width < 1 || layout.width >= side(layout.interval))
            fail("a diagonal layout that is none");
        expected = 0;
        const std::int64_t positions = side(layout.interval);
        for (std::int64_t a = 0; a < positions; ++a) {
            const std::int64_t close =
                std::min<std::int64_t>(a, layout.width) + std::min<std::int64_t>(positions - 1 - a, layout.width) + 1;
            std::int64_t count = 1;
            for (int axis = 1; axis < 4; ++axis) count *= axis <= layout.bound_axes ? close : positions;
            expected += count;
        }
        expected += power(side(layout.coarse), 4);
    }
    if (entries >= 0 && entries != expected)
        fail("a table of " + std::to_string(entries) + " entries, expected " + std::to_string(expected));
}

Placement place_nodes(Unit& unit) {
    const Layout& layout = unit.layout;
    const int positions = side(layout.interval);
    unit.diagonal = layout.coarse != 0;
    Box fine = unit.diagonal ? diagonal_box(layout, positions) : whole_box(layout.interval, positions, layout.axes());
    Box coarse;
    if (unit.diagonal) {
        coarse = whole_box(layout.coarse, side(layout.coarse));
        coarse.grid.origin = static_cast<std::uint32_t>(fine.size);
    }
    unit.node = {fine.grid, coarse.grid};
    Placement placement{{}, fine.size + coarse.size};
    const auto add = [&](const Grid& grid, const std::array<int, 4>& node) {
        placement.row.push_back(static_cast<std::uint32_t>(position(grid, node)));
    };
    for_each_node(positions, layout.axes(), [&](const std::array<int, 4>& node) {
        if (!unit.diagonal || near_diagonal(node, layout)) add(fine.grid, node);
    });
    if (unit.diagonal) for_each_node(side(layout.coarse), 4, [&](const auto& node) { add(coarse.grid, node); });
    return placement;
}

void expand_nodes(Unit& unit, const std::int8_t* entries) {
    const auto values = static_cast<std::size_t>(unit.values);
    const Placement placement = place_nodes(unit);
    // Vector kernels read 16 bytes wherever a row starts.
    unit.nodes = AlignedArray<std::int8_t>(placement.rows * values + kLanes);
    for (const std::uint32_t row : placement.row) {
        std::memcpy(unit.nodes.data() + row * values, entries, values);
        entries += values;
    }
}

void expand_cells(Unit& unit, bool least) {
    const Layout& layout = unit.layout;
    const int axes = least ? layout.axes() : 4, corners = 1 << axes;
    const int positions = side(layout.interval) - 1;
    const auto values = static_cast<std::size_t>(unit.values);
    Box fine = unit.diagonal ? diagonal_box(layout, positions) : whole_box(layout.interval, positions, layout.axes());
    Box coarse;
    if (unit.diagonal) {
        coarse = whole_box(layout.coarse, side(layout.coarse) - 1);
        coarse.grid.origin = static_cast<std::uint32_t>(fine.size);
    }
    const std::size_t bytes = (fine.size + coarse.size) * values * static_cast<std::size_t>(corners);
    if (bytes > kMaxCellBytes) return;
    unit.cells = AlignedArray<std::int8_t>(bytes);
    if (least && axes == 4) fine.grid.coefficient = {4096, 16, 1, 256};
    unit.cell = {fine.grid, coarse.grid};
    const auto copy = [&](int part, std::array<int, 4> node) {
        std::int8_t* cell = unit.cells.data() + position(unit.cell[part], node) * values * corners;
        for (int corner = 0; corner < corners; ++corner) {
            auto vertex = node;
            for (int axis = 0; axis < axes; ++axis) vertex[axis] += corner >> (axes - 1 - axis) & 1;
            const std::int8_t* row = unit.nodes.data() + position(unit.node[part], vertex) * values;
            for (std::size_t value = 0; value < values; ++value) cell[value * corners + corner] = row[value];
        }
    };
    for_each_node(positions, layout.axes(), [&](const std::array<int, 4>& node) {
        if (!unit.diagonal || near_diagonal(node, layout)) copy(0, node);
    });
    if (unit.diagonal) for_each_node(side(layout.coarse) - 1, 4, [&](const auto& node) { copy(1, node); });
}

}  // namespace lutra
