"""Transparency: colours where nothing is seen, and alpha at another size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.resize import imresize

Pixels = NDArray[np.uint8]


def fill_hidden(colour: Pixels, alpha: Pixels) -> Pixels:
    """Give pixels that are fully transparent the mean colour of what is visible near them; leave the others.

    Files store any colour there, mostly black, which a restoration would mix into the visible edge.

    Args:
        colour: (H, W) or (H, W, 3).
        alpha: (H, W); 0 is transparent.

    Returns:
        A new array like `colour`, or `colour` itself where nothing or everything is hidden.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return colour
    planes = colour.reshape(*alpha.shape, -1).astype(np.float32)
    filled = _filled(planes, alpha.astype(np.float32) / np.float32(255))
    result = colour.copy()
    result[hidden] = np.rint(filled).astype(np.uint8).reshape(colour.shape)[hidden]
    return result


def enlarge_alpha(alpha: Pixels, scale: int) -> Pixels:
    """Enlarge alpha by bicubic interpolation, in which areas of 0 and of 255 stay exactly that.

    Args:
        alpha: (H, W).
        scale: a whole number; 1 returns `alpha` itself.

    Returns:
        (H * scale, W * scale).
    """
    return imresize(alpha, scale) if scale > 1 else alpha


def _filled(planes: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill where the weight is zero from the same image at half its size, and so on down; planes: (H, W, C)."""
    if (weight > 0).all() or min(weight.shape) == 0:
        return planes
    height, width = weight.shape
    odd = ((0, height % 2), (0, width % 2))
    padded = np.pad(weight, odd)
    sums = np.pad(planes * weight[:, :, None], (*odd, (0, 0)))
    rows, columns = padded.shape
    small = padded.reshape(rows // 2, 2, columns // 2, 2).sum(axis=(1, 3))
    means = sums.reshape(rows // 2, 2, columns // 2, 2, -1).sum(axis=(1, 3)) / np.maximum(small, 1e-6)[:, :, None]
    coarse = _filled(means.astype(np.float32), np.minimum(small, 1))
    large = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(weight[:, :, None] > 0, planes, large)
