"""MATLAB-compatible bicubic `imresize`: makes the LR images and the bicubic baseline, byte for byte."""

from fractions import Fraction
from math import ceil, floor
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Variant = Literal["uint8", "double"]
_Value = TypeVar("_Value", bound=np.generic)

_LARGEST_TERM = 64  # the terms of `scale` as a fraction are the number of weight vectors and a stride
_BLOCK_VALUES = 1 << 16  # values summed at a time: half a mebibyte of float64 stays in the cache for all taps


def imresize(image: NDArray[np.uint8], scale: float | Fraction, variant: Variant = "uint8") -> NDArray[np.uint8]:
    """Resize by a factor as MATLAB's `imresize(image, scale, "bicubic")` does.

    When shrinking, the kernel is stretched by 1 / scale (antialiasing). Weights are normalised, borders are
    mirrored with the edge repeated, rows are resized before columns. Halves round up.

    Args:
        image: (H, W) or (H, W, C) uint8.
        scale: what the sides are multiplied by: `Fraction(1, 4)` shrinks by 4, `4` enlarges by 4. A float is
            read as the fraction it stands for, so that `1 / 3` works.
        variant: where results are rounded and clipped to 0..255: `uint8`, after each of the two passes, as
            MATLAB does for uint8 images (the standard benchmark LR sets); `double`, once at the end, as for
            double images (SR-LUT's x4 LR files).

    Returns:
        (ceil(H * scale), ceil(W * scale)) uint8, or the same with C.

    Raises:
        ValueError: the image is not as above or empty, `scale` is no fraction of terms up to 64, or `variant` is
            unknown.
    """
    ratio = _as_ratio(scale)
    if variant not in ("uint8", "double"):
        raise ValueError(f"variant: found {variant!r}, expected 'uint8' or 'double'")
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        found = f"shape {image.shape} of {image.dtype}"
        raise ValueError(f"image to resize: found {found}, expected (H, W) or (H, W, C) of uint8, not empty")
    between: type[np.uint8 | np.float64] = np.uint8 if variant == "uint8" else np.float64
    rows = _resize_rows(image, ratio, between)
    columns = _resize_rows(rows.swapaxes(0, 1), ratio, np.uint8)
    return np.ascontiguousarray(columns.swapaxes(0, 1))


def modcrop(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return the top left part of an image whose sides are multiples of `scale`, as a view.

    Args:
        image: (H, W) or (H, W, C).
        scale: 1 or more; of a fraction such as 1.5 = 3/2, the sides are multiples of 3.

    Raises:
        ValueError: a side is smaller than `scale`, or `scale` smaller than 1.
    """
    if scale < 1:
        raise ValueError(f"scale: found {scale}, expected 1 or more")
    height, width = image.shape[:2]
    of = _as_ratio(scale).numerator
    if min(height, width) < of:
        found = f"{width} x {height} pixels"
        raise ValueError(f"image to crop: found {found}, expected at least {of} x {of}")
    return image[: height - height % of, : width - width % of]


def _as_ratio(scale: float | Fraction) -> Fraction:
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale: found {scale}, expected a positive number")
    exact = Fraction(scale)
    ratio = exact.limit_denominator(_LARGEST_TERM)
    if not 1 <= ratio.numerator <= _LARGEST_TERM or abs(ratio - exact) > exact / 10**12:
        raise ValueError(f"scale: found {scale}, expected a fraction of whole numbers up to {_LARGEST_TERM}")
    return ratio


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Keys' cubic convolution kernel with a = -1/2 (IEEE ASSP 29, 1981)."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _phases(scale: Fraction) -> list[tuple[int, NDArray[np.float64]]]:
    """Return the first input index and the weights of each of the first `scale.numerator` outputs.

    The output `scale.numerator` further on has the same weights, `scale.denominator` inputs further on. Where
    both terms are powers of two, weights and sums are exact in float64: no order of summation matters.
    """
    stretch = max(1 / scale, Fraction(1))
    phases = []
    for output in range(scale.numerator):
        centre = (output + Fraction(1, 2)) / scale - Fraction(1, 2)
        first = floor(centre - 2 * stretch)
        taps = range(first, first + ceil(4 * stretch) + 2)
        weights = _cubic(np.array([float((centre - tap) / stretch) for tap in taps]))
        used = np.flatnonzero(weights)
        weights = weights[used[0] : used[-1] + 1]
        phases.append((first + int(used[0]), weights / weights.sum()))
    return phases


def _resize_rows(values: NDArray[Any], scale: Fraction, result: type[_Value]) -> NDArray[_Value]:
    """Resize (N, ...) along the first axis to (ceil(N * scale), ...); uint8 is rounded and clipped."""
    rows = values.reshape(len(values), -1)
    period, step = scale.numerator, scale.denominator
    height = ceil(len(rows) * scale)
    phases = _phases(scale)
    before = max(0, *(-first for first, _ in phases))
    reach = max(first + len(weights) for first, weights in phases) + (height - 1) // period * step
    padded = np.pad(rows, ((before, max(0, reach - len(rows))), (0, 0)), mode="symmetric")
    resized = np.empty((height, rows.shape[1]), result)
    block = max(1, _BLOCK_VALUES // rows.shape[1])
    for phase, (first, weights) in enumerate(phases):
        outputs = resized[phase::period]
        for start in range(0, len(outputs), block):
            part = outputs[start : start + block]
            total, term = np.zeros(part.shape), np.empty(part.shape)
            for tap, weight in enumerate(weights, before + first + start * step):
                np.multiply(padded[tap : tap + (len(part) - 1) * step + 1 : step], weight, out=term)
                total += term
            part[:] = np.clip(np.floor(total + 0.5), 0, 255) if result is np.uint8 else total
    return resized.reshape(height, *values.shape[1:])
