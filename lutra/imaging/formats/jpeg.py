"""JPEG files at the level of their markers: whether their data ends early, which Pillow does not report."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image

_START_OF_SCAN, _END = 0xDA, 0xD9
_CORNER = 2  # pixels: the colour of a block above may reach some rows into the last one
_GRAY = 128
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data: neither a byte 255 nor a restart
_MORE = bytes(number * 37 % 251 for number in range(256))


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
