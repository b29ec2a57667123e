"""Restore many files: plan inputs and outputs, skip finished results, and report failures."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lutra.imaging.decoding import SUFFIXES
from lutra.imaging.walk import identity, say_left_out, summary, walk
from lutra.restore.anyform import MAX_PIXELS
from lutra.restore.done import Done
from lutra.restore.restorer import Restorer
from lutra.restore.sizes import Target


@dataclass(frozen=True)
class FileJob:
    """A file to restore and where the result goes."""

    source: Path
    target: Path

    def is_done(self, done: Done, model: Path) -> bool:
        """Return whether the result exists, was made by this model from this source, and is newer than both."""
        if not done.holds(self.source, self.target):
            return False
        written = self.target.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns <= written for path in (self.source, model))


def plan(inputs: Sequence[Path], output: Path, suffix: str | None = None) -> list[FileJob]:
    """Return what to restore and where to write it; warn of what is left out in folders.

    Args:
        inputs: files, and folders, which are searched with all their subfolders.
        output: a folder, or a file with a known suffix for a single input. Results keep the names of the inputs, and
            their places below a folder.
        suffix: the results' suffix, such as ".png"; None keeps each file's own.

    Raises:
        FileNotFoundError: an input is missing.
        ValueError: a folder holds no image, two results would be one file, a result would replace an input, or the
            output is a device.
    """
    if output.exists() and not output.is_dir() and not output.is_file():
        raise ValueError(f"{output}: found a device or pipe, expected a file or folder, or - for standard output")
    single = len(inputs) == 1 and not inputs[0].is_dir()
    if single and not output.is_dir() and output.suffix:
        if suffix and _kind(output.suffix) != _kind(suffix):
            raise ValueError(f"{output}: found suffix {output.suffix!r}, expected {suffix!r}, the format asked for")
        return _checked([FileJob(inputs[0], output)])
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: found a file, expected a folder for several results")
    jobs = []
    for path in inputs:
        for source, name in _files(path, output):
            jobs.append(FileJob(source, output / (name.with_suffix(suffix) if suffix else name)))
    return _checked(jobs)


def restore_file(
    restorer: Restorer,
    job: FileJob,
    *,
    target: Target | None = None,
    threads: int | None = None,
    quality: int | None = None,
    max_pixels: int | None = None,
) -> None:
    """Restore one file.

    Args:
        restorer: the model.
        job: the file, and where its result goes.
        target: the size of the result; None for the model's scale.
        threads: the number of threads, as for `Restorer.restore`.
        quality: the quality of JPEG and WebP, as for `write_picture`.
        max_pixels: refuse a picture with a larger result before it is decoded; None for `MAX_PIXELS`.

    Raises:
        ValueError, OSError: the source cannot be read, the result not be written; names the file.
    """
    most = max_pixels or MAX_PIXELS
    restorer.restore_file(job.source, job.target, size=target, threads=threads, quality=quality, max_pixels=most)


def run_all(
    jobs: Sequence[FileJob], work: Callable[[FileJob], None], failed: Callable[[str], None]
) -> Iterator[FileJob]:
    """Do every job and yield it afterwards; call `failed` with the error of a job that could not be done."""
    for job in jobs:
        try:
            work(job)
        except (ValueError, OSError) as error:
            text = " ".join(str(error).split())
            failed(text if str(job.source) in text else f"{job.source}: {text}")
        yield job


def _files(path: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files of an input, each with the name of its result in the output folder."""
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        yield path, Path(path.name)
        return
    own, own_folder = output.resolve(), identity(output)
    in_place = own_folder is not None and identity(path) == own_folder

    def is_result(folder: Path) -> bool:
        """Return whether a folder holds results, which are no sources."""
        return not in_place and (identity(folder) == own_folder or folder.resolve().is_relative_to(own))

    found = walk(path, skip=is_result)
    if not found.images:
        left_out = f"; {summary(path, found.left_out)}" if found.left_out else ""
        raise ValueError(f"{path}: found no image, expected files ending in {', '.join(SUFFIXES)}{left_out}")
    say_left_out(path, found.left_out)
    yield from ((file, file.relative_to(path)) for file in found.images)


def _checked(jobs: list[FileJob]) -> list[FileJob]:
    """Refuse results that would replace an input or each other, also under another name of the same file."""
    inputs = {identity(job.source) for job in jobs} - {None}
    same: dict[Path, FileJob] = {}
    alike: dict[str, FileJob] = {}
    for job in jobs:
        if identity(job.target) in inputs:
            raise ValueError(f"{job.target}: the result would replace an input, expected another folder or name")
        target = job.target.resolve()
        other = same.setdefault(target, job)
        if other is job:
            other = alike.setdefault(_folded(target), job)
        if other is not job and (other.target.resolve() == target or _ignores_case(job.target.parent)):
            raise ValueError(f"{job.target}: both {other.source} and {job.source} would be written there")
    return jobs


def _folded(path: Path) -> str:
    """Return a path in the form that file systems without a difference of upper and lower case compare."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _ignores_case(folder: Path) -> bool:
    """Return whether a folder, which may not exist yet, treats upper and lower case as equal, by trying."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".lutra-case-") as file:
            path = Path(file.name)
            return path.with_name(path.name.upper()).exists()
    except OSError:  # nothing can be written there, which each result will report
        return False


def _kind(suffix: str) -> str:
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix.lower(), suffix.lower())
