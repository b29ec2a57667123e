"""`lutra bench-video`: frames a second of models and of FFmpeg's own enlargement, alone and with all around them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import numpy as np

import lutra
from lutra.evaluation.bench import machine
from lutra.evaluation.synthetic import synthetic_photograph
from lutra.evaluation.timing import least_seconds
from lutra.restore.restorer import Restorer
from lutra.terminal import TextTable
from lutra.video.clip import Enlarging, Order, by_model, convert_clip
from lutra.video.demux import Clip, Part

FLAGS = ("bicubic", "lanczos")
"""The ways of FFmpeg's filter `scale` that are measured next to the models."""
RATE = 25
_ROUNDS = 3
_HELD = 50
"""The most frames that are held in memory to measure the work on them alone."""
_STEP = 2


@dataclass(frozen=True)
class Plan:
    """The things to measure: a clip, its first frames, numbers of threads, and the encoder of the results."""

    clip: Path
    frames: int
    threads: Sequence[int]
    codec: str | None = None


def write_clip(path: Path, width: int, height: int, frames: int) -> None:
    """Write a clip of H.264, 25 frames a second: a camera that pans over a synthetic photograph, to and fro."""
    margin = 64
    photograph = synthetic_photograph(width + margin, height + margin)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            moved = abs(number * _STEP % (2 * margin) - margin)
            view = np.ascontiguousarray(photograph[moved : moved + height, margin - moved :][:, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def measure_rates(models: Mapping[str, Restorer], plan: Plan) -> dict[str, Any]:
    """Return the record that `lutra bench-video --json` writes: frames a second, by method and number of threads.

    The processor's milliseconds a frame, of all threads together, are those of the work alone. Other programs on the
    machine stretch them less than they stretch the rates.

    Args:
        models: the models by name, all of one scale.
        plan: what is measured.

    Raises:
        ValueError: the scales differ, or the clip cannot be read.
    """
    scales = {restorer.scale for restorer in models.values()}
    if len(scales) != 1:
        raise ValueError(f"models to compare: found scales {sorted(scales)}, expected one scale for all")
    scale = scales.pop()
    frames, form = _frames(plan)
    results = []
    for threads in plan.threads:
        ways = {name: by_model(restorer, threads) for name, restorer in models.items()}
        ways |= {f"FFmpeg scale={flags}": _scaling(flags, frames[0], scale, threads) for flags in FLAGS}
        calls = {name: partial(_alone, way, frames, form) for name, way in ways.items()}
        alone = least_seconds(calls, _ROUNDS)
        busy = least_seconds(calls, _ROUNDS, clock=time.process_time)
        whole = least_seconds({name: partial(_whole, way, plan, threads) for name, way in ways.items()}, 1, in_a_row=1)
        for name in ways:
            results.append(
                {
                    "name": name,
                    "threads": threads,
                    "alone": round(len(frames) / alone[name], 1),
                    "whole": round(plan.frames / whole[name], 1),
                    "processor_milliseconds": round(busy[name] / len(frames) * 1e3, 3),
                }
            )
    width, height = frames[0].width, frames[0].height
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {
        "machine": machine(),
        "versions": {"lutra": lutra.__version__, "av": av.__version__, "libavcodec": libraries["libavcodec"]},
        "clip": {"width": width, "height": height, "format": form, "frames": plan.frames},
        "scale": scale,
        "codec": plan.codec or "libx264",
        "results": results,
    }


def measure_memory(model: str, plan: Plan, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Return the most memory that `lutra restore` takes for a clip, repeated to several numbers of frames, in MiB."""
    found = []
    with tempfile.TemporaryDirectory(prefix="lutra-") as folder:
        for length in lengths:
            source, target = Path(folder) / f"{length}.mkv", Path(folder) / "restored.mkv"
            _repeat(plan.clip, source, length)
            code = "import sys; from lutra.cli import main; sys.exit(main())"
            options = ["--threads", str(plan.threads[0]), *(["--codec", plan.codec] if plan.codec else [])]
            command = [sys.executable, "-c", code, "restore", "-m", model, "-i", str(source), "-o", str(target)]
            process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise ValueError(f"{plan.clip}: could not be restored to measure the memory")
            found.append({"frames": length, "peak_mib": round(usage.ru_maxrss / 1024)})
    return found


def results_table(record: Mapping[str, Any]) -> TextTable:
    """Return the record's results as a table for the terminal."""
    clip, scale = record["clip"], record["scale"]
    size = f"{clip['width']}x{clip['height']} to {clip['width'] * scale}x{clip['height'] * scale}, {clip['format']}"
    caption = f"frames a second; {size}, {clip['frames']} frames, {record['codec']}; {record['machine']['processor']}"
    table = TextTable("", "threads", "alone", "with decoding and encoding", "ms of processor", caption=caption)
    for row in record["results"]:
        table.add_row(row["name"], row["threads"], row["alone"], row["whole"], row["processor_milliseconds"])
    return table


def _frames(plan: Plan) -> tuple[list[av.VideoFrame], str]:
    clip = Clip(plan.clip, Part(frames=min(plan.frames, _HELD)), 1, print)
    frames = [piece.frame for piece in clip.pieces() if piece.frame]
    return frames, clip.form


def _alone(way: Enlarging, frames: Sequence[av.VideoFrame], form: str) -> None:
    for frame in frames:
        way.work(frame, form, form)


def _whole(way: Enlarging, plan: Plan, threads: int) -> None:
    order = Order(Part(frames=plan.frames), codec=plan.codec, threads=threads)
    with tempfile.TemporaryDirectory(prefix="lutra-") as folder:
        convert_clip(plan.clip, Path(folder) / "restored.mkv", order, way, print)


def _scaling(flags: str, frame: av.VideoFrame, scale: int, threads: int) -> Enlarging:
    graph = av.filter.Graph()
    graph.threads = threads
    size = f"w={frame.width * scale}:h={frame.height * scale}"
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, graph.add("scale", f"{size}:flags={flags}"), graph.add("buffersink")).configure()

    def work(frame: av.VideoFrame, form: str, pixel_format: str) -> av.VideoFrame:
        graph.vpush(frame)
        made = graph.vpull()
        made.pts, made.time_base = frame.pts, frame.time_base
        return made

    return Enlarging(scale, work)


def _repeat(clip: Path, target: Path, frames: int) -> None:
    """Write the packets of a clip over and over, as a longer clip."""
    with av.open(str(clip)) as given, av.open(str(target), "w") as made:
        video = given.streams.video[0]
        packets = [packet for packet in given.demux(video) if packet.size]
        stream = made.add_stream_from_template(video, opaque=True)
        step = round(1 / (video.average_rate or RATE) / (video.time_base or Fraction(1, 1000)))
        times = [((packet.pts or 0), (packet.dts or 0)) for packet in packets]
        for number, (packet, (shown, decoded)) in enumerate(islice(cycle(zip(packets, times, strict=True)), frames)):
            again = number // len(packets) * len(packets) * step
            packet.pts, packet.dts = shown + again, decoded + again
            packet.stream = stream
            made.mux(packet)
