"""Results of any size: the size that a caller asks for, and plain interpolation of planes that no model restores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lutra.model.anysize import Grid, Warp, outputs_of

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height in pixels."""

MOST_SIDE, MOST_PIXELS = 1 << 20, 1 << 31
"""Limits of a result."""


@dataclass(frozen=True)
class Target:
    """The size that a result is to have: a factor, or its sides in pixels.

    scale: what both sides are multiplied by, rounded up.
    width, height: the sides; where one is None, it follows from the other and the proportions of the picture.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers; raises ValueError."""
        sides = [side for side in (self.width, self.height) if side is not None]
        if (self.scale is None) == (not sides):
            raise ValueError(f"size is {self}, expected either a scale, or a width, a height or both")
        if self.scale is not None and not 0 < self.scale <= MOST_SIDE:
            raise ValueError(f"scale is {self.scale}, expected a number above 0, at most {MOST_SIDE}")
        for side in sides:
            if isinstance(side, bool) or not isinstance(side, int | np.integer) or not 1 <= side <= MOST_SIDE:
                raise ValueError(f"size has a side of {side!r}, expected whole numbers of pixels in 1..{MOST_SIDE}")

    @staticmethod
    def of(size: Size) -> Target:
        """Return the target of a width and a height; raises ValueError."""
        if isinstance(size, str) or not isinstance(size, Sequence) or len(size) != 2 or None in size:
            raise ValueError(f"size is {size!r}, expected width and height")
        return Target(None, *size)

    def __str__(self) -> str:
        """Return the target in few words, such as "x2.5" or "1280 x any"."""
        if self.scale is not None:
            return f"x{self.scale:g}"
        return f"{self.width or 'any'} x {self.height or 'any'}"

    def size(self, width: int, height: int) -> Size:
        """Return the size of the result of a picture of that size.

        Raises:
            ValueError: the result would be too large.
        """
        if self.scale is not None:
            found = outputs_of(width, self.scale), outputs_of(height, self.scale)
        else:
            across = self.width or max(1, round(width * (self.height or 0) / height))
            found = int(across), int(self.height or max(1, round(height * across / width)))
        if max(found) > MOST_SIDE or found[0] * found[1] > MOST_PIXELS:
            wanted = f"sides of at most {MOST_SIDE} pixels, and at most {MOST_PIXELS} in all"
            of = f"size {self} of a picture of {width} x {height} pixels"
            raise ValueError(f"{of} is {found[0]} x {found[1]}, expected {wanted}")
        return found

    def grid(self, width: int, height: int, own: int) -> Grid:
        """Return the grid of the output of a model of any size for a picture of that size.

        An axis that would not grow is enlarged by the model's `own` scale, from which its result is resampled: at a
        factor of 1 the two neighbours of an output would be a pixel and the one before it.
        """
        outputs = tuple(reversed(self.size(width, height)))
        axes = []
        for size, wanted in zip((height, width), outputs, strict=True):
            factor = wanted / size if self.scale is None else self.scale
            axes.append((wanted, float(factor)) if wanted > size else (size * own, float(own)))
        (rows, down), (columns, across) = axes
        return Grid.enlarged((height, width), (rows, columns), (down, across))


def target_of(scale: float | None, size: str | None, width: int | None, height: int | None) -> Target | None:
    """Return what a command's options ask for: a factor, a size such as "1920x1080", or sides; None for nothing.

    Raises:
        ValueError: they contradict one another, or one is out of range.
    """
    given = [name for name, value in (("--scale", scale), ("--size", size)) if value is not None]
    given += ["--width and --height"] if (width, height) != (None, None) else []
    if len(given) > 1:
        raise ValueError(f"found {' and '.join(given)}, expected one way to state the size")
    if size is not None:
        width, height = parse_size(size)
    return Target(scale, width, height) if given else None


def parse_size(text: str, most: int = MOST_SIDE) -> Size:
    """Return width and height, from "320x180"; raises ValueError."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and len(side) < 9 and 0 < int(side) <= most for side in sides):
        raise ValueError(f"size is {text!r}, expected WIDTHxHEIGHT in pixels, such as 320x180")
    return int(sides[0]), int(sides[1])


def resized(pixels: Pixels, size: Size) -> Pixels:
    """Return pixels at another size, by bicubic interpolation with antialiasing, channel by channel.

    Rows become wider or narrower first, and are rounded. Pillow alone would choose the order, each version its own way.

    Args:
        pixels: (H, W) or (H, W, C).
        size: width and height; that of `pixels` returns `pixels` itself.
    """
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        return np.stack([resized(plane, size) for plane in np.moveaxis(pixels, 2, 0)], axis=2)
    wide = Image.fromarray(np.ascontiguousarray(pixels)).resize((size[0], pixels.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(wide.resize(size, Image.Resampling.BICUBIC))


def warped(pixels: Pixels, warp: Warp) -> Pixels:
    """Return pixels (H, W) or (H, W, C) at the places of a warp, by bilinear interpolation; 0 beyond the border."""
    around = np.pad(pixels, ((1, 1), (1, 1), *[(0, 0)] * (pixels.ndim - 2))).astype(np.float64)
    bands = []
    for rows, columns in warp.bands():
        total: Any = 0.0
        for below in (0, 1):
            for right in (0, 1):
                y = np.clip(rows.first + below + 1, 0, around.shape[0] - 1)
                x = np.clip(columns.first + right + 1, 0, around.shape[1] - 1)
                share = np.abs(1 - below - rows.distance) * np.abs(1 - right - columns.distance)
                total = total + around[y, x] * (share if pixels.ndim == 2 else share[..., None])
        bands.append(np.rint(total).astype(np.uint8))
    return np.concatenate(bands)


def warp_of(matrix: Any, size: Size, shape: tuple[int, ...]) -> Warp:
    """Return the places of a warp.

    Args:
        matrix: 3x3, maps (column, row, 1) of a pixel of the picture to that of the result, up to a factor.
        size: width and height of the result.
        shape: that of the picture's pixels.

    Raises:
        ValueError: the matrix cannot be inverted, or the size is out of range.
    """
    forward = np.asarray(matrix, np.float64)
    if forward.shape != (3, 3) or not np.isfinite(forward).all():
        raise ValueError(f"matrix has shape {forward.shape}, expected 3x3 finite numbers")
    width, height = Target.of(size).size(1, 1)
    # The inverse but for a factor, which a homography does not have: the same operations on every machine.
    a, b, c = forward / np.abs(forward).max() if forward.any() else forward
    inverse = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1)
    if abs(float(a @ inverse[:, 0])) < 1e-30:
        raise ValueError("matrix maps the picture to a line or a point, expected one that can be inverted")
    return Warp((height, width), inverse, (shape[0], shape[1]))


def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cross product of two vectors."""
    forward = [one[(axis + 1) % 3] * other[(axis + 2) % 3] for axis in range(3)]
    backward = [one[(axis + 2) % 3] * other[(axis + 1) % 3] for axis in range(3)]
    return np.subtract(forward, backward)
