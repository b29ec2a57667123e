"""ShiftLUT, TinyLUT, HKLUT and LeRF's last step, written from the papers' definitions, without a line of the library.

The images themselves are turned, padded and moved. In the first two, every quotient is one of integers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
COMMON = 64
"""Values of vectors are counted in 64ths of a level."""


def half_even(numerator: Whole, denominator: int) -> Whole:
    """The quotient, rounded, halves to even."""
    below, rest = np.divmod(numerator, denominator)
    return below + ((2 * rest > denominator) | ((2 * rest == denominator) & (below % 2 == 1)))


@dataclass
class Vector:
    """A function of x = 0, 1, ...: samples at every `step`."""

    samples: Sequence[int]
    step: int
    rounded: bool

    def __call__(self, x: Whole) -> Whole:
        """Its values in 64ths."""
        v: Whole = np.array([*map(int, self.samples), 0], np.int64)
        s = self.step
        value: Whole = v[x // s] * (s - x % s) + v[x // s + 1] * (x % s)
        return COMMON * half_even(value, s) if self.rounded else np.asarray(value * (COMMON // s))


Vectors = list[list[Vector]]
"""The vectors by input and output."""


def depthwise(vectors: Vectors, z: Whole, least: int) -> Whole:
    """A mean over 3x3 pixels of planes (1 or C, H, W), each with a vector of its own: (C, H, W)."""
    height, width = z.shape[1:]
    padded = np.pad(z, ((0, 0), (1, 1), (1, 1)), "edge") - least
    outputs = []
    for o in range(len(vectors[0])):
        plane = padded[o if len(z) > 1 else 0]
        views = [plane[k // 3 : k // 3 + height, k % 3 : k % 3 + width] for k in range(9)]
        outputs.append(half_even(np.sum([vectors[k][o](view) for k, view in enumerate(views)], axis=0), 9 * COMMON))
    return np.stack(outputs)


def pointwise(vectors: Vectors, z: Whole, least: int) -> Whole:
    """A mean over the planes (C, H, W) of one pixel: (outputs, H, W)."""
    sums = [np.sum([vectors[c][o](z[c] - least) for c in range(len(z))], axis=0) for o in range(len(vectors[0]))]
    return np.stack([half_even(total, len(z) * COMMON) for total in sums])


def shuffled(u: Whole, r: int) -> Whole:
    """Channel p * r + q becomes row p, column q of a pixel's block."""
    height, width = u.shape[1:]
    result = np.zeros((height * r, width * r), np.int64)
    for p in range(r):
        for q in range(r):
            result[p::r, q::r] = u[p * r + q]
    return result


def rotation_sum(plane: Callable[[Whole], Whole], x: Whole) -> Whole:
    """The sum of the four outputs, turned back."""
    return np.sum([np.rot90(plane(np.rot90(x, k)), -k) for k in range(4)], axis=0)


def shiftlut(image: NDArray[np.uint8], layers: dict[str, Vectors], offsets: Any, r: int) -> Whole:
    """ShiftLUT of one plane; `offsets` are (blocks, channels, 2), and `layers` are called as in our descriptions.

    The paper knows x4 with 16 channels, whose last layer adds all of them; of more channels than pixels, the first are
    added.
    """

    def plane(pixels: Whole) -> Whole:
        x = pixels - 128
        high, low = np.floor_divide(x, 4)[None], np.mod(x, 4)[None]
        l0 = (depthwise(layers["dw0_low"], low, 0) + low).clip(0, 3)
        h = (depthwise(layers["dw0"], high, -32) + high + l0).clip(-32, 31)
        for i, block in enumerate(offsets):
            if i > 0:
                h = (depthwise(layers[f"dw{i}"], h, -32) + h).clip(-32, 31)
            rows, columns = np.arange(h.shape[1]), np.arange(h.shape[2])
            h = np.stack(
                [
                    h[c][np.ix_((rows + dy).clip(0, rows[-1]), (columns + dx).clip(0, columns[-1]))]
                    for c, (dy, dx) in enumerate(block)
                ]
            )
            h = (pointwise(layers[f"pw{i}"], h, -32) + h).clip(-32, 31)
        u = pointwise(layers["up"], h, -32)
        u = u + h[: r * r] if r > 1 and r * r <= len(h) else u
        return shuffled(u.clip(-128, 127), r)

    total = rotation_sum(plane, image.astype(np.int64))
    return (total + (128 if r > 1 else image.astype(np.int64))).clip(0, 255)


def tinylut(image: NDArray[np.uint8], layers: dict[str, Vectors], scales: dict[str, Any], r: int) -> Whole:
    """TinyLUT of one plane of at least 3x3 pixels; `scales` are those of scale1_high ... scale2_low."""

    def product(z: Whole, numbers: Any, bounds: tuple[int, int]) -> Whole:
        real = np.round(z.astype(np.float32) * np.asarray(numbers, np.float32)[:, None, None])
        return real.astype(np.int64).clip(*bounds)

    def branch(v: Whole, name: str, bounds: tuple[int, int]) -> Whole:
        height, width = v.shape
        padded = np.pad(v, ((2, 0), (2, 0)), "reflect")
        depth = layers[f"depth_{name}"]
        views = [padded[k // 3 : k // 3 + height, k % 3 : k % 3 + width] - bounds[0] for k in range(9)]
        sums = [np.sum([depth[k][o](view) for k, view in enumerate(views)], axis=0) for o in range(16)]
        z = (half_even(np.stack(sums), 9 * COMMON) + v).clip(*bounds)
        z = product(z, scales[f"scale1_{name}"], bounds)
        z = (pointwise(layers[f"point_{name}"], z, bounds[0]) + z).clip(*bounds)
        z = product(z, scales[f"scale2_{name}"], bounds)
        u = pointwise(layers[f"up_{name}"], z, bounds[0]).clip(-128, 127)
        return (u + z).clip(-128, 127) if r == 4 else u

    def plane(pixels: Whole) -> Whole:
        x = pixels - 128
        both = branch(np.floor_divide(x, 4), "high", (-32, 31)) + branch(np.mod(x, 4), "low", (0, 3))
        return shuffled(both.clip(-128, 127), r)

    total = rotation_sum(plane, image.astype(np.int64))
    return total.clip(-128, 127) + 128 if r > 1 else (total + image).clip(0, 255)


HKLUT = {
    "high": {"h": [(0, 0), (0, 1), (0, 2)], "d": [(0, 0), (1, 1), (2, 2)], "b": [(0, 0), (1, 2), (2, 1)]},
    "low": {"h": [(0, 0), (0, 1)], "d": [(0, 0), (1, 1)]},
}


def hklut(image: NDArray[np.uint8], tables: dict[str, Any], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """HKLUT's state after its stages, of one plane of at least 3x3 pixels: float32 in 0..1.

    `tables` are (entries, r, r), called as in our descriptions; `factors` are the r of the stages.
    """

    def lookups(plane: Whole, stage: int, bits: str, r: int) -> Whole:
        pad, mode = (2, "reflect") if bits == "high" else (1, "edge")
        total = np.zeros((plane.shape[0] * r, plane.shape[1] * r), np.int64)
        for k in range(4):
            turned = np.rot90(plane, k)
            height, width = turned.shape
            padded = np.pad(turned, ((0, pad), (0, pad)), mode)  # type: ignore[call-overload]
            for name, taps in HKLUT[bits].items():
                index = np.zeros_like(turned)
                for row, column in taps:
                    index = 16 * index + padded[row : row + height, column : column + width]
                entries = np.asarray(tables[f"s{stage}_{bits}_{name}"], np.int64)[index]
                total += np.rot90(entries.transpose(0, 2, 1, 3).reshape(height * r, width * r), -k)
        return total

    single = np.float32
    x = image.astype(single) / single(255)
    for stage, r in enumerate(factors):
        q = np.floor(x * single(255)).astype(np.int64)
        high, low = lookups(q // 16, stage, "high", r), lookups(q % 16, stage, "low", r)
        added = high.astype(single) / single(3) / single(255) + low.astype(single) / single(2) / single(255)
        x = (added + x.repeat(r, 0).repeat(r, 1)).clip(0, 1)
    return x


def lerf_resampled(
    pixels: Any, kernel: Any, outputs: tuple[int, int], factors: tuple[float, float]
) -> NDArray[np.float64]:
    """LeRF's last step, one output at a time, not rounded; 0 outside the image.

    kernel: the values 0..255 of correlation and steepness along rows and columns.
    """
    rho = np.float32(2) * (kernel[0].astype(np.float32) / np.float32(255)) - np.float32(1)
    steep = [np.float32(10) * (plane.astype(np.float32) / np.float32(255)) for plane in kernel[1:]]
    (height, width), (down, across) = pixels.shape, factors
    rows, columns = outputs
    result = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            y = i / down + (height - 1) / 2 - (rows - 1) / (2 * down)
            x = j / across + (width - 1) / 2 - (columns - 1) / (2 * across)
            top, left = math.ceil(y - 1 - 2**-23), math.ceil(x - 1 - 2**-23)
            weights, values = [], []
            for row, column in ((top, left), (top + 1, left), (top, left + 1), (top + 1, left + 1)):
                near = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
                dy, dx = float(steep[0][near]) * (y - row), float(steep[1][near]) * (x - column)
                weights.append(math.exp(-0.5 * (dy**2 - 2 * float(rho[near]) * dy * dx + dx**2)))
                values.append(float(pixels[near]) if near == (row, column) else 0.0)
            result[i, j] = sum(w / sum(weights) * value for w, value in zip(weights, values, strict=True))
    return result
