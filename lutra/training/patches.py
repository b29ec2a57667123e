"""Copy square patches, flipped and transposed, from images that are stored one after the other in one array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lutra._core import available, core

COMPILED = available()


def cut(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    strides: NDArray[np.int64],
    turns: NDArray[np.int64],
    side: int,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Copy patches out of `data`.

    Args:
        data: (size,), rows of pixels; may be memory-mapped.
        starts: position of each patch's first pixel: (N,).
        strides: from a row to the next, in the image that the patch lies in: (N,).
        turns: 0..7 each: 1 turns the patch upside down, 2 mirrors it, 4 then transposes it: (N,).
        side: of the patches, in pixels.
        threads: how many to use.

    Returns:
        (N, side, side).

    Raises:
        ValueError: a patch does not lie within the data.
    """
    out = np.empty((len(starts), side, side), np.uint8)
    if COMPILED:
        first, down, ways = (np.ascontiguousarray(array, np.int64) for array in (starts, strides, turns))
        core.gather_patches(np.asarray(data), first, down, ways, out, threads)
        return out
    line = np.arange(side)
    down = np.where(turns[:, None] & 1, line[::-1], line) * strides[:, None]
    across = np.where(turns[:, None] & 2, line[::-1], line)
    rows, columns = down[:, :, None], across[:, None, :]
    transposed = (turns & 4 > 0)[:, None, None]
    place = np.where(transposed, (rows + columns).swapaxes(1, 2), rows + columns) + starts[:, None, None]
    if place.size and not 0 <= place.min() <= place.max() < len(data):
        raise ValueError("patches: a patch lies beyond the data")
    out[...] = data[place]
    return out
