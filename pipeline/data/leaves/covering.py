"""Dead leaves: random opaque shapes that cover a canvas, the frontmost first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BATCH = 1 << 14  # leaves thrown between two looks at what is still empty
_SPARSE = 1 << 20  # leaves times empty pixels below which every pair is looked at
_SIDES = (12, 18, 27, 40)  # pixels: boxes up to these sides are computed together
LEAF = np.dtype(  # centre, half axes, sideways shift, direction; square, triangle or ellipse; box around it
    [(name, "f8") for name in ("x", "y", "length", "width", "bend", "cos", "sin")]
    + [(name, "i8") for name in ("kind", "left", "top", "right", "bottom")]
)
"""A leaf; lengths are in pixels of the canvas."""

Random = np.random.Generator


@dataclass(frozen=True)
class Leaves:
    """Parameters of the images. Lengths are in pixels of the final image; shares lie in 0..1.

    Raises:
        ValueError: a parameter is out of its range.
    """

    size: int = 256
    """Side of the final image: 8..4096."""
    oversampling: int = 2
    """Factor by which an image is drawn larger, without antialiasing; MATLAB's bicubic then shrinks it: 1..8."""
    least_radius: float = 2.5
    """Least radius of the disk that a leaf is cut from, before it is narrowed."""
    most_radius: float = 200.0
    exponent: float = 3.0
    """The density of radii falls as radius**-exponent: above 1; 3 is scale-invariant, more gives finer images."""
    rectangles: float = 0.35
    """Share of leaves that are rectangles; those that are neither these nor triangles are ellipses."""
    triangles: float = 0.15
    most_elongation: float = 8.0
    """Largest ratio of length to width, 1 or more: thin structures."""
    most_bend: float = 0.6
    """Largest sideways shift of a leaf's ends against its middle; 1 is half its length."""
    scatter: float = 25.0
    """Distance in the photograph between a leaf's own place and that of its colours (standard deviation, in the
    photograph's pixels). Neighbours have similar colours, as in photographs; 10000 or more makes them independent."""
    shaded: float = 0.6
    """Share of leaves with a linear gradient between two colours."""
    rough: float = 0.5
    """Share of leaves with a texture of noise, some of it stretched in one direction."""
    striped: float = 0.2
    """Share of leaves with wavy stripes."""
    rich: bool = False
    """Whether images have gratings, lattices, strokes, lines, shading and blur of depth too."""

    def __post_init__(self) -> None:
        ranges = dict[str, tuple[float, float]](size=(8, 4096), oversampling=(1, 8), most_radius=(0.5, 4096))
        ranges |= dict(least_radius=(0.5, self.most_radius), exponent=(1.01, 10), most_elongation=(1, 100))
        ranges |= dict.fromkeys(("rectangles", "triangles", "shaded", "rough", "striped"), (0, 1))
        ranges |= dict(most_bend=(0, 2), scatter=(0, 1e5))
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected {least} to {most}")
        for name in ("size", "oversampling"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name}: found {getattr(self, name)}, expected a whole number")
        if self.rectangles + self.triangles > 1:
            raise ValueError(f"rectangles + triangles: found {self.rectangles + self.triangles}, expected at most 1")


def radii_of(generator: Random, count: int, least: float, most: float, exponent: float) -> NDArray[np.float64]:
    """Return radii of density r**-exponent between two bounds, by inverting their distribution function."""
    power = 1 - exponent
    radii: NDArray[np.float64] = (least**power + generator.random(count) * (most**power - least**power)) ** (1 / power)
    return radii


def throw(leaves: Leaves, generator: Random, count: int) -> NDArray[Any]:
    """Throw leaves evenly on all places from which the largest could touch the canvas; return those whose box does."""
    length = radii_of(generator, count, leaves.least_radius, leaves.most_radius, leaves.exponent) * leaves.oversampling
    elongation = generator.random(count)
    bend = generator.uniform(-leaves.most_bend, leaves.most_bend, count) * length
    angle = generator.uniform(0, 2 * np.pi, count)
    sort = generator.random(count)
    side, most = leaves.size * leaves.oversampling, leaves.most_radius * leaves.oversampling
    margin = most * np.hypot(1 + leaves.most_bend / 2, 1)
    centre = generator.uniform(-margin, side + margin, (2, count))

    longest = (2 + leaves.most_bend) * length  # farther from its centre no leaf reaches
    near = np.flatnonzero(((centre + longest >= 0) & (centre - longest <= side)).all(axis=0))
    length, elongation, bend, angle, sort = (values[near] for values in (length, elongation, bend, angle, sort))
    centre, cos, sin = centre[:, near], np.cos(angle), np.sin(angle)
    width = length / leaves.most_elongation**elongation
    kind = np.digitize(sort, [leaves.rectangles, leaves.rectangles + leaves.triangles])
    across = width + np.abs(bend) / 2
    reach = np.abs([across * cos, across * sin]) + np.abs([length * sin, length * cos])
    least = np.clip(np.ceil(centre - reach), 0, side)
    end = np.clip(np.floor(centre + reach) + 1, 0, side)
    touching = np.flatnonzero((least < end).all(axis=0))
    thrown = np.zeros(len(touching), LEAF)
    values = (*centre, length, width, bend, cos, sin, kind, *least, *end)
    for name, value in zip(LEAF.names or (), values, strict=True):
        thrown[name] = value[touching]
    return thrown


def cover(leaves: Leaves, generator: Random) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Throw leaves, the frontmost first, until no pixel of the canvas is empty.

    Returns:
        The number of the leaf seen at each pixel, (side, side), and the leaves by number.
    """
    side = leaves.size * leaves.oversampling
    owner = np.full((side, side), -1, np.int32)
    placed: list[NDArray[Any]] = []
    count = 0
    while (empty := owner < 0).any():
        sums = np.zeros((side + 1, side + 1), np.int32)  # by column, then row: NumPy is slow to sum down columns
        np.cumsum(np.cumsum(empty, axis=1, dtype=np.int32).T.copy(), axis=1, out=sums[1:, 1:])
        thrown = throw(leaves, generator, _BATCH)
        left, top, right, bottom = (thrown[name] for name in ("left", "top", "right", "bottom"))
        room = sums[right, bottom] - sums[right, top] - sums[left, bottom] + sums[left, top]
        thrown = thrown[room > 0]
        if len(thrown) * int(sums[-1, -1]) < _SPARSE:
            _place_on_few(owner, count, thrown)
        else:
            for number, (leaf, shape) in enumerate(zip(thrown, _small_shapes(thrown), strict=True), count):
                place(owner, number, leaf, shape)
        placed.append(thrown)
        count += len(thrown)
    return owner, np.concatenate(placed)


def place(owner: NDArray[np.int32], number: int, leaf: Any, shape: NDArray[np.bool_] | None = None) -> None:
    """Write a leaf's number where it covers empty pixels.

    Args:
        owner: (side, side), negative where a pixel is empty.
        number: the leaf's number.
        leaf: one of those that `throw` returns.
        shape: which pixels of its box it covers, if that is known.
    """
    *_, kind, left, top, right, bottom = leaf.tolist()
    seen = owner[top:bottom, left:right]
    empty = seen < 0
    if shape is not None:
        np.copyto(seen, number, where=shape & empty)
    elif few := int(np.count_nonzero(empty)):
        if few < empty.size // 4:
            row, column = np.nonzero(empty)
            covered = _covered(leaf, left + column, top + row, kind)
            seen[row[covered], column[covered]] = number
        else:
            shape = _covered(leaf, np.arange(left, right), np.arange(top, bottom)[:, None], kind)
            np.copyto(seen, number, where=shape & empty)


def _place_on_few(owner: NDArray[np.int32], first: int, leaves: NDArray[Any]) -> None:
    """Place leaves in their order, numbered from `first`, where so few pixels are empty that pairs of both are few."""
    row, column = np.nonzero(owner < 0)
    start, end = np.searchsorted(row, [leaves["top"], leaves["bottom"]])  # the empty pixels in the rows of each leaf
    leaf = np.repeat(np.arange(len(leaves)), end - start)
    pixel = np.arange(len(leaf)) + np.repeat(end - np.cumsum(end - start), end - start)
    boxed = (leaves["left"][leaf] <= column[pixel]) & (column[pixel] < leaves["right"][leaf])
    leaf, pixel = leaf[boxed], pixel[boxed]
    kinds = leaves["kind"][leaf]
    covered = np.zeros(len(leaf), np.bool_)
    for kind in range(3):
        alike = np.flatnonzero(kinds == kind)
        at = pixel[alike]
        covered[alike] = _covered(leaves[leaf[alike]], column[at], row[at], kind)
    leaf, pixel = leaf[covered][::-1], pixel[covered][::-1]  # of several at a pixel, the frontmost is written last
    owner[row[pixel], column[pixel]] = first + leaf


def _small_shapes(leaves: NDArray[Any]) -> list[NDArray[np.bool_] | None]:
    """Return which pixels of its box each leaf covers: those of small leaves, which are computed together."""
    height, width = leaves["bottom"] - leaves["top"], leaves["right"] - leaves["left"]
    shapes: list[NDArray[np.bool_] | None] = [None] * len(leaves)
    side = np.searchsorted(_SIDES, np.maximum(height, width))
    for group in range(len(_SIDES)):
        for kind in range(3):
            numbers = np.flatnonzero((side == group) & (leaves["kind"] == kind))
            alike = leaves[numbers, None, None]
            step = np.arange(_SIDES[group])
            covered = _covered(alike, alike["left"] + step, alike["top"] + step[:, None], kind)
            for number, shape in zip(numbers.tolist(), covered, strict=True):
                shapes[number] = shape[: height[number], : width[number]]
    return shapes


def _covered(leaf: Any, column: NDArray[np.int64], row: NDArray[np.int64], kind: int) -> NDArray[np.bool_]:
    """Return which pixels leaves of one kind cover: shapes within the unit disk, drawn out, bent and turned."""
    length, width, cos, sin = leaf["length"], leaf["width"], leaf["cos"], leaf["sin"]
    dx, dy = column - leaf["x"], row - leaf["y"]
    v = dx * (-sin / length) + dy * (cos / length)
    v2 = v * v
    u = dx * (cos / width) + dy * (sin / width) - (v2 - 0.5) * (leaf["bend"] / width)
    covered: NDArray[np.bool_]
    if kind == 0:  # a square
        covered = np.maximum(u * u, v2) < 0.5
    elif kind == 1:  # a triangle of equal sides
        covered = (np.abs(u) * np.sqrt(3) + v < 1) & (v > -0.5)
    else:
        covered = u * u + v2 < 1
    return covered
