"""Resampling to any size with a kernel for every pixel (LeRF): the step, its grids and its numbers. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Border = Literal["replicate", "zero"]


@dataclass(frozen=True)
class Resample:
    """Makes an output of any size: a mean of the 2x2 nearest pixels, each weighed by a kernel of its own (LeRF).

    The last step of a model. A pixel weighs exp(-((u d_y)^2 - 2 c (u d_y) (v d_x) + (v d_x)^2) / 2) at the distance
    (d_y, d_x) from it, where its values in the three planes of `kernel` are 255 (c + 1) / 2, 255 u / 10 and 255 v / 10.
    The model's scale is the factor of calls that ask for no other. `lutra.reference.resampling` fixes the order of the
    operations.

    reads: the plane of the pixels.
    kernel: the planes of the correlation c, and of the steepness along rows (u) and along columns (v).
    border: what the pixels next to the border are, outside: the nearest ones inside, or 0, as published, which makes
        the border darker. They have the kernel of the nearest pixel inside. Pixels further outside are 0.
    """

    reads: str
    kernel: tuple[str, str, str]
    border: Border = "replicate"


@dataclass(frozen=True)
class Axis:
    """The places of the outputs along an axis, between the pixels of the input.

    first: of each output, the first of its two neighbours, -1..size - 1; the other one is the next: int32.
    distance: of each output, its distance from that neighbour, in pixels of the input: float64.
    """

    first: NDArray[np.int32]
    distance: Array

    @staticmethod
    def at(positions: Array) -> Axis:
        """Return the neighbours of positions; a whole number is the second of its two neighbours (LeRF's code)."""
        first = np.ceil(positions - 1 - 2.0**-23)
        return Axis(first.astype(np.int32), positions - first)

    @staticmethod
    def enlarged(size: int, outputs: int, factor: float) -> Axis:
        """Return the grid of an axis that grows by a factor: its outputs' centre is that of the input.

        Args:
            size: pixels of the input.
            outputs: pixels of the output; `outputs_of(size, factor)` for a grid of the whole input.
            factor: 1 or more.
        """
        grown = np.arange(outputs, dtype=np.float64) / factor
        return Axis.at(grown + (size - 1) / 2 - (outputs - 1) / (2 * factor))


@dataclass(frozen=True)
class Grid:
    """The places of an image's outputs on two axes."""

    rows: Axis
    columns: Axis

    @staticmethod
    def enlarged(shape: tuple[int, int], outputs: tuple[int, int], factors: tuple[float, float]) -> Grid:
        """Return the grid of an image (rows, columns) with that many outputs, enlarged by the factors of both axes."""
        rows, columns = (Axis.enlarged(*axis) for axis in zip(shape, outputs, factors, strict=True))
        return Grid(rows, columns)

    @staticmethod
    def scaled(height: int, width: int, scale: int) -> Grid:
        """Return the grid of an image that is enlarged by a whole number, the model's scale."""
        return Grid.enlarged((height, width), (height * scale, width * scale), (scale, scale))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return len(self.rows.first), len(self.columns.first)

    def bands(self) -> Iterator[tuple[Axis, Axis]]:
        """Return all places as one band."""
        yield self.rows, self.columns

    def parts(self, points: int) -> Iterator[Grid]:
        """Yield bands of rows, from the top, each of about that many places or of one row."""
        count = max(1, points // self.shape[1])
        for first in range(0, self.shape[0], count):
            of = slice(first, first + count)
            yield Grid(Axis(self.rows.first[of], self.rows.distance[of]), self.columns)


@dataclass(frozen=True)
class Warp:
    """The places of the outputs of a homography.

    shape: rows and columns of the output.
    matrix: 3x3, maps (column, row, 1) of an output to that of the input, both counted from the centre of the first
        pixel.
    limit: rows and columns of the input; the places of outputs outside of it lie far outside, where pixels are 0.
    """

    shape: tuple[int, int]
    matrix: Array
    limit: tuple[int, int]

    def bands(self) -> Iterator[tuple[Axis, Axis]]:
        """Yield the places of bands of rows, from the top: each axis (rows, columns)."""
        height, width = self.shape
        count = max(1, _BAND_POINTS // width)
        columns = np.arange(width, dtype=np.float64)[None]
        for first in range(0, height, count):
            rows = np.arange(first, min(first + count, height), dtype=np.float64)[:, None]
            with np.errstate(all="ignore"):
                x, y, w = (line[0] * columns + line[1] * rows + line[2] for line in self.matrix)
                places = (y / w, x / w)
            vertical, horizontal = (Axis.at(np.where(_is_within(places, self.limit), place, -3)) for place in places)
            yield vertical, horizontal


def _is_within(places: tuple[Array, Array], limit: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where places, which may be no numbers, lie in the area that the pixels cover."""
    rows, columns = ((place >= -0.5) & (place <= most - 0.5) for place, most in zip(places, limit, strict=True))
    return rows & columns


_BAND_POINTS = 1 << 18
Geometry = Grid | Warp
"""The places of the outputs; `bands` are bands of rows, from the top: the places of a grid, or of each output."""


def outputs_of(size: int, factor: float) -> int:
    """Return the pixels of an axis of `size` pixels times a factor, rounded up.

    The factor counts as the decimal number that it is written as: 100 pixels times 1.1 are 110. LeRF's code multiplies
    in float64, which makes them 111.
    """
    return math.ceil(Fraction(str(float(factor))) * size)


SIXTEENTHS = 23.083120654223414
"""16 / ln 2: an exponent of e times this is an exponent of 2^(1/16)."""

_POWERS = """
0x1.0000000000000p+0 0x1.0b5586cf9890fp+0 0x1.172b83c7d517bp+0 0x1.2387a6e756238p+0
0x1.306fe0a31b715p+0 0x1.3dea64c123422p+0 0x1.4bfdad5362a27p+0 0x1.5ab07dd485429p+0
0x1.6a09e667f3bcdp+0 0x1.7a11473eb0187p+0 0x1.8ace5422aa0dbp+0 0x1.9c49182a3f090p+0
0x1.ae89f995ad3adp+0 0x1.c199bdd85529cp+0 0x1.d5818dcfba487p+0 0x1.ea4afa2a490dap+0
"""
POWERS: Array = np.array([float.fromhex(power) for power in _POWERS.split()])
"""2^(j/16) for j = 0..15."""

POLYNOMIAL: Array = np.array(
    [1.0, 0.0433216987750622, 0.0009383847927372503, 1.3551125679372631e-05, 1.4676329849876248e-07]
)
"""The coefficients of 2^(x/16) for x in -0.5..0.5, lowest first; its relative error is below 6e-12."""

_LEVELS = np.arange(256, dtype=np.float32) / np.float32(255)
STEEPNESS: Array = (np.float32(10) * _LEVELS).astype(np.float64)
"""u or v of each value of a plane, rounded to float32 as published."""
CORRELATION: Array = (np.float32(2) * _LEVELS - np.float32(1)).astype(np.float64) * SIXTEENTHS
"""c of each value of a plane, rounded to float32 as published, times `SIXTEENTHS`."""
CURVE: Array = STEEPNESS * STEEPNESS * (-0.5 * SIXTEENTHS)
"""-u^2 / 2 of each value of a plane, times `SIXTEENTHS`."""
