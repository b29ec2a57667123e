"""JPEG files, restored in the planes that they hold: Y, Cb and Cr, each at the size that the file stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lutra.imaging.colour import SWING, luma
from lutra.imaging.formats.jpeg import StoredPlanes, stored_planes
from lutra.restore.running import Restores

Pixels = NDArray[np.uint8]
_ORIENTATION = 0x0112
# JFIF: what a level of Y, Cb and Cr adds to red, green and blue
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def keeps_luma(restorer: Restores) -> bool:
    """Return whether a model restores luma and keeps its size, as models for deblocking do."""
    return restorer.artifact.trained_planes == "luma" and restorer.scale == 1


def restore_jpeg(restorer: Restores, path: Path, pixels: Pixels, threads: int | None = None) -> Pixels | None:
    """Restore a JPEG file: its luma in 16..235, and its chroma at the size that it has in the file.

    A plane that the model does not change leaves the picture as it was decoded.

    Args:
        restorer: a model that `keeps_luma`.
        path: the file.
        pixels: the picture, (H, W, 3) uint8, upright.
        threads: the number of threads, as for `Restorer.restore`.

    Returns:
        The restored picture, (H, W, 3) uint8; None if the file is not a JPEG of Y, Cb and Cr.
    """
    planes = stored_planes(path) if pixels.ndim == 3 and pixels.shape[2] == 3 else None
    if planes is None:
        return None
    changes = _changes(restorer, planes, threads)
    upright = np.stack([_turned(change, planes.orientation) for change in changes], axis=-1)
    restored: Pixels = np.rint(pixels + upright @ _TO_RGB.T).clip(0, 255).astype(np.uint8)
    return restored


def _changes(restorer: Restores, planes: StoredPlanes, threads: int | None) -> list[NDArray[np.float32]]:
    """Return the model's changes to Y, Cb and Cr, each (H, W), in levels of the file."""
    stored = np.rint(luma(planes.luma)).astype(np.uint8)  # in 16..235, on which models are trained
    changes = [_change(restorer, stored, threads) / np.float32(SWING)]
    height, width = stored.shape
    for plane in planes.chroma:
        change = _change(restorer, plane, threads)
        if change.shape != stored.shape:  # the triangle filter, with which libjpeg enlarges chroma
            size = (2 * change.shape[1], 2 * change.shape[0])
            change = np.asarray(Image.fromarray(change).resize(size, Image.Resampling.BILINEAR))[:height, :width]
        changes.append(change)
    return changes


def _change(restorer: Restores, plane: Pixels, threads: int | None) -> NDArray[np.float32]:
    return restorer.restore_planes(plane, threads=threads).astype(np.float32) - plane


def _turned(plane: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Return a plane turned upright, as EXIF's orientation asks."""
    image = Image.fromarray(plane)
    image.getexif()[_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))
