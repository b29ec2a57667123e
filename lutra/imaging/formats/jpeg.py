"""JPEG files: whether their data ends early, which Pillow does not report; the planes that they store."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_START_OF_SCAN, _END = 0xDA, 0xD9
_CORNER = 2  # pixels: the colour of a block above may reach some rows into the last one
_GRAY = 128
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data: neither a byte 255 nor a restart
_MORE = bytes(number * 37 % 251 for number in range(256))


_ORIENTATION = 0x0112  # EXIF's tag
_WHOLE, _HALVED = ((1, 1), (1, 1), (1, 1)), ((2, 2), (1, 1), (1, 1))
_RGB_NAMES = (82, 71, 66)  # R, G and B, by which libjpeg knows planes that are no YCbCr


@dataclass(frozen=True)
class StoredPlanes:
    """The planes of a colour JPEG as the file stores them, not turned by its EXIF orientation.

    luma: (H, W) uint8, Y of JFIF, 0..255.
    chroma: Cb and Cr, of the same size, or of half of it, rounded up.
    orientation: EXIF's number, 1 to 8.
    """

    luma: NDArray[np.uint8]
    chroma: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    orientation: int


def stored_planes(path: str | Path) -> StoredPlanes | None:
    """Return the planes of a JPEG file; None for another file, gray or CMYK ones, and unusual subsampling.

    Chroma of half the size comes out of libjpeg as it is stored where luma is decoded to half its size too.
    """
    with Path(path).open("rb") as file:
        if file.read(2) != b"\xff\xd8":
            return None
    with Image.open(path, formats=("JPEG",)) as image:
        layers = getattr(image, "layer", ())
        sampling = tuple((across, down) for _, across, down, _ in layers)
        unusual = image.info.get("adobe_transform") == 0 or tuple(layer[0] for layer in layers) == _RGB_NAMES
        if image.mode != "RGB" or unusual or sampling not in (_WHOLE, _HALVED) or min(image.size) < 2:
            return None
        orientation, size = image.getexif().get(_ORIENTATION, 1), image.size
    whole = _in_ycbcr(path, size)
    chroma = whole if sampling == _WHOLE else _in_ycbcr(path, (size[0] // 2, size[1] // 2))
    planes = [np.ascontiguousarray(plane) for plane in (whole[..., 0], chroma[..., 1], chroma[..., 2])]
    return StoredPlanes(planes[0], (planes[1], planes[2]), orientation if orientation in range(1, 9) else 1)


def _in_ycbcr(path: str | Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a JPEG file without conversion to RGB, at the smallest of libjpeg's sizes that is not below `size`."""
    with Image.open(path, formats=("JPEG",)) as image:
        image.draft("YCbCr", size)
        return np.asarray(image)


def holds_all_rows(image: Image.Image, path: str | Path) -> bool:
    """Return whether the coded data of a JPEG file reaches the last block.

    Where the data ends before, decoders fill in gray. Only if the last corner is that gray, the file is decoded again,
    with more data behind each scan, which changes pixels if some were missing. A missing part of the last block is not
    noticed, nor are the last scans of a progressive file, which only refine it.

    Args:
        image: decoded, not turned yet.
        path: its file.
    """
    width, height = image.size
    corner = (max(0, width - _CORNER), max(0, height - _CORNER), width, height)
    if set(image.crop(corner).tobytes()) != {_GRAY}:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file's own warnings were shown already
        with Image.open(BytesIO(_with_more_data(Path(path).read_bytes())), formats=("JPEG",)) as longer:
            return longer.tobytes() == image.tobytes()


def _with_more_data(content: bytes) -> bytes:
    parts, place = [], 0
    for end in _ends_of_scans(content):
        parts += [content[place:end], _MORE]
        place = end
    return b"".join(parts) + content[place:]


def _ends_of_scans(content: bytes) -> list[int]:
    """Return where the coded data of each scan ends."""
    found, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        kind = content[place + 1]
        if kind == 0xFF:  # padding
            place += 1
            continue
        if kind == _END:
            break
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if kind == _START_OF_SCAN:
            marker = _MARKER.search(content, place)
            place = marker.start() if marker else len(content)
            found.append(place)
    return found
