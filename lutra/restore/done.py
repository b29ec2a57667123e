"""A record of how the results in a folder were made: one line of JSON for each, in a small file in that folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutra.files import sha256_of

RECORD = ".lutra-restored.jsonl"
"""The file's name. The last of several lines for one result counts."""
_OF_QUALITY = (".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Making:
    """All that decides a result, except its source.

    model: SHA-256 of the model's file. quality: the quality of JPEG and WebP that was asked for.
    size: the size that was asked for, in words; None for the model's scale.
    """

    model: str
    quality: int | None
    size: str | None = None

    @staticmethod
    def of(model: Path, quality: int | None, size: str | None = None) -> Making:
        """Read the model's file for its checksum. Raises OSError where it cannot be read."""
        return Making(sha256_of(model), quality, size)


class Done:
    """The record of a folder's results. It may be written to by several processes: each adds whole lines."""

    def __init__(self, folder: Path, making: Making) -> None:
        """Read the record of `folder`, if there is one; damaged lines are skipped."""
        self._path, self._making = folder / RECORD, making
        self._lines: dict[str, dict[str, Any]] = {}
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for text in lines:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("result"), str):
                self._lines[line["result"]] = line

    def holds(self, source: Path, target: Path) -> bool:
        """Return whether `target` exists and was made from this same source, by this model, in this quality."""
        try:
            return self._lines.get(self._name(target)) == self._line(self._source(source), target)
        except OSError:  # one of them does not exist
            return False

    @contextmanager
    def adding(self, source: Path, target: Path) -> Iterator[None]:
        """Record that the block made `target` of `source`, after it has.

        Raises:
            OSError: the source cannot be found, or the record cannot be written.
        """
        made_from = self._source(source)  # read before the block, which may take long
        yield
        line = self._line(made_from, target)
        self._lines[self._name(target)] = line
        with self._path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            cut = size > 0 and file.read(1) != b"\n"  # as after a full disk
            file.write((("\n" if cut else "") + json.dumps(line, sort_keys=True) + "\n").encode())

    def _name(self, target: Path) -> str:
        return target.relative_to(self._path.parent).as_posix()

    def _source(self, source: Path) -> dict[str, Any]:
        found = source.stat()
        name = str(source.resolve())
        return {"source": name, "source_bytes": found.st_size, "source_changed_ns": found.st_mtime_ns}

    def _line(self, source: dict[str, Any], target: Path) -> dict[str, Any]:
        quality = self._making.quality if target.suffix.lower() in _OF_QUALITY else None
        own = {"result": self._name(target), "bytes": target.stat().st_size}
        size = {"size": self._making.size} if self._making.size else {}  # lines of earlier versions have none
        return own | source | size | {"model": self._making.model, "quality": quality}
