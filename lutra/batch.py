"""Many files restored in one go: what is read and written where, what is done already, what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lutra.imaging.files import SUFFIXES
from lutra.imaging.pictures import check_writable, read_picture, write_picture
from lutra.restoring import Restorer

MAX_PIXELS = 1 << 28
"""The largest result, in pixels (three quarters of a gigabyte in RGB)."""


@dataclass(frozen=True)
class Job:
    """A file to restore and where the result goes."""

    source: Path
    target: Path

    def is_done(self, model: Path | None) -> bool:
        """Whether the result is there, newer than its source and than the model's file."""
        if not self.target.is_file():
            return False
        written = self.target.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns <= written for path in (self.source, model) if path and path.exists())


def plan(inputs: Sequence[Path], output: Path, suffix: str | None = None) -> list[Job]:
    """What to restore, and where to.

    Args:
        inputs: files, and folders, which are searched with all their subfolders.
        output: for a single file, a file (with a known suffix) or a folder; else a folder. Names are kept, for
            folders relative to them.
        suffix: the results' suffix, such as ".png"; None keeps each file's own.

    Raises:
        FileNotFoundError: an input is missing.
        ValueError: a folder holds no image, two results would have one name, or a result would replace its source.
    """
    single = len(inputs) == 1 and not inputs[0].is_dir()
    if single and not output.is_dir() and output.suffix:
        if suffix and _kind(output.suffix) != _kind(suffix):
            raise ValueError(f"{output}: found suffix {output.suffix!r}, expected {suffix!r}, the format asked for")
        return _checked([Job(inputs[0], output)])
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: found a file, expected a folder for several results")
    jobs = []
    for path in inputs:
        for source, name in _files(path, output):
            jobs.append(Job(source, output / (name.with_suffix(suffix) if suffix else name)))
    return _checked(jobs)


def run(restorer: Restorer, job: Job, *, threads: int | None = None, quality: int | None = None) -> None:
    """Restore one file.

    Raises:
        ValueError, OSError: the source cannot be read, the result not be written; names the file.
    """
    picture = read_picture(job.source, max_pixels=MAX_PIXELS // restorer.scale**2)
    check_writable(job.target, picture.pixels, restorer.scale)
    try:
        restored = restorer.restore(picture.pixels, threads=threads)
    except MemoryError:
        raise OSError(f"{job.source}: not enough memory to restore it") from None
    write_picture(job.target, replace(picture, pixels=restored), quality=quality)


def run_all(jobs: Sequence[Job], work: Callable[[Job], None], failed: Callable[[str], None]) -> Iterator[Job]:
    """Do every job, telling `failed` of those that could not be done; yields each job after it."""
    for job in jobs:
        try:
            work(job)
        except (ValueError, OSError) as error:
            text = " ".join(str(error).split())
            failed(text if str(job.source) in text else f"{job.source}: {text}")
        yield job


def _files(path: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """The files of an input, each with the name that its result is to have in the output folder."""
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        yield path, Path(path.name)
        return
    own = output.resolve()
    within = path.resolve() != own  # results in a folder below the source's are no sources
    found = False
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        hidden = any(part.startswith(".") for part in name.parts)
        if file.suffix.lower() not in SUFFIXES or hidden or not file.is_file():
            continue
        if within and file.resolve().is_relative_to(own):
            continue
        found = True
        yield file, name
    if not found:
        raise ValueError(f"{path}: found no image, expected files ending in {', '.join(SUFFIXES)}")


def _checked(jobs: list[Job]) -> list[Job]:
    sources: dict[Path, Path] = {}
    inputs = {job.source.resolve() for job in jobs}
    for job in jobs:
        target = job.target.resolve()
        if target in inputs:
            raise ValueError(f"{job.target}: the result would replace an input, expected another folder or name")
        if target in sources:
            raise ValueError(f"{job.target}: both {sources[target]} and {job.source} would be written there")
        sources[target] = job.source
    return jobs


def _kind(suffix: str) -> str:
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix.lower(), suffix.lower())
