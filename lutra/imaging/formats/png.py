"""PNG files at the level of their chunks, where Pillow keeps too little or checks too little (PNG, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_CHUNKS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
"""Chunks that define what the colours mean, besides the ICC profile, and their lengths."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
"""The passes of an interlaced file: first column, distance of columns, first row, distance of rows."""
_SRGB_CICP = bytes((1, 13, 0, 1))
_SRGB_GAMMA = (45_455,)
_SRGB_POINTS = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_CLOSE = 500  # tolerance in hundred-thousandths
_MOST_COLOUR = 1 << 10  # bytes; the longest of the colour chunks has 32
_AT_ONCE = 1 << 20


def chunks(path: str | Path, most: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk until IEND or the end of the file; checksums are not compared.

    Args:
        path: a PNG file.
        most: leave out the content of longer chunks (they come as empty), except image data.
    """
    with Path(path).open("rb") as file:
        if file.read(8) != SIGNATURE:
            return
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if most is not None and size > most:
                file.seek(size, 1)
                yield kind, b""
            else:
                yield kind, file.read(size)
            file.seek(4, 1)
            if kind == b"IEND":
                return


def colour_chunks(path: str | Path) -> tuple[tuple[bytes, bytes], ...]:
    """Return the chunks of `COLOUR_CHUNKS` that a file has before its pixels."""
    found = []
    for kind, content in chunks(path, _MOST_COLOUR):
        if kind == b"IDAT":
            break
        if len(content) == COLOUR_CHUNKS.get(kind):
            found.append((kind, content))
    return tuple(found)


def is_srgb(chunks: tuple[tuple[bytes, bytes], ...]) -> bool:
    """Return whether colour chunks mean sRGB, which is what a picture without any is taken for."""
    found = dict(chunks)
    if b"cICP" in found:
        return found[b"cICP"] == _SRGB_CICP
    gamma = struct.unpack(">I", found[b"gAMA"]) if b"gAMA" in found else _SRGB_GAMMA
    points = struct.unpack(">8I", found[b"cHRM"]) if b"cHRM" in found else _SRGB_POINTS
    pairs = zip((*gamma, *points), (*_SRGB_GAMMA, *_SRGB_POINTS), strict=True)
    return b"sRGB" in found or all(abs(value - expected) <= _CLOSE for value, expected in pairs)


def holds_all_rows(path: str | Path) -> bool:
    """Return whether the compressed data of a PNG file decompresses to as many bytes as its size needs."""
    needed, unpacker = 0, zlib.decompressobj()
    for kind, content in chunks(path):
        if kind == b"IHDR" and len(content) == 13:
            needed = _raw_size(*struct.unpack(">IIBBBBB", content))
        elif kind == b"IDAT":
            while content and not unpacker.eof and needed > 0:
                needed -= len(unpacker.decompress(content, _AT_ONCE))
                content = unpacker.unconsumed_tail
    return needed <= 0


def _raw_size(width: int, height: int, depth: int, colour: int, _: int, __: int, interlace: int) -> int:
    bits = depth * _CHANNELS.get(colour, 1)

    def size(columns: int, rows: int) -> int:
        return rows * (1 + (columns * bits + 7) // 8) if columns > 0 else 0

    if not interlace:
        return size(width, height)
    return sum(size((width - x + dx - 1) // dx, max(0, (height - y + dy - 1) // dy)) for x, dx, y, dy in _ADAM7)
