"""Table layouts: which grid nodes a table stores, and in which order. Plain data; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Dimensions = Literal["xy", "xyz", "xyzt"]


def nodes_per_axis(interval: int) -> int:
    """Return L = 2^(8 - interval) + 1: the nodes 0, q, 2q, ..., 256 with q = 2^interval (SR-LUT, CVPR 2021)."""
    return (1 << (8 - interval)) + 1


def _grid(interval: int, axes: int = 4) -> NDArray[np.int64]:
    side = nodes_per_axis(interval)
    return np.stack(np.unravel_index(np.arange(side**axes), (side,) * axes), axis=1).astype(np.int64)


def _pairs(nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of nodes one step apart along one axis, in `nodes` in ascending order of a, b, c, d."""
    side, axes = int(nodes.max()) + 1, nodes.shape[1]
    place = np.ravel_multi_index(tuple(nodes.T), (side,) * axes)
    found = []
    for axis in range(axes):
        inner = np.flatnonzero(nodes[:, axis] < side - 1)
        wanted = place[inner] + side ** (axes - 1 - axis)
        match = np.searchsorted(place, wanted).clip(max=len(place) - 1)
        exists = place[match] == wanted
        found.append((inner[exists], match[exists]))
    return np.concatenate([first for first, _ in found]), np.concatenate([second for _, second in found])


@dataclass(frozen=True)
class DenseLayout:
    """A layout with every node of the grid; entry index ((a*L + b)*L + c)*L + d. `interval` is in bits, 3..8.

    axes: 4, or 3 for a function of a, b and c alone.
    """

    interval: int = 4
    axes: int = 4

    def __post_init__(self) -> None:
        """Check the interval; raises ValueError."""
        if not 3 <= self.interval <= 8:
            raise ValueError(f"table interval is {shown(self.interval)} bits, expected 3..8")
        if self.axes not in (3, 4):
            raise ValueError(f"table has {shown(self.axes)} axes, expected 3 or 4")

    @property
    def entries(self) -> int:
        """The number of entries in a table of this layout."""
        return int(nodes_per_axis(self.interval) ** self.axes)

    def nodes(self) -> NDArray[np.int64]:
        """Return the taps (a, b, c, d) of every entry, 0..256: shape (entries, axes)."""
        return _grid(self.interval, self.axes) << self.interval

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the second entries of all pairs with nodes one step apart along one axis."""
        return _pairs(_grid(self.interval, self.axes))

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """The arrays that a table is stored in: (name, entries)."""
        return (("dense", self.entries),)

    def numbers(self) -> list[int]:
        """Return interval, no coarse interval, no width, and the axes that are missing, as the compiled core has it."""
        return [self.interval, 0, 0, 4 - self.axes]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {"kind": "dense", "interval": self.interval} | ({} if self.axes == 4 else {"axes": self.axes})


@dataclass(frozen=True)
class DiagonalLayout:
    """Diagonal-first compression (SPF-LUT, CVPR 2024, section 3.3): fine nodes near a = b = c = d, coarse elsewhere.

    The diagonal part holds the nodes of the fine grid (`interval`) whose b, c, d (as many as `dimensions` names)
    lie within `width` node steps of a, in a, b, c, d order; the coarse part, stored after it, is the whole grid of
    `coarse` bits. A cell uses the diagonal part when its taps lie within `width` * 2^interval of a.
    """

    interval: int = 4
    width: int = 2
    coarse: int = 5
    dimensions: Dimensions = "xyzt"

    def __post_init__(self) -> None:
        """Check every field; raises ValueError."""
        if not 3 <= self.interval < self.coarse <= 8:
            found = f"{shown(self.interval)} (diagonal) and {shown(self.coarse)} (coarse) bits"
            raise ValueError(f"DFC intervals are {found}, expected 3 <= diagonal < coarse <= 8")
        if not 1 <= self.width < nodes_per_axis(self.interval):
            wanted = f"1..{nodes_per_axis(self.interval) - 1}"
            raise ValueError(f"DFC width is {shown(self.width)} node steps, expected {wanted}")
        if self.dimensions not in get_args(Dimensions):
            raise ValueError(f"DFC dimensions are {shown(self.dimensions)}, expected one of {get_args(Dimensions)}")

    @property
    def bound_axes(self) -> int:
        """The number of b, c, d that are bound to a: 1 (xy), 2 (xyz) or 3 (xyzt)."""
        return len(self.dimensions) - 1

    def _diagonal(self) -> NDArray[np.int64]:
        grid = _grid(self.interval)
        distance = np.abs(grid[:, 1 : 1 + self.bound_axes] - grid[:, :1])
        near: NDArray[np.bool_] = (distance <= self.width).all(axis=1)
        return grid[near]

    @property
    def diagonal_entries(self) -> int:
        """The number of entries in the diagonal part: for each a, its neighbours to the power of the bound axes."""
        side = nodes_per_axis(self.interval)
        position = np.arange(side)
        near = np.minimum(position, self.width) + np.minimum(side - 1 - position, self.width) + 1
        pairs = int((near**self.bound_axes).sum())
        return pairs * int(side ** (3 - self.bound_axes))

    @property
    def entries(self) -> int:
        """The number of entries in both parts together."""
        return self.diagonal_entries + nodes_per_axis(self.coarse) ** 4

    def nodes(self) -> NDArray[np.int64]:
        """Return the taps of every entry, diagonal part first, 0..256: shape (entries, 4)."""
        return np.concatenate([self._diagonal() << self.interval, _grid(self.coarse) << self.coarse])

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the second entries of all pairs with nodes one step apart in the same part."""
        diagonal, coarse = _pairs(self._diagonal()), _pairs(_grid(self.coarse))
        first, second = (
            np.concatenate([near, far + self.diagonal_entries]) for near, far in zip(diagonal, coarse, strict=True)
        )
        return first, second

    def directory(self) -> NDArray[np.int64]:
        """Return each fine node's place in the diagonal part, by its dense entry index; -1 if it is not there."""
        side = nodes_per_axis(self.interval)
        dense = np.ravel_multi_index(tuple(self._diagonal().T), (side,) * 4)
        found = np.full(side**4, -1, dtype=np.int64)
        found[dense] = np.arange(len(dense))
        return found

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """The arrays that a table is stored in: (name, entries)."""
        return (("diagonal", self.diagonal_entries), ("coarse", nodes_per_axis(self.coarse) ** 4))

    def numbers(self) -> list[int]:
        """Return interval, coarse interval, width and bound axes, as the compiled core takes them."""
        return [self.interval, self.coarse, self.width, self.bound_axes]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {
            "kind": "diagonal",
            "interval": self.interval,
            "width": self.width,
            "coarse": self.coarse,
            "dimensions": self.dimensions,
        }


Layout = DenseLayout | DiagonalLayout


def layout_from_json(data: Any) -> Layout:
    """Rebuild a layout, checking every field.

    Raises:
        ValueError: a field is missing, unknown or out of range.
    """
    kinds: dict[str, type[DenseLayout] | type[DiagonalLayout]] = {
        "dense": DenseLayout,
        "diagonal": DiagonalLayout,
    }
    if not isinstance(data, dict) or data.get("kind") not in list(kinds):  # a kind may not be hashable
        raise ValueError(f"table layout is {shown(data)}, expected a kind of {sorted(kinds)}")
    fields = {key: value for key, value in data.items() if key != "kind"}
    if any(type(value) is not (str if key == "dimensions" else int) for key, value in fields.items()):
        raise ValueError(f"table layout has a field of the wrong type: {shown(fields)}")
    try:
        return kinds[data["kind"]](**fields)
    except TypeError:
        raise ValueError(
            f"table layout of kind '{data['kind']}' has the wrong fields: {shown(sorted(fields))}"
        ) from None
