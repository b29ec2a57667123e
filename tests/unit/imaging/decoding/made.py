"""Image files put together for tests, and the check that one is refused."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.imaging.images import read_image

Bytes = NDArray[np.uint8]


def noise(*shape: int) -> Bytes:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, interlaced: bool = False) -> bytes:
    """A PNG file put together by hand: Pillow writes no 16-bit colour and no false sizes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(path: Path, planes: list[Bytes], bits: int, sample_format: int = 1, strips: int | None = None) -> None:
    """A TIFF with its planes one after the other, which Pillow does not write; `strips`: how many of them it lists."""
    count, (height, width), size = len(planes), planes[0].shape, planes[0].nbytes
    listed = count if strips is None else strips
    data = b"".join(plane.tobytes() for plane in planes)
    after = 8 + len(data)
    arrays: list[tuple[int, str, list[int]]] = [
        (258, "H", [bits] * count),
        (273, "I", [8 + number * size for number in range(listed)]),
        (279, "I", [size] * listed),
        (339, "H", [sample_format] * count),
    ]
    tags = [
        *((256, 3, 1, width), (257, 3, 1, height), (259, 3, 1, 1), (262, 3, 1, 2 if count == 3 else 1)),
        *((277, 3, 1, count), (278, 3, 1, height), (284, 3, 1, 2 if count > 1 else 1)),
    ]
    for tag, form, values in arrays:
        packed = struct.pack(f"<{len(values)}{form}", *values)
        place = int.from_bytes(packed, "little") if len(packed) <= 4 else after
        if len(packed) > 4:
            data, after = data + packed, after + len(packed)
        tags.append((tag, 3 if form == "H" else 4, len(values), place))
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    path.write_bytes(b"II*\0" + struct.pack("<I", after) + data + struct.pack("<H", len(tags)) + entries + bytes(4))


def refused(path: Path, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: found {found}.*, expected "):
        read_image(path)
