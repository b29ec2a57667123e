"""`lutra restore`: pictures, folders of pictures, and videos."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lutra import terminal
from lutra.cli.common import ChosenTask, ModelOrNone, Pixels, Threads, app, chosen_model
from lutra.cli.videos import also_videos
from lutra.terminal import printable

if TYPE_CHECKING:
    from lutra.restore.batch import FileJob
    from lutra.restore.done import Done

_SUFFIXES = {"jpeg": ".jpg", "tiff": ".tif"}


_Scale = Annotated[
    float | None,
    typer.Option(
        help="The factor by which each side grows, such as 2.5. A model of any size makes the result in that size. "
        "A model of one scale restores at its own scale, and the result is then resampled, antialiased, to the size "
        "[default: the model's scale]."
    ),
]
_Size = Annotated[
    str | None, typer.Option(help="The size of the results in pixels, such as 1920x1080, made as for --scale.")
]
_Width = Annotated[
    int | None, typer.Option(min=1, help="The width of the results; the height follows, unless --height states it.")
]
_Height = Annotated[
    int | None, typer.Option(min=1, help="The height of the results; the width follows, unless --width states it.")
]
_Quality = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="The quality of JPEG and WebP [default: 95 for JPEG, lossless for WebP]."),
]
_Overwrite = Annotated[
    bool | None,
    typer.Option(
        help="Restore again what was restored before; or keep every file that exists "
        "[default: keep what this model made of the same input]."
    ),
]


@app.command("upscale", help="Do the same as `restore`.")
@app.command("restore")
@also_videos
def restore(
    model: ModelOrNone = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", "-i", help="An image, a folder with its subfolders, a video, or - for standard input."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file for one input, a folder for several, or - for standard output."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[INPUT]...", help="The same as --input.")] = None,
    task: ChosenTask = None,
    format: Annotated[
        Literal["png", "jpeg", "webp", "tiff", "bmp"] | None,
        typer.Option(help="The format of the results [default: that of each input]."),
    ] = None,
    scale: _Scale = None,
    size: _Size = None,
    width: _Width = None,
    height: _Height = None,
    quality: _Quality = None,
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, or cuda, which needs torch.")] = "cpu",
    overwrite: _Overwrite = None,
    max_pixels: Pixels = None,
) -> None:
    """Restore images or videos. Of several images, skip those that this model has restored before.

    Of a video, the time of every frame, sound, subtitles, chapters, colour tags and rotation are kept; needs the
    extra `video`. Ctrl-C leaves no file of the video at hand. A broken frame is reported, and the rest restored.
    """
    from PIL import Image

    from lutra.restore import batch, streams
    from lutra.restore.done import Done, Making
    from lutra.restore.restorer import load
    from lutra.restore.sizes import target_of

    everything = [*(inputs or []), *(more or [])]
    if not everything or output is None:
        wanted = "'--output' / '-o'" if everything else "'--input' / '-i', or a file or folder as an argument"
        raise typer.BadParameter(f"missing option {wanted}")
    suffix = _SUFFIXES.get(format, f".{format}") if format else None
    Image.MAX_IMAGE_PIXELS = sys.maxsize  # `batch.restore_file` has its own limit, which --max-pixels raises
    target = target_of(scale, size, width, height)
    file = chosen_model(model, task, scale)
    standard = streams.concern(everything, output)
    jobs = [] if standard else batch.plan(everything, output, suffix)
    restorer = load(file, device=device)
    work = partial(batch.restore_file, restorer, target=target, threads=threads, quality=quality, max_pixels=max_pixels)
    if standard:
        streams.restore_piped(work, everything, output, suffix)
    elif len(jobs) == 1 and jobs[0].source in everything:
        _restore_one(jobs[0], work, overwrite)
    else:
        making = Making.of(file, quality, str(target) if target else None)
        _restore_several(jobs, work, Done(output, making), file, overwrite)


def _restore_one(job: FileJob, work: Callable[[FileJob], None], overwrite: bool | None) -> None:
    if overwrite is False and os.path.lexists(job.target):
        raise ValueError(f"{job.target}: found a file, which --no-overwrite keeps")
    work(job)


def _restore_several(
    jobs: Sequence[FileJob], work: Callable[[FileJob], None], done: Done, model: Path, overwrite: bool | None
) -> None:
    """Restore what is not restored yet, and print how many files were restored, skipped and failed."""
    kept = [job for job in jobs if overwrite is False and os.path.lexists(job.target)]
    skipped = kept or [job for job in jobs if not overwrite and job.is_done(done, model)]

    def recorded(job: FileJob) -> None:
        with done.adding(job.source, job.target):
            work(job)

    skipped_jobs = set(skipped)
    failures = _restore_all([job for job in jobs if job not in skipped_jobs], recorded)
    why = "there already; --no-overwrite" if kept else "done already; --overwrite"
    skips = f", {len(skipped)} skipped ({why})" if skipped else ""
    print(f"{len(jobs) - len(skipped) - failures} restored{skips}" + (f", {failures} failed" if failures else ""))
    if failures:
        raise typer.Exit(1)


def _restore_all(jobs: Sequence[FileJob], work: Callable[[FileJob], None]) -> int:
    """Do the jobs behind a progress bar, print what fails, and return how many failed."""
    from lutra.restore import batch

    failures = []

    def failed(text: str) -> None:
        failures.append(text)
        terminal.error(text)

    with terminal.progress() as progress:
        task = progress.add_task("restoring", total=len(jobs))
        for job in batch.run_all(jobs, work, failed):
            progress.update(task, advance=1, description=printable(job.source.name))
    return len(failures)
