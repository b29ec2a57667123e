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
        os.replace(temporary, path)

    with placing(place, discard):
        temporary.mkdir(parents=True)
        yield temporary
