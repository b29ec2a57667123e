"""Image quality as the field reports it: PSNR, PSNR-Y, PSNR-B, SSIM of luma and of planes."""

from math import log2, log10
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.colour import rgb_to_y, to_three_channels

CEILING = 100.0
"""The highest PSNR in dB: that of equal images, and of those with less than one error of 1 in 150,000 values."""

_PEAK = 255.0
SSIM_SIDE = 11
"""Side of SSIM's window, in pixels: the smallest side of an image that it takes."""
BLOCK = 8
"""Side of JPEG's blocks, in pixels; PSNR-B takes images of two blocks a side."""
_SIGMA = 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_STRIP = 64  # rows of the SSIM map computed at a time, so that its intermediate planes stay in the cache


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio over all pixels and channels, in dB, at most `CEILING`.

    Args:
        a: uint8 of any shape.
        b: uint8 of the same shape.

    Raises:
        ValueError: the images differ in shape, are empty or not uint8.
    """
    _check_pair(a, b)
    return _psnr(a.astype(np.float64), b.astype(np.float64))


def psnr_y(a: NDArray[np.uint8], b: NDArray[np.uint8], border: int) -> float:
    """Return the PSNR of the luma (BT.601, 16..235, not rounded; peak 255), in dB, at most `CEILING`.

    Args:
        a: (H, W, 3) uint8 RGB, or (H, W) gray, which is repeated to three channels.
        b: the same shape.
        border: pixels left out on each side; by convention the scale in super-resolution.

    Raises:
        ValueError: the images differ in shape, are not as above, or nothing is left within the border.
    """
    _check_pair(a, b)
    height, width = a.shape[:2]
    if border < 0 or min(height, width) <= 2 * border:
        found = f"{border} for {width} x {height} pixels"
        raise ValueError(f"border: found {found}, expected 0 to less than half a side")
    inner = np.s_[border : height - border, border : width - border]
    return _psnr(_luma(a[inner]), _luma(b[inner]))


def ssim_y(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity of the luma (Wang et al., IEEE TIP 2004), at most 1.

    Gaussian window of 11 x 11 with sigma 1.5, only where it lies within the image; no border is cut.

    Args:
        a: (H, W, 3) uint8 RGB, or (H, W) gray, which is repeated to three channels.
        b: the same shape.

    Raises:
        ValueError: the images differ in shape, are not as above, or a side is shorter than 11 pixels.
    """
    _check_pair(a, b)
    return _ssim(_luma(a), _luma(b))


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity of two images over their planes, computed as in `ssim_y`.

    Args:
        a: (H, W) or (H, W, C) uint8.
        b: the same shape.

    Raises:
        ValueError: the images differ in shape, are not as above, or a side is shorter than 11 pixels.
    """
    _check_pair(a, b)
    if a.ndim not in (2, 3):
        raise ValueError(f"images for SSIM: found shape {a.shape}, expected (H, W) or (H, W, C)")
    pairs = zip(*(np.moveaxis(np.atleast_3d(image), 2, 0) for image in (a, b)), strict=True)
    return fmean(_ssim(one.astype(np.float64), other.astype(np.float64)) for one, other in pairs)


def psnr_b(a: NDArray[np.uint8], b: NDArray[np.uint8], block: int = BLOCK) -> float:
    """Return the PSNR that counts the blocking of `a` as error too (Yim and Bovik, IEEE TIP 2011).

    Args:
        a: the restored plane, (H, W) uint8.
        b: the clean plane.
        block: side of the blocks, whose edges lie after every `block`-th row and column.

    Raises:
        ValueError: the planes differ in shape, are no planes or smaller than two blocks.
    """
    _check_pair(a, b)
    if a.ndim != 2 or min(a.shape) < 2 * block:
        raise ValueError(f"planes for PSNR-B: found shape {a.shape}, expected (H, W) of at least {2 * block}")
    error = float(np.mean(np.square(a.astype(np.float64) - b))) + _blocking(a.astype(np.float64), block)
    return _decibels(error)


def _blocking(plane: NDArray[np.float64], block: int) -> float:
    """Return the blocking effect factor: how much more neighbours differ across edges of blocks than elsewhere."""
    across = [np.square(np.diff(plane, axis=axis)) for axis in (0, 1)]
    edges = [steps.take(np.arange(block - 1, steps.shape[axis], block), axis) for axis, steps in enumerate(across)]
    edge_sum, edge_count = sum(float(e.sum()) for e in edges), sum(e.size for e in edges)
    rest_count = sum(steps.size for steps in across) - edge_count
    at_edges = edge_sum / edge_count
    elsewhere = (sum(float(steps.sum()) for steps in across) - edge_sum) / rest_count
    weight = log2(block) / log2(min(plane.shape))
    return weight * (at_edges - elsewhere) if at_edges > elsewhere else 0.0


def _ssim(luma_a: NDArray[np.float64], luma_b: NDArray[np.float64]) -> float:
    height, width = luma_a.shape
    if min(height, width) < SSIM_SIDE:
        found = f"{width} x {height} pixels"
        raise ValueError(f"images for SSIM: found {found}, expected {SSIM_SIDE} x {SSIM_SIDE} or more")
    margin = SSIM_SIDE - 1
    total = 0.0
    for top in range(0, height - margin, _STRIP):
        rows = np.s_[top : top + _STRIP + margin]
        total += float(_ssim_map(luma_a[rows], luma_b[rows]).sum())
    windows: int = (height - margin) * (width - margin)
    return total / windows


def _check_pair(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    if a.shape != b.shape or a.size == 0:
        found = f"shapes {a.shape} and {b.shape}"
        raise ValueError(f"images to compare: found {found}, expected equal and not empty")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        found = f"{a.dtype} and {b.dtype}"
        raise ValueError(f"images to compare: found {found}, expected uint8 (round and clip first)")


def _luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return rgb_to_y(to_three_channels(image))


def _psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return _decibels(float(np.mean(np.square(a - b))))


def _decibels(error: float) -> float:
    """Return the PSNR of a mean squared error."""
    return min(CEILING, 10 * log10(_PEAK**2 / error)) if error else CEILING


def _blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gaussian mean over every window that lies within the (H, W) plane: (H - 10, W - 10)."""
    distance = np.arange(SSIM_SIDE) - SSIM_SIDE // 2
    kernel = np.exp(-(distance**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    height, width = (side - SSIM_SIDE + 1 for side in plane.shape)
    rows = np.zeros((height, plane.shape[1]))
    for tap, weight in enumerate(kernel):
        rows += weight * plane[tap : tap + height]
    blurred = np.zeros((height, width))
    for tap, weight in enumerate(kernel):
        blurred += weight * rows[:, tap : tap + width]
    return blurred


def _ssim_map(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    mean_a, mean_b = _blur(a), _blur(b)
    means = mean_a * mean_b
    energy = mean_a**2 + mean_b**2
    covariance = _blur(a * b) - means
    variances = _blur(a * a + b * b) - energy
    similarity: NDArray[np.float64] = (2 * means + _C1) * (2 * covariance + _C2)
    similarity /= (energy + _C1) * (variances + _C2)
    return similarity
