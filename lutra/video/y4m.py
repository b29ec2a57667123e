"""Restore a stream of uncompressed frames, YUV4MPEG2 (y4m), from a pipe to a pipe. Needs no library for video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import RawIOBase

import numpy as np
from numpy.typing import NDArray

from lutra.restore.restorer import Restorer
from lutra.video.overlap import overlapped
from lutra.video.planes import SAMPLINGS, BytePlane, Sampling, check_model, restore_planes

_MAGIC = b"YUV4MPEG2"
_LONGEST = 1024
"""The most bytes of a line of a header; FFmpeg writes fewer than 200."""
_CHROMA = {
    "mono": SAMPLINGS["gray"],
    **dict.fromkeys(("420", "420jpeg", "420mpeg2", "420paldv"), SAMPLINGS["yuv420p"]),
    "411": SAMPLINGS["yuv411p"],
    "422": SAMPLINGS["yuv422p"],
    "444": SAMPLINGS["yuv444p"],
}
_PROGRESSIVE = ("", "p", "?")
_FFMPEG = "in FFmpeg"


@dataclass(frozen=True)
class Header:
    """The facts in the first line of a stream.

    fields: everything else that it states, letter by letter: the rate, the shape of pixels, the kind of chroma,
        comments such as XCOLORRANGE=FULL. They are passed on unchanged.
    """

    width: int
    height: int
    sampling: Sampling
    fields: tuple[str, ...]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The height and width of each plane."""
        return self.sampling.shapes(self.width, self.height)

    def enlarged(self, scale: int) -> Header:
        """Return the header of the restored stream."""
        return replace(self, width=self.width * scale, height=self.height * scale)

    def line(self) -> bytes:
        """Return the header as the stream holds it."""
        return " ".join([_MAGIC.decode(), f"W{self.width}", f"H{self.height}", *self.fields]).encode() + b"\n"


@dataclass(frozen=True)
class Frame:
    """A frame: its line (FRAME, and what may follow it), and the bytes of its planes, one after the other."""

    line: bytes
    data: NDArray[np.uint8]

    def planes(self, header: Header) -> list[BytePlane]:
        """Return the planes, as views of the data."""
        ends = np.cumsum([height * width for height, width in header.shapes])
        parts = np.split(self.data, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, header.shapes, strict=True)]


def restore_stream(
    restorer: Restorer, source: RawIOBase, target: RawIOBase, *, threads: int | None, max_pixels: int
) -> int:
    """Restore a stream frame by frame; return the number of frames.

    Args:
        restorer: the model.
        source, target: unbuffered files, such as pipes.
        threads: the number of threads, as for `Restorer.restore`.
        max_pixels: the most pixels that a restored frame may have.

    Raises:
        ValueError: the model is for pictures alone, or the stream is of another kind, or ends within a frame; the
            frames before are written.
        OSError: a file cannot be read or written; BrokenPipeError where nobody reads the target any more.
    """
    check_model(restorer)
    header = _read_header(source)
    made = header.enlarged(restorer.scale)
    if made.width * made.height > max_pixels:
        found = f"frames of {header.width} x {header.height} pixels"
        raise ValueError(f"input: found {found}; --max-pixels {made.width * made.height} allows them")
    _write(target, made.line())
    size = sum(height * width for height, width in made.shapes)

    def work(frame: Frame) -> Frame:
        restored = Frame(frame.line, np.empty(size, np.uint8))
        restore_planes(restorer, frame.planes(header), restored.planes(made), threads)
        return restored

    def write(frame: Frame) -> None:
        _write(target, frame.line)
        _write(target, frame.data.data)

    return sum(1 for _ in overlapped(_frames(source, header), work, write, wait=False))


def _read_header(source: RawIOBase) -> Header:
    line = _read_line(source)
    words = line.decode("latin-1").split()
    if not words or words[0] != _MAGIC.decode():
        found = f"{line[:20]!r}" if line else "nothing"
        raise ValueError(f"input: found {found}, expected YUV4MPEG2, as `ffmpeg -f yuv4mpegpipe -` writes it")
    values = {word[0]: word[1:] for word in words[1:] if word[0] != "X"}
    sides = [values.get(letter, "") for letter in "WH"]
    if not all(re.fullmatch("[1-9][0-9]{0,5}", side) for side in sides):
        raise ValueError(f"input: found a size of {sides[0]!r} x {sides[1]!r}, expected whole numbers of pixels")
    chroma = values.get("C", "420jpeg")
    if chroma not in _CHROMA:
        expected = f"8 bits without alpha ({', '.join(_CHROMA)}); `-pix_fmt yuv420p` {_FFMPEG} converts them"
        raise ValueError(f"input: found frames of kind {chroma}, expected {expected}")
    if values.get("I", "") not in _PROGRESSIVE:
        ways = f"`-vf bwdif` {_FFMPEG} makes frames of its fields, `-vf setfield=prog` takes its frames as they are"
        raise ValueError(f"input: found interlaced frames (I{values['I']}), expected whole ones; {ways}")
    kept = tuple(word for word in words[1:] if word[0] not in "WH")
    return Header(int(sides[0]), int(sides[1]), _CHROMA[chroma], kept)


def _frames(source: RawIOBase, header: Header) -> Iterator[Frame]:
    size = sum(height * width for height, width in header.shapes)
    number = 0
    while line := _read_line(source):
        number += 1
        if not line.startswith(b"FRAME"):
            raise ValueError(f"input: found {line[:20]!r} before frame {number}, expected FRAME")
        data = np.empty(size, np.uint8)
        read = _read_into(source, data)
        if read < size:
            raise ValueError(f"input: frame {number} ends after {read} bytes, expected {size}")
        yield Frame(line, data)


def _read_line(source: RawIOBase) -> bytes:
    """Return a line with its end; nothing at the end of the stream."""
    line = bytearray()
    while byte := source.read(1):  # lines are short, and what follows them is read in one piece
        line += byte
        if byte == b"\n":
            break
        if len(line) > _LONGEST:
            raise ValueError(f"input: found {bytes(line[:20])!r}..., expected a line of text")
    return bytes(line)


def _read_into(source: RawIOBase, data: NDArray[np.uint8]) -> int:
    """Fill the array; return the number of bytes, which is less at the end of the stream."""
    view, done = data.data, 0
    while done < len(view) and (read := source.readinto(view[done:])):
        done += read
    return done


def _write(target: RawIOBase, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):
        view = view[target.write(view) :]
