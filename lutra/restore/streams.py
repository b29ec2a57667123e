"""Restore from standard input or to standard output, by way of temporary files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lutra.imaging.decoding import SUFFIXES
from lutra.restore.batch import FileJob

_STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def concern(inputs: Sequence[Path], output: Path) -> bool:
    """Return whether a name stands for standard input or output."""
    return str(output) in _STANDARD_OUTPUT or any(str(path) in _STANDARD_INPUT for path in inputs)


def restore_piped(work: Callable[[FileJob], None], inputs: Sequence[Path], output: Path, suffix: str | None) -> None:
    """Restore one picture, from or to a standard stream.

    Args:
        work: a function that restores a file.
        inputs: one file, or - for standard input.
        output: a file, or - for standard output.
        suffix: the result's suffix; None for that of the file read, or else .png.

    Raises:
        ValueError: there are several inputs, or a folder among the names, or standard output is a terminal.
        OSError: a stream cannot be read or written.
    """
    if len(inputs) > 1 or inputs[0].is_dir() or output.is_dir():
        raise ValueError("standard input and output: found several files or a folder, expected one file in and one out")
    source, target = inputs[0], output
    with tempfile.TemporaryDirectory(prefix="lutra-") as name:
        folder = Path(name)
        if str(source) in _STANDARD_INPUT:
            source = folder / "standard input"
            with source.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        if str(output) in _STANDARD_OUTPUT:
            if sys.stdout.isatty():
                raise ValueError("standard output: found a terminal, expected a file or a pipe")
            own = source.suffix if source.suffix.lower() in SUFFIXES else ".png"
            target = folder / f"standard output{suffix or own}"
        try:
            work(FileJob(source, target))
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(f"{folder}/", "")) from None
        if target.parent == folder:
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
