"""Folders appear whole: filled under a temporary name beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lutra.files import placing, temporary_name


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `path` at the end of the block, or of `all_at_once` around it.

    When the block raises, `path` stays as it was.
    """
    temporary, old = temporary_name(path), temporary_name(path)

    def discard() -> None:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)

    def place() -> None:
        if path.exists():
            os.replace(path, old)  # a folder that is not empty cannot be replaced in one step
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise

    with placing(place, discard):
        temporary.mkdir(parents=True)
        yield temporary
        _to_disk(temporary)


def _to_disk(folder: Path) -> None:
    """Wait until the files are on the disk, so that one that is full is noticed before the folder gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
