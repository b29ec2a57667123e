"""Restore a clip: a file in, a file out, which appears whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from lutra.files import write_whole
from lutra.limits import processors
from lutra.restore.restorer import Restorer
from lutra.video import FORMATS
from lutra.video.demux import Clip, Part, Piece
from lutra.video.mux import Encoding, Writer
from lutra.video.overlap import overlapped
from lutra.video.planes import RGB, BytePlane, check_model, restore_planes


@dataclass(frozen=True)
class Order:
    """The settings by which a clip is restored.

    part: what of it. encoding: how the result is encoded. threads: the number of threads that restore, None for one
    per processor; as many decode and encode. max_pixels: the most pixels that a restored frame may have.
    """

    part: Part = field(default_factory=Part)
    codec: str | None = None
    crf: int | None = None
    threads: int | None = None
    max_pixels: int = 1 << 28


def check_target(path: Path) -> None:
    """Raise ValueError unless videos can be written under this name."""
    if path.suffix.lower() not in FORMATS:
        found = f"found suffix {path.suffix!r}, expected {', '.join(FORMATS)}"
        raise ValueError(f"{path}: {found}: formats that keep the time of every frame")


@dataclass(frozen=True)
class Enlarging:
    """The conversion of a clip's frames.

    scale: the factor by which each side grows. work: makes a frame of a frame, given the format that holds its samples
    one by one, and the format of the result.
    """

    scale: int
    work: Callable[[av.VideoFrame, str, str], av.VideoFrame]


def by_model(restorer: Restorer, threads: int | None) -> Enlarging:
    """Return what restores frames by a model; ValueError if it is for pictures alone."""
    check_model(restorer)
    return Enlarging(restorer.scale, partial(restore_frame, restorer, threads=threads))


def convert_clip(
    source: Path,
    target: Path,
    order: Order,
    enlarging: Enlarging,
    report: Callable[[str], object],
    advance: Callable[[int, int | None], object] = lambda done, total: None,
) -> int:
    """Make a clip of a clip, frame by frame; return the number of frames.

    Args:
        source: the clip.
        target: the file to write, whose suffix tells its format. It appears when it is complete; an error or Ctrl-C
            leaves what was there before.
        order: what is restored and how.
        enlarging: what is done to each frame.
        report: called with a line about each frame that is broken.
        advance: called after every frame with their number so far and the expected number, if that is known.

    Raises:
        ValueError: the clip holds no video that can be restored, or the target's format not what is to be written.
        OSError: a file cannot be read or written.
    """
    check_target(target)
    threads = order.threads or processors()
    count = 0
    with closing(Clip(source, order.part, threads, report)) as clip:
        width, height = clip.first.width, clip.first.height
        if width * height * enlarging.scale**2 > order.max_pixels:
            allowed = f"--max-pixels {width * height * enlarging.scale**2} allows them"
            raise ValueError(f"{source}: found frames of {width} x {height} pixels; {allowed}")

        def write(file: BinaryIO) -> None:
            nonlocal count
            encoding = Encoding(order.codec, order.crf, threads)
            for count in _converted(clip, enlarging, Writer(file, target, clip, enlarging.scale, encoding)):
                advance(count, clip.frames)

        write_whole(target, write)
    return count


def _converted(clip: Clip, enlarging: Enlarging, writer: Writer) -> Iterator[int]:
    """Yield the number of frames after each."""

    def work(piece: Piece) -> Piece:
        if piece.frame is None:
            return piece
        return replace(piece, frame=enlarging.work(piece.frame, clip.form, writer.pixel_format))

    count = 0
    for piece in overlapped(clip.pieces(), work, writer.write):
        count += piece.frame is not None
        yield count
    writer.finish()


def restore_frame(
    restorer: Restorer, frame: av.VideoFrame, form: str, pixel_format: str, *, threads: int | None
) -> av.VideoFrame:
    """Return a frame restored: plane by plane, or RGB as pictures are.

    Args:
        restorer: the model.
        frame: the frame.
        form: the name in `SAMPLINGS`, or RGB, of the format that holds the frame's samples one by one.
        pixel_format: the format of the result, with the same samples.
        threads: the number of threads, as for `Restorer.restore`.
    """
    given = frame if frame.format.name in (form, f"yuvj{form[3:]}") else frame.reformat(format=form)
    made = av.VideoFrame(frame.width * restorer.scale, frame.height * restorer.scale, form)
    planes, results = planes_of(given), planes_of(made)
    if form == RGB:
        results[0][...] = restorer.restore(np.ascontiguousarray(planes[0]), threads=threads)
    else:
        restore_planes(restorer, planes, results, threads)
    if pixel_format != form:
        made = made.reformat(format=pixel_format)
    made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
    made.colorspace, made.color_range = frame.colorspace, frame.color_range
    made.color_primaries, made.color_trc = frame.color_primaries, frame.color_trc
    return made


def planes_of(frame: av.VideoFrame) -> list[BytePlane]:
    """Return views of the planes of a frame: (H, W) each, or (H, W, 3) for RGB."""
    wide = 3 if frame.format.name == RGB else 1
    found = []
    for plane in frame.planes:
        lines = np.frombuffer(plane, np.uint8).reshape(plane.height, abs(plane.line_size))  # type: ignore[call-overload]
        if plane.line_size < 0:  # stored from the bottom up
            lines = lines[::-1]
        pixels = lines[:, : plane.width * wide]
        found.append(pixels.reshape(plane.height, plane.width, wide) if wide > 1 else pixels)
    return found
