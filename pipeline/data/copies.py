"""Images that two sets share, found by what they show: names, sizes, formats and quality may differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from lutra.imaging.colour import rgb_to_y
from pipeline.data.sets import ImageSource

SIDE = 32
"""Sides of a thumbnail, pixels."""
ALIKE = 0.7
"""Correlation of two thumbnails' details from which on they show the same: of all pairs of BSDS500, photos and the
evaluation sets, those that do not are at most 0.36 alike, and copies, also cropped a little, at least 0.92."""
_FLAT = 0.5  # levels: standard deviation of details below which an image shows nothing to compare


@dataclass(frozen=True)
class Shared:
    """Two images that show the same; `alike` is the correlation of their details, at most 1."""

    one: str
    other: str
    alike: float


def shared(ones: Iterable[ImageSource], others: Iterable[ImageSource]) -> list[Shared]:
    """Return the pairs of images, one of each set, that show the same, also where one is turned or mirrored.

    An image that is a small part of another one is not found.
    """
    names, details = _details(ones)
    other_names, other_details = _details(others)
    found: dict[tuple[int, int], float] = {}
    for turned in _turns(details):
        alike = turned.reshape(len(names), -1) @ other_details.reshape(len(other_names), -1).T
        for one, other in np.argwhere(alike >= ALIKE):
            key = int(one), int(other)
            found[key] = max(found.get(key, 0.0), float(alike[one, other]))
    return [Shared(names[one], other_names[other], alike) for (one, other), alike in sorted(found.items())]


def _details(sources: Iterable[ImageSource]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the names of images and the details of their thumbnails, (N, SIDE, SIDE), each of norm 1 or 0.

    Details are what a thumbnail shows beyond its blurred self: otherwise all skies above land would be alike.
    """
    names, details = [], []
    for source in sources:
        image = source.read()
        luma = rgb_to_y(image) if image.ndim == 3 else image
        small = np.asarray(Pillow.fromarray(luma.astype(np.float32)).resize((SIDE, SIDE), Pillow.Resampling.BOX))
        detail = (small - _blurred(small)).astype(np.float64)
        names.append(source.name)
        details.append(detail / np.linalg.norm(detail) if detail.std() > _FLAT else np.zeros_like(detail))
    return names, np.array(details).reshape(-1, SIDE, SIDE)


def _blurred(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of 5x5 pixels around each; borders repeat."""
    padded = np.pad(image, 2, mode="edge")
    mean: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).mean(axis=(2, 3))
    return mean


def _turns(images: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    upright = [images, images[:, ::-1], images[:, :, ::-1], images[:, ::-1, ::-1]]
    return upright + [image.swapaxes(1, 2) for image in upright]
