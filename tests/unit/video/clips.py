"""Clips that tests make: a few small frames of noise with their times, and what else a file may hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lutra.video.clip import planes_of

RATE = 8000
"""Samples of sound a second."""


@dataclass(frozen=True)
class Clip:
    """How a clip is made: its frames hold noise, or move smoothly where an encoder needs that."""

    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (16, 12)
    times: Sequence[int] = tuple(range(8))
    time_base: Fraction = Fraction(1, 25)
    codec: str = "ffv1"
    sound: bool = False
    interlaced: bool = False


def write(path: Path, clip: Clip = Clip(), prepare: Any = lambda container, stream: None) -> None:
    """Write a clip; `prepare` may change its container and stream before anything is written."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(clip.codec, rate=25)
        stream.width, stream.height = clip.size
        stream.pix_fmt = clip.pixel_format
        stream.codec_context.time_base = clip.time_base
        if clip.interlaced:
            stream.codec_context.flags |= 1 << 18 | 1 << 29  # interlaced coding and motion
        sound: Any = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if clip.sound else None
        prepare(container, stream)
        for number, time in enumerate(clip.times):
            for packet in stream.encode(frame(clip, number, time)):
                container.mux(packet)
            if sound:
                container.mux(sound.encode(samples(number)))
        container.mux(stream.encode(None))


def frame(clip: Clip, number: int, time: int) -> av.VideoFrame:
    """Return a frame of noise."""
    made = av.VideoFrame(*clip.size, clip.pixel_format)
    noise = np.random.default_rng(number)
    for plane in made.planes:
        plane.update(noise.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    made.pts, made.time_base = time, clip.time_base
    return made


def samples(number: int) -> av.AudioFrame:
    """Return the sound of one frame at 25 frames a second."""
    tone = np.full((1, RATE // 25), number * 100, np.int16)
    made = av.AudioFrame.from_ndarray(tone, "s16", "mono")
    made.sample_rate, made.pts, made.time_base = RATE, number * RATE // 25, Fraction(1, RATE)
    return made


def read(path: Path) -> tuple[list[list[np.ndarray]], list[Fraction]]:
    """Return the planes of every frame, and their times in seconds."""
    planes, times = [], []
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        for one in container.decode(video):
            whole = one.reformat(format="rgb24") if one.format.name in ("bgr0", "gbrp") else one
            planes.append([plane.copy() for plane in planes_of(whole)])
            times.append(Fraction(one.pts or 0) * (video.time_base or 0))
    return planes, times


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """Return the time and the bytes of every packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        found = [packet for packet in container.demux(stream) if packet.size]
        return [(float((packet.pts or 0) * packet.time_base), bytes(packet)) for packet in found]
