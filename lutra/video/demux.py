"""Read a clip: decode its frames, pass on the packets of its other streams, and report what is broken."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type

from lutra.video.planes import SAME_SAMPLES

_ONLY_THIS_FILE = {
    "protocol_whitelist": "file",
    "format_whitelist": "matroska,webm,mov,avi,flv,asf,mpeg,mpegts,ogg,nut,mxf,dv,yuv4mpegpipe",
}
"""A playlist in the guise of a video could name other files, or addresses."""
_FULL = 2
"""The range of samples of the formats yuvj..., 0..255, as FFmpeg numbers it."""
_AFTER = Fraction(2)
"""Seconds after the last frame within which packets of other streams are expected that belong before its end."""
_MOST_PACKETS = 256


@dataclass(frozen=True)
class Part:
    """The part of a clip that is restored.

    start: seconds from its beginning; frames: how many, None for all; deinterlace: whether to turn the fields of
        interlaced frames into frames, None to refuse interlaced clips.
    """

    start: Fraction = Fraction(0)
    frames: int | None = None
    deinterlace: bool | None = None


@dataclass(frozen=True)
class Piece:
    """A frame, whose time counts from the start of the part, and the packets of other streams read before it.

    The last piece of a clip has no frame.
    """

    frame: av.VideoFrame | None
    packets: tuple[av.Packet[av.stream.Stream], ...]


class Clip:
    """A clip that is open for reading. Its frames are read once, in order."""

    def __init__(self, path: Path, part: Part, threads: int, report: Callable[[str], object]) -> None:
        """Open a clip, find the part, and decode its first frame.

        Args:
            path: the file.
            part: what of it is read.
            threads: the number of threads that decode.
            report: called with a line about each frame that is broken.

        Raises:
            ValueError: it holds no video that can be restored, or nothing after the start.
            OSError: it cannot be read.
        """
        self.path, self._part, self._report = path, part, report
        self._container = _opened(path)
        self.video = self._best()
        self.copied = [stream for stream in self._container.streams if stream.type in ("audio", "subtitle")]
        self.others = [s for s in self._container.streams if s is not self.video and s not in self.copied]
        self.video.thread_type = "SLICE"  # threads that decode whole frames drop some around a broken one
        self.video.thread_count = threads
        self.time_base = self.video.time_base or Fraction(1, 1000)
        self._begin = Fraction(self._container.start_time or 0, av.time_base) + part.start
        if part.start:
            self._container.seek(int(self._begin * av.time_base))
        self._waiting: list[av.Packet[av.stream.Stream]] = []
        self._fields: av.filter.Graph | None = None
        self._last = -1
        self._end: Fraction | None = None
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            after = f" after --start {float(part.start):g}" if part.start else ""
            raise ValueError(f"{path}: found no frame that can be decoded{after}")
        self.first = first

    @property
    def form(self) -> str:
        """The format that the frames are read in: a name of `SAMPLINGS`, or RGB."""
        return SAME_SAMPLES[self.first.format.name]

    @property
    def color_range(self) -> int:
        """The range of the samples, as FFmpeg numbers it."""
        return _FULL if self.first.format.name.startswith("yuvj") else self.first.color_range

    @property
    def rate(self) -> Fraction:
        """The average number of frames a second."""
        rate = self.video.average_rate or self.video.base_rate or Fraction(25)
        return rate * 2 if self._fields else rate

    @property
    def display_matrix(self) -> tuple[int, ...] | None:
        """The turn that players give the frames: nine numbers of FFmpeg's display matrix."""
        sides: Any = self.first.side_data
        found = sides.get(Type.DISPLAYMATRIX)
        return struct.unpack("=9i", bytes(found)) if found else None

    @property
    def frames(self) -> int | None:
        """About how many frames will be read; None where the clip does not tell."""
        duration = Fraction(self._container.duration or 0, av.time_base) - self._part.start
        expected = int(duration * self.rate) if duration > 0 else None
        if self.video.frames and not self._part.start and not self._fields:
            expected = self.video.frames
        known = [number for number in (expected, self._part.frames) if number is not None]
        return min(known, default=None)

    @property
    def title(self) -> dict[str, str]:
        """Metadata of the file, such as its title."""
        own = ("major_brand", "minor_version", "compatible_brands", "encoder")
        return {key: value for key, value in self._container.metadata.items() if key.lower() not in own}

    def chapters(self) -> list[av.container.core.Chapter]:
        """Return the chapters that begin or end after the start, in times that count from there."""
        found = []
        for chapter in self._container.chapters():
            unit = chapter["time_base"] or Fraction(1, 1000)
            shift = round(self._begin / unit)
            if chapter["end"] > shift:
                found.append({**chapter, "start": max(0, chapter["start"] - shift), "end": chapter["end"] - shift})
        return found  # type: ignore[return-value]  # a dictionary of the same keys

    def pieces(self) -> Iterator[Piece]:
        """Yield the frames, each with the packets before it, and what is left."""
        frame: av.VideoFrame | None = self.first
        count = 0
        while frame is not None:
            count += 1
            if count == self._part.frames:
                self._end = (frame.pts or 0) * self.time_base + 1 / self.rate
            yield Piece(frame, self._packets())
            frame = next(self._decoded, None)
        yield Piece(None, self._packets())

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _best(self) -> av.VideoStream:
        found = self._container.streams.best("video")
        if not isinstance(found, av.VideoStream) or found.codec_context is None:
            raise ValueError(f"{self.path}: found no video that can be decoded")
        return found

    def _packets(self) -> tuple[av.Packet[av.stream.Stream], ...]:
        packets, self._waiting = tuple(self._waiting), []
        return packets

    def _read(self) -> Iterator[av.Packet[av.stream.Stream]]:
        """Yield all packets; go on after what cannot be read, unless nothing follows."""
        read, before = 0, -1
        while read != before:
            before = read
            try:
                for packet in self._container.demux([self.video, *self.copied]):
                    if packet.size:
                        read += 1
                        yield packet
                return
            except av.FFmpegError as error:
                self._report(f"{self.path}: a part of the file cannot be read ({error.strerror})")

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yield the frames of the part, and keep the packets of other streams that are met."""
        for packet in self._read():
            if packet.stream is not self.video:
                self._keep(packet)
            elif self._end is None:
                yield from self._frames(packet)
            if self._end is not None and self._seconds(packet) > self._end + _AFTER:
                return
        if self._end is None:
            yield from self._frames(None)
            if self._fields:
                yield from self._deinterlaced(None)

    def _frames(self, packet: av.Packet[av.stream.Stream] | None) -> Iterator[av.VideoFrame]:
        try:
            frames = self.video.decode(packet)
        except av.FFmpegError as error:
            if packet is not None:  # the end of the stream may be reported as an error
                self._report(f"{self._at(self._seconds(packet))} cannot be decoded ({error.strerror}); it is left out")
            return
        for frame in frames:
            if self._last < 0:
                self._check(frame)
            elif not self._is_like_first(frame):
                continue
            for whole in self._deinterlaced(frame) if self._fields else (frame,):
                if self._placed(whole):
                    yield whole

    def _keep(self, packet: av.Packet[av.stream.Stream]) -> None:
        """Keep a packet of another stream if it lies within the part, in times that count from its start."""
        seconds, unit = self._seconds(packet), packet.time_base
        if (self._part.start and seconds < 0) or (self._end is not None and seconds >= self._end):
            return
        shift = round(self._begin / unit)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        self._waiting.append(packet)

    def _seconds(self, packet: av.Packet[av.stream.Stream]) -> Fraction:
        time = packet.pts if packet.pts is not None else packet.dts
        return (time or 0) * packet.time_base - self._begin

    def _check(self, frame: av.VideoFrame) -> None:
        """Refuse a first frame of a kind that is not restored, and prepare what it needs."""
        if frame.format.name not in SAME_SAMPLES:
            bits = max(component.bits for component in frame.format.components)
            found = f"frames of kind {frame.format.name}, {bits} bits"
            ways = "`ffmpeg -i IN -pix_fmt yuv420p OUT` converts them"
            raise ValueError(f"{self.path}: found {found}, expected 8 bits without alpha or palette; {ways}")
        if not frame.interlaced_frame or self._fields or self._part.deinterlace is False:
            return
        if self._part.deinterlace is None:
            ways = "--deinterlace makes a frame of every field, --no-deinterlace takes the frames as they are"
            raise ValueError(f"{self.path}: found interlaced frames; {ways}")
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self.video.time_base
        )
        graph.link_nodes(source, graph.add("bwdif", "mode=send_field:deint=interlaced"), graph.add("buffersink"))
        graph.configure()
        self._fields, self.time_base = graph, self.time_base / 2

    def _is_like_first(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame has the size and kind of the first; report one that has not."""
        if (frame.width, frame.height, SAME_SAMPLES.get(frame.format.name)) == (
            self.first.width,
            self.first.height,
            self.form,
        ):
            return True
        where = self._at((frame.pts or 0) * (self.video.time_base or self.time_base) - self._begin)
        found = f"{frame.width} x {frame.height} pixels ({frame.format.name})"
        self._report(f"{where} has {found}, unlike the first; it is left out")
        return False

    def _deinterlaced(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        assert self._fields
        self._fields.vpush(frame)
        with suppress(BlockingIOError, av.EOFError):  # it needs more frames, or has given all
            while True:
                yield self._fields.vpull()

    def _placed(self, frame: av.VideoFrame) -> bool:
        """Let a frame's time count from the start of the part; return whether it lies within and is to be restored."""
        shift = round(self._begin / self.time_base)
        step = max(1, round(1 / self.rate / self.time_base))
        time = self._last + step if frame.pts is None else frame.pts - shift
        if self._part.start and time < 0:
            return False
        where = self._at(time * self.time_base)
        if self._last >= 0 and time <= self._last:
            self._report(f"{where} is no later than the one before it; it is left out")
            return False
        if frame.is_corrupt:
            self._report(f"{where} is damaged; it is restored as far as it could be decoded")
        frame.pts, frame.time_base, self._last = time, self.time_base, max(time, 0)
        return True

    def _at(self, seconds: Fraction) -> str:
        minutes, rest = divmod(float(seconds + self._part.start), 60)
        return f"{self.path}: the frame at {int(minutes)}:{rest:06.3f}"


def _opened(path: Path) -> av.container.InputContainer:
    if path.is_dir() or not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return av.open(f"file:{path}", "r", container_options=_ONLY_THIS_FILE, metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror})") from None
