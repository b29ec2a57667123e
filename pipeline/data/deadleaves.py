"""Synthetic training images: dead leaves, opaque random shapes of all sizes that hide one another.

Where radii have the density r**-3 the images look alike at every scale, as photographs do (Lee, Mumford and Huang,
IJCV 41, 2001; Baradad et al., "Learning to see by looking at noise", 2021). Colours come from a photograph, and leaves
carry gradients and textures; networks trained on such images alone restore photographs nearly as well as ones
trained on photographs (Achddou et al., SSVM 2021, and "VibrantLeaves", arXiv 2504.10201).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.degrade import generator_of
from lutra.imaging.resize import imresize

STREAM = 0x1EAF
"""Third word of the random generator's counter: sets these numbers apart from those of other users of a seed."""

_BATCH = 1 << 14  # leaves thrown between two looks at what is still empty
_AWAY = np.array([0, 24, 16])[:, None, None]  # pixels in the photograph: where a leaf's colours lie, about its first
_LEAF = np.dtype(  # centre, half axes, sideways shift, direction; rectangle, triangle or ellipse; box around it
    [(name, "f8") for name in ("x", "y", "length", "width", "bend", "cos", "sin")]
    + [(name, "i8") for name in ("kind", "left", "top", "right", "bottom")]
)

Random = np.random.Generator


@dataclass(frozen=True)
class Leaves:
    """What the images are made of. Lengths are in pixels of the final image; shares lie in 0..1.

    Raises:
        ValueError: a parameter is out of its range.
    """

    size: int = 256
    """Side of the final image: 8..4096."""
    oversampling: int = 2
    """Drawn so many times larger without antialiasing, then shrunk by MATLAB's bicubic: 1..8."""
    least_radius: float = 2.5
    """Of the disk that a leaf is cut from, before it is narrowed."""
    most_radius: float = 200.0
    exponent: float = 3.0
    """The density of radii falls as radius**-exponent: above 1; 3 is scale-invariant, more gives finer images."""
    rectangles: float = 0.35
    """Share of leaves that are rectangles; those that are neither these nor triangles are ellipses."""
    triangles: float = 0.15
    most_elongation: float = 8.0
    """Largest ratio of length to width, 1 or more: thin structures."""
    most_bend: float = 0.6
    """Largest sideways shift of a leaf's ends against its middle, in halves of its length."""
    scatter: float = 25.0
    """How far from its own place a leaf takes its colours in the photograph (standard deviation, in the photograph's
    pixels): neighbours are alike in colour, as in photographs; 10000 or more makes them independent."""
    shaded: float = 0.6
    """Share of leaves with a linear gradient between two colours."""
    rough: float = 0.5
    """Share of leaves with a texture of noise, more or less drawn out in one direction."""
    striped: float = 0.2
    """Share of leaves with wavy stripes."""

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


def draw(leaves: Leaves, palette: NDArray[np.uint8], number: int, seed: int = 0) -> NDArray[np.uint8]:
    """One image, a function of the arguments alone.

    Args:
        leaves: what to draw.
        palette: photograph whose pixels give the colours: (H, W, 3) uint8.
        number: which image of the seed's, 0 or more.
        seed: 0 or more.

    Returns:
        (leaves.size, leaves.size, 3) uint8.

    Raises:
        ValueError: the palette is not as above or empty, `number` or `seed` is negative.
    """
    if palette.dtype != np.uint8 or palette.ndim != 3 or palette.shape[2] != 3 or palette.size == 0:
        found = f"shape {palette.shape} of {palette.dtype}"
        raise ValueError(f"palette: found {found}, expected (H, W, 3) of uint8, not empty")
    if min(number, seed) < 0:
        raise ValueError(f"number and seed: found {number} and {seed}, expected 0 or more")
    generator = generator_of(seed, number, STREAM)
    owner, placed = _cover(leaves, generator)
    return imresize(_paint(leaves, palette, owner, placed, generator), Fraction(1, leaves.oversampling))


def _radii(generator: Random, count: int, least: float, most: float, exponent: float) -> NDArray[np.float64]:
    """Radii of density r**-exponent between two bounds, by inverting their distribution function."""
    power = 1 - exponent
    radii: NDArray[np.float64] = (least**power + generator.random(count) * (most**power - least**power)) ** (1 / power)
    return radii


def _throw(leaves: Leaves, generator: Random, count: int) -> NDArray[Any]:
    """Leaves thrown evenly on all places from which the largest could touch the canvas; lengths in its pixels."""
    thrown = np.zeros(count, _LEAF)
    radii = _radii(generator, count, leaves.least_radius, leaves.most_radius, leaves.exponent)
    thrown["length"] = radii * leaves.oversampling
    thrown["width"] = thrown["length"] / leaves.most_elongation ** generator.random(count)
    thrown["bend"] = generator.uniform(-leaves.most_bend, leaves.most_bend, count) * thrown["length"]
    angle = generator.uniform(0, 2 * np.pi, count)
    thrown["cos"], thrown["sin"] = np.cos(angle), np.sin(angle)
    thrown["kind"] = np.digitize(generator.random(count), [leaves.rectangles, leaves.rectangles + leaves.triangles])
    across = thrown["width"] + np.abs(thrown["bend"]) / 2
    reach = np.abs([across * thrown["cos"], across * thrown["sin"]])
    reach += np.abs([thrown["length"] * thrown["sin"], thrown["length"] * thrown["cos"]])
    side, most = leaves.size * leaves.oversampling, leaves.most_radius * leaves.oversampling
    margin = most * np.hypot(1 + leaves.most_bend / 2, 1)
    thrown["x"], thrown["y"] = centre = generator.uniform(-margin, side + margin, (2, count))
    thrown["left"], thrown["top"] = np.clip(np.ceil(centre - reach), 0, side)
    thrown["right"], thrown["bottom"] = np.clip(np.floor(centre + reach) + 1, 0, side)
    return thrown


def _cover(leaves: Leaves, generator: Random) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Throw leaves, the frontmost first, until no pixel of the canvas is empty.

    Returns:
        The number of the leaf seen at each pixel, (side, side), and the leaves by number.
    """
    side = leaves.size * leaves.oversampling
    owner = np.full((side, side), -1, np.int32)
    placed: list[NDArray[Any]] = []
    count = 0
    while (empty := owner < 0).any():
        sums = np.zeros((side + 1, side + 1), np.int32)
        np.cumsum(np.cumsum(empty, axis=0, dtype=np.int32), axis=1, out=sums[1:, 1:])
        thrown = _throw(leaves, generator, _BATCH)
        left, top, right, bottom = (thrown[name] for name in ("left", "top", "right", "bottom"))
        room = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        thrown = thrown[(room > 0) & (left < right) & (top < bottom)]
        for number, leaf in enumerate(thrown, count):
            _place(owner, number, leaf)
        placed.append(thrown)
        count += len(thrown)
    return owner, np.concatenate(placed)


def _place(owner: NDArray[np.int32], number: int, leaf: Any) -> None:
    """Write a leaf's number where it covers empty pixels: a shape within the unit disk, drawn out, bent and turned."""
    x, y, length, width, bend, cos, sin, kind, left, top, right, bottom = leaf.tolist()
    view = owner[top:bottom, left:right]
    dx, dy = np.arange(left, right) - x, np.arange(top, bottom)[:, None] - y
    v = dx * (-sin / length) + dy * (cos / length)
    v2 = v * v
    u = dx * (cos / width) + dy * (sin / width) - (v2 - 0.5) * (bend / width)
    if kind == 0:  # a square
        inside = np.maximum(u * u, v2) < 0.5
    elif kind == 1:  # a triangle of equal sides
        inside = (np.abs(u) * np.sqrt(3) + v < 1) & (v > -0.5)
    else:
        inside = u * u + v2 < 1
    np.copyto(view, number, where=inside & (view < 0))


def _paint(
    leaves: Leaves, palette: NDArray[np.uint8], owner: NDArray[np.int32], placed: NDArray[Any], generator: Random
) -> NDArray[np.uint8]:
    """Colour the canvas: leaves run from a first colour to a second, and texture to a third; (side, side, 3) uint8."""
    count, side = len(placed), len(owner)
    seen = owner.ravel()

    def spread(values: NDArray[Any]) -> NDArray[np.float32]:
        """A leaf's value at each of its pixels."""
        return values.astype(np.float32)[seen]

    def chance(share: float) -> NDArray[np.bool_]:
        return generator.random(count) < share

    def directions() -> NDArray[np.float64]:
        angle = generator.uniform(0, 2 * np.pi, count)
        return np.stack([np.cos(angle), np.sin(angle)])

    y, x = np.mgrid[:side, :side].reshape(2, -1).astype(np.float32)
    cos, sin = directions() * chance(leaves.shaded) / (2 * placed["length"])
    shade = (x - spread(placed["x"])) * spread(cos) + (y - spread(placed["y"])) * spread(sin)
    shade = np.clip(shade + 0.5 * spread(cos != 0), 0, 1)

    cos, sin = map(spread, directions())
    along, across = x * cos + y * sin, y * cos - x * sin
    noise, octaves = _noise(generator, side), generator.uniform(1, 5, count)
    drawn_out = np.where(chance(0.5), 10 ** generator.random(count), 1)
    row, column = generator.integers(side, size=(2, count))[:, seen]
    row = (row + across * spread(drawn_out)).astype(np.int64) % side
    column = (column + along).astype(np.int64) % side
    grain = noise[generator.integers(len(noise), size=count)[seen], row, column]
    stripes = np.sin(across * spread(2 * np.pi / (leaves.oversampling * 2**octaves)) + 1.5 * grain)
    rough = chance(leaves.rough) * generator.uniform(0.1, 0.4, count)
    striped = chance(leaves.striped) * generator.uniform(0.1, 0.6, count)
    detail = grain * spread(rough) + stripes * spread(striped) + 0.5 * spread(rough + striped > 0)

    first, second, third = _colours(leaves, palette, placed, generator)
    image = first[seen] + (second - first)[seen] * shade[:, None]
    image += (third[seen] - image) * np.clip(detail, 0, 1)[:, None]
    rounded: NDArray[np.uint8] = (image + 0.5).astype(np.uint8)  # weighted means of colours: within 0..255
    return rounded.reshape(side, side, 3)


def _colours(
    leaves: Leaves, palette: NDArray[np.uint8], placed: NDArray[Any], generator: Random
) -> NDArray[np.float32]:
    """Three colours a leaf, (3, N, 3): the photograph's about where the leaf lies, and at two pixels near that one."""
    height, width = palette.shape[:2]
    centre = np.stack([placed["y"], placed["x"]]) / leaves.oversampling + generator.uniform(0, [[height], [width]])
    centre += generator.normal(0, leaves.scatter, centre.shape)
    away = generator.normal(0, _AWAY, (3, *centre.shape))
    period = 2 * np.array([[height], [width]])
    place = np.floor(centre + away).astype(np.int64) % period
    row, column = np.minimum(place, period - 1 - place).swapaxes(0, 1)  # mirrored at the borders
    colours: NDArray[np.float32] = palette[row, column].astype(np.float32)
    return colours


def _noise(generator: Random, side: int) -> NDArray[np.float32]:
    """Periodic noise, (3, side, side), of variance 1: amplitudes fall as frequency to the power of 0.75, 1.1, 1.5."""
    white = np.fft.rfft2(generator.standard_normal((side, side), np.float32))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = np.inf
    noise = np.stack([np.fft.irfft2(white / frequency**power, (side, side)) for power in (0.75, 1.1, 1.5)])
    scaled: NDArray[np.float32] = (noise / noise.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    return scaled
