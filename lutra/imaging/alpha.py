"""Transparency: colours of hidden pixels, and alpha at another size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.resize import imresize

Pixels = NDArray[np.uint8]

_AROUND = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]


def fill_hidden(colour: Pixels, alpha: Pixels, rings: int = 16) -> Pixels:
    """Give pixels that are fully transparent the colours of the visible ones next to them; leave the others.

    Files store any colour there, mostly black, which a restoration would mix into the visible edge.

    Args:
        colour: (H, W) or (H, W, 3).
        alpha: (H, W); 0 is transparent.
        rings: how many pixels around the visible ones get colours of their own; those further away, which no visible
            pixel of a result depends on, get the mean of all.

    Returns:
        A new array like `colour`, or `colour` itself where nothing or everything is hidden.
    """
    if alpha.all() or not alpha.any():
        return colour
    result, weight = colour.copy(), alpha.copy()
    planes = result.reshape(*alpha.shape, -1)
    for _ in range(rings):
        rows, columns = np.nonzero(_with_neighbours(weight > 0) & (weight == 0))
        if not len(rows):
            break
        total = np.zeros((len(rows), 1), np.float32)
        mixed = np.zeros((len(rows), planes.shape[2]), np.float32)
        for down, across in _AROUND:
            row, column = np.clip(rows + down, 0, len(alpha) - 1), np.clip(columns + across, 0, alpha.shape[1] - 1)
            share = weight[row, column].astype(np.float32)[:, None]
            total += share
            mixed += share * planes[row, column]
        planes[rows, columns] = np.rint(mixed / total)
        weight[rows, columns] = 255
    left = weight == 0
    if left.any():
        planes[left] = np.rint(planes[~left].mean(axis=0))
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


def _with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a mask or one of its eight neighbours is set: (H, W)."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide
