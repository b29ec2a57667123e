"""Restore the planes of a frame, Y, U and V, as they are: each by itself, without a detour over RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.resize import imresize
from lutra.restore.restorer import Restorer

BytePlane = NDArray[np.uint8]


@dataclass(frozen=True)
class Sampling:
    """The block of pixels that share a sample of chroma: `columns` x `rows`; gray has no chroma."""

    columns: int = 1
    rows: int = 1
    gray: bool = False

    def shapes(self, width: int, height: int) -> list[tuple[int, int]]:
        """Return the height and width of each plane of a frame; chroma of odd sizes is rounded up."""
        chroma = (-(-height // self.rows), -(-width // self.columns))
        return [(height, width)] if self.gray else [(height, width), chroma, chroma]


SAMPLINGS = {
    "gray": Sampling(gray=True),
    "yuv444p": Sampling(),
    "yuv440p": Sampling(1, 2),
    "yuv422p": Sampling(2, 1),
    "yuv420p": Sampling(2, 2),
    "yuv411p": Sampling(4, 1),
    "yuv410p": Sampling(4, 4),
}
"""The kinds of frames that are restored, by FFmpeg's names: 8 bits, one plane after the other."""
RGB = "rgb24"
SAME_SAMPLES = {
    **{f"yuvj{name}": f"yuv{name}" for name in ("420p", "422p", "440p", "444p", "411p")},
    **{"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "nv42": "yuv444p"},
    **{"yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p"},
    **dict.fromkeys(("rgb24", "bgr24", "gbrp", "bgr0", "rgb0", "0bgr", "0rgb"), RGB),
    **{name: name for name in SAMPLINGS},
}
"""Formats of frames that are read, and those that hold the same samples, in planes or, for RGB, pixel by pixel."""


def check_model(restorer: Restorer) -> None:
    """Raise ValueError if the model reads red, green and blue together, which the planes of a video are not."""
    if restorer.artifact.description.colours > 1:
        raise ValueError("the model reads red, green and blue together, expected one that restores single planes")


def restore_planes(
    restorer: Restorer, planes: Sequence[BytePlane], out: Sequence[BytePlane], threads: int | None
) -> None:
    """Restore the planes of a frame.

    Models that were trained on luma restore Y; they keep U and V, or enlarge them by bicubic interpolation.

    Args:
        restorer: the model.
        planes: Y, or Y, U and V: (H, W) uint8 each.
        out: where the results go: `scale` times the size of the frame. Chroma of an odd size may be larger than that
            by some rows or columns, which are cut off.
        threads: the number of threads, as for `Restorer.restore`.
    """
    luma_alone = restorer.artifact.trained_planes == "luma"
    for number, (plane, result) in enumerate(zip(planes, out, strict=True)):
        rows, columns = result.shape
        if luma_alone and number:
            kept = plane if restorer.scale == 1 else imresize(plane, restorer.scale)
            result[...] = kept[:rows, :columns]
        elif luma_alone:
            result[...] = restorer.restore_planes(plane, threads=threads)
        elif result.size == plane.size * restorer.scale**2 and result.flags.c_contiguous:  # nothing to cut off
            restorer.restore(plane, threads=threads, out=result)
        else:
            result[...] = restorer.restore(plane, threads=threads)[:rows, :columns]
