"""Write a clip: encode frames, and copy the packets of the other streams between them."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av

from lutra.video import FORMATS
from lutra.video.demux import Clip, Piece
from lutra.video.planes import RGB

CRF = {"libx264": 18, "libx265": 18, "libvpx-vp9": 24, "libsvtav1": 24}
"""The quality of an encoder where none is asked for: hard to tell from the original."""
_SAME_SAMPLES = {RGB: ("gbrp", "rgb24", "bgr24", "bgr0")}
_QUIET = {"libx265": {"x265-params": "log-level=error"}}
_KNOW_SHAPE = ("libx264", "libx265")
"""Encoders whose streams tell the shape of pixels; PyAV does not write it anywhere else."""
_TEXT = "mov_text"
"""Subtitles of MP4, which become plain text (SubRip) in formats that hold those."""


@dataclass(frozen=True)
class Encoding:
    """The settings by which frames are encoded.

    codec: an encoder of FFmpeg, None for H.264, or VP9 in WebM. crf: its quality, lower is better, None for `CRF`.
    threads: the number of threads that encode.
    """

    codec: str | None = None
    crf: int | None = None
    threads: int = 1


class Writer:
    """A clip that is being written to a file."""

    def __init__(self, file: BinaryIO, path: Path, clip: Clip, scale: int, encoding: Encoding) -> None:
        """Lay out a file with the streams of `clip`, its frames enlarged by `scale`.

        Args:
            file: where the bytes go.
            path: the name that the file will have, which tells its format.
            clip: the clip that is restored.
            scale: the factor by which each side of a frame grows.
            encoding: how frames are encoded.

        Raises:
            ValueError: the format does not hold one of the streams, or the encoder not these frames.
        """
        self._path = path
        self._texts: set[int] = set()
        self._container = av.open(file, "w", format=FORMATS[path.suffix.lower()])
        try:
            self._video = self._add_video(clip, scale, encoding)
            self._others = {stream.index: self._add(stream) for stream in clip.copied}
            self._container.metadata.update(clip.title)
            self._container.set_chapters(clip.chapters())
            self._attach(clip)
            self._container.start_encoding()
        except av.FFmpegError as error:
            size = f"{clip.first.width * scale} x {clip.first.height * scale} pixels ({clip.form})"
            codec = self._container.streams.video[0].codec_context.name
            raise ValueError(
                f"{path}: encoder {codec} does not take frames of {size}, or the format does not take its result "
                f"({error.strerror}); --codec ffv1 in .mkv takes any"
            ) from None

    @property
    def pixel_format(self) -> str:
        """The format of the frames that are encoded."""
        return self._video.codec_context.pix_fmt or ""

    def write(self, piece: Piece) -> None:
        """Encode a frame, and copy the packets before it.

        Raises:
            ValueError: the encoder does not take the frame.
            OSError: the file cannot be written.
        """
        for packet in piece.packets:
            index = packet.stream.index
            copied = _plain(packet) if index in self._texts else packet
            if copied is not None:
                self._copy(copied, self._others[index])
        if piece.frame:
            self._encode(piece.frame)

    def finish(self) -> None:
        """Encode what is left, and complete the file. Raises what `write` raises."""
        self._encode(None)
        self._container.close()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._video.encode(frame))
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            codec = self._video.codec_context.name
            raise ValueError(f"{self._path}: encoder {codec} or the format fails ({error.strerror})") from None

    def _copy(self, packet: Any, stream: av.stream.Stream) -> None:
        """Copy a packet; note one whose time the format does not take."""
        packet.stream = stream
        try:
            self._container.mux(packet)
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            warnings.warn(f"{self._path}: left out a part of {stream.type} with a wrong time", stacklevel=2)

    def _add_video(self, clip: Clip, scale: int, encoding: Encoding) -> av.VideoStream:
        webm = self._container.format.name == "webm"
        os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints errors alone
        name = _encoder(encoding.codec or ("libvpx-vp9" if webm else "libx264"))
        stream: Any = self._added(name, rate=clip.rate)
        context, first = stream.codec_context, clip.first
        context.width, context.height = first.width * scale, first.height * scale
        context.pix_fmt = self._pixel_format(name, context.codec, clip.form)
        context.time_base = stream.time_base = clip.time_base
        context.thread_count = encoding.threads
        context.color_range = clip.color_range
        for tag in ("color_primaries", "color_trc", "colorspace"):
            setattr(context, tag, getattr(first, tag))
        if (shape := clip.video.sample_aspect_ratio) and shape != 1:
            context.sample_aspect_ratio = shape
            if name not in _KNOW_SHAPE:
                note = f"{self._path}: {name} cannot state that pixels are {shape.numerator}:{shape.denominator} wide"
                warnings.warn(f"{note}; --codec libx264 can", stacklevel=2)
        context.options = self._options(name, context, encoding.crf)
        if name == "libx265" and self._container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # which Apple's players ask for
        if matrix := clip.display_matrix:
            moved = {6, 7}  # where the picture lies, in pixels
            stream.set_display_matrix([n * scale if place in moved else n for place, n in enumerate(matrix)])
        stream.metadata.update({k: v for k, v in clip.video.metadata.items() if k.lower() in ("language", "title")})
        stream.disposition = clip.video.disposition
        return stream  # type: ignore[no-any-return]

    def _pixel_format(self, name: str, codec: av.Codec, form: str) -> str:
        known = [kind.name for kind in codec.video_formats or ()]
        for same in _SAME_SAMPLES.get(form, (form,)):
            if same in known or not known:
                return same
        raise ValueError(f"{self._path}: encoder {name} takes no frames of kind {form}; --codec ffv1 in .mkv does")

    def _options(self, name: str, context: av.VideoCodecContext, crf: int | None) -> dict[str, str]:
        if not any(option.name == "crf" for option in context.supported_options.private):
            if crf is not None:
                raise ValueError(f"encoder {name} has no quality to choose, expected no --crf with it")
            return {}
        quality = crf if crf is not None else CRF.get(name)
        own = {} if quality is None else {"crf": str(quality)}
        return own | _QUIET.get(name, {})

    def _added(self, name: str, **options: Any) -> av.stream.Stream:
        try:
            return self._container.add_stream(name, **options)
        except ValueError:
            raise ValueError(f"{self._path}: this format holds no video by {name}; .mkv holds any") from None

    def _add(self, stream: av.stream.Stream) -> av.stream.Stream:
        """Add a stream that is copied."""
        name = stream.codec_context.name if stream.codec_context else "of an unknown kind"
        try:
            held = name in self._container.supported_codecs
            made: av.stream.Stream
            if name == _TEXT and not held:
                self._texts.add(stream.index)
                made = self._container.add_mux_stream("subrip", time_base=stream.time_base)
            else:
                made = self._container.add_stream_from_template(stream)
        except ValueError:
            suggestion = "" if self._path.suffix.lower() == ".mkv" else "; .mkv holds nearly all"
            raise ValueError(f"{self._path}: this format holds no {stream.type} {name}{suggestion}") from None
        made.metadata.update(stream.metadata)
        made.disposition = stream.disposition
        return made

    def _attach(self, clip: Clip) -> None:
        """Copy attached files, such as fonts of subtitles, where the format holds them; note what is left out."""
        left_out = []
        for stream in clip.others:
            if isinstance(stream, av.stream.AttachmentStream) and self._container.format.name == "matroska":
                self._container.add_attachment(stream.name or "file", stream.mimetype or "", stream.data)
            else:
                left_out.append(f"{stream.type} {stream.name or ''}".strip())
        if left_out:
            warnings.warn(f"{clip.path}: left out {', '.join(left_out)}", stacklevel=2)


def _encoder(name: str) -> str:
    try:
        codec = av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        raise ValueError(f"encoder is {name!r}, expected one that PyAV has, such as libx264, libx265 or ffv1") from None
    if codec.type != "video":
        raise ValueError(f"encoder is {name!r}, which encodes {codec.type}, expected one of video")
    return codec.name


def _plain(packet: Any) -> Any:
    """Return a subtitle of MP4 as plain text; None for the empty ones that end those before them."""
    data = bytes(packet)
    text = data[2 : 2 + int.from_bytes(data[:2], "big")]
    if not text:
        return None
    made = av.Packet(text)
    made.time_base, made.duration = packet.time_base, packet.duration
    made.pts = made.dts = packet.pts
    return made
