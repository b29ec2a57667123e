"""`lutra restore` of videos, and its options for them."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from lutra import distribution, terminal
from lutra.cli.common import chosen_model
from lutra.terminal import printable, say
from lutra.video import SUFFIXES

if TYPE_CHECKING:
    from lutra.restore.batch import FileJob
    from lutra.restore.restorer import Restorer
    from lutra.video.clip import Order

_Command = Callable[..., None]

_SHARED = {"model", "task", "inputs", "more", "output", "threads", "device", "overwrite", "max_pixels"}
"""The parameters of `restore` that are for images and videos alike."""
_PANEL = "Videos"


@dataclass(frozen=True)
class Wishes:
    """The options of `restore` that are for videos, as given."""

    codec: Annotated[
        str | None,
        typer.Option(
            help="The encoder: libx264, libx265, libsvtav1, libvpx-vp9, ffv1 (lossless) or another one of FFmpeg "
            "[default: libx264; libvpx-vp9 for .webm].",
            rich_help_panel=_PANEL,
        ),
    ] = None
    crf: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The quality of the encoder, lower is better [default: 18; 24 for VP9 and AV1].",
            rich_help_panel=_PANEL,
        ),
    ] = None
    start: Annotated[
        str | None,
        typer.Option(help="Where to start: seconds, or [HH:]MM:SS [default: the beginning].", rich_help_panel=_PANEL),
    ] = None
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="The number of frames to restore [default: all].", rich_help_panel=_PANEL),
    ] = None
    deinterlace: Annotated[
        bool | None,
        typer.Option(
            help="Make a frame of every field of an interlaced video; or restore its frames as they are "
            "[default: refuse interlaced videos].",
            rich_help_panel=_PANEL,
        ),
    ] = None


def also_videos(command: _Command) -> _Command:
    """Let a command that restores images restore videos too, with the options of `Wishes`."""
    names = [field.name for field in fields(Wishes)]

    @wraps(command)
    def run(**given: Any) -> None:
        wishes = Wishes(**{name: given.pop(name) for name in names})
        inputs = [*(given["inputs"] or []), *(given["more"] or [])]
        if not are_videos(inputs, wishes) or given["output"] is None:
            command(**given)
            return
        for name in sorted(given.keys() - _SHARED):
            if given[name] is not None:
                raise typer.BadParameter(f"found --{name}, which is for images, and a video as the input")
        restore_videos(inputs, given, wishes)

    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in get_type_hints(Wishes, include_extras=True).items()
    ]
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    every = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters), *own]
    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in every}
    return run


def are_videos(inputs: Sequence[Path], wishes: Wishes) -> bool:
    """Return whether the inputs are videos.

    Raises:
        ValueError: some are and some are not, or options for videos are given for images.
    """
    found = [path for path in inputs if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    if found and len(found) < len(inputs):
        raise ValueError(f"{found[0]}: found a video among other inputs, expected only videos, or none")
    given = [name for name, value in vars(wishes).items() if value is not None]
    if given and not found:
        raise typer.BadParameter(f"found --{given[0]}, which is for videos, expected one as the input")
    return bool(found)


@contextmanager
def needs_pyav() -> Iterator[None]:
    """Raise ValueError where the block imports PyAV and it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        way = f"`{distribution.pip_install('video')}` installs it; `lutra pipe` needs none"
        raise ValueError(f"videos need PyAV, which is not installed; {way}") from None


def restore_videos(inputs: Sequence[Path], given: Mapping[str, Any], wishes: Wishes) -> None:
    """Restore videos one after the other, behind a progress bar; print how many frames of each.

    Args:
        inputs: the videos.
        given: the options that are for images and videos alike, by name.
        wishes: those for videos.

    Raises:
        ValueError: PyAV is missing, or a video cannot be restored.
        typer.Exit: a frame or a file was broken.
    """
    order = _order(wishes, given["threads"], given["max_pixels"])

    from lutra.restore import batch, streams
    from lutra.restore.restorer import load
    from lutra.video.clip import check_target

    if streams.concern(inputs, given["output"]):
        raise ValueError("standard input and output: expected files for videos; `lutra pipe` takes and gives frames")
    jobs = batch.plan(inputs, given["output"])
    for job in jobs:
        check_target(job.target)
        if given["overwrite"] is False and os.path.lexists(job.target):
            raise ValueError(f"{job.target}: found a file, which --no-overwrite keeps")
    restorer = load(chosen_model(given["model"], given["task"], None), device=given["device"])
    broken: list[str] = []

    def report(text: str) -> None:
        broken.append(text)
        terminal.error(text)

    def work(job: FileJob) -> None:
        _restore_one(restorer, job, order, report)

    if len(jobs) == 1:
        work(jobs[0])
    else:
        for _ in batch.run_all(jobs, work, report):
            pass
    if broken:
        raise typer.Exit(1)


def _restore_one(restorer: Restorer, job: FileJob, order: Order, report: Callable[[str], None]) -> None:
    from lutra.video.clip import by_model, convert_clip

    begin = time.monotonic()
    with terminal.progress("frames") as progress:
        task = progress.add_task(printable(job.source.name), total=None)

        def advance(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        count = convert_clip(job.source, job.target, order, by_model(restorer, order.threads), report, advance)
    say(f"{job.target}: {count} frames, {count / (time.monotonic() - begin):.1f} a second")


def _order(wishes: Wishes, threads: int | None, max_pixels: int | None) -> Order:
    from lutra.restore.anyform import MAX_PIXELS

    with needs_pyav():
        from lutra.video.clip import Order
        from lutra.video.demux import Part
    part = Part(_seconds(wishes.start or "0"), wishes.frames, wishes.deinterlace)
    return Order(part, wishes.codec, wishes.crf, threads, max_pixels or MAX_PIXELS)


def _seconds(text: str) -> Fraction:
    """Return the seconds of a time such as 90, 1:30 or 0:01:30.5."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text)
    if not match:
        raise ValueError(f"start is {text!r}, expected seconds or [HH:]MM:SS, such as 90 or 1:30")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
