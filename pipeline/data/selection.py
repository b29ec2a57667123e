"""Choose the images below a folder that make up a set of the catalogue, and lay them out in data/NAME."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath, PurePosixPath

from lutra.imaging.decoding import SUFFIXES
from lutra.imaging.folders import Entry, find_images, image_size
from pipeline.data.catalogue import Downloaded


def select(entry: Downloaded, root: Path, shown: str) -> list[Entry]:
    """Return the images below a folder that make up the set: those that its patterns name, or all in a known layout.

    Args:
        entry: the set.
        root: the folder.
        shown: the folder's name in errors.

    Raises:
        ValueError: there are none, one cannot be read, or one of a pair is missing; names the file.
    """
    try:
        below = (path for path in sorted(root.rglob("*")) if is_image(path.relative_to(root)))
        # absolute, because the user may give the folder that a pattern begins with
        paths = [path for path in below if is_of(path.absolute(), entry)] if entry.images else []
        if entry.pairs or not paths:
            found, named = find_images(root, pairs=entry.pairs), set(paths)
            entries = [item for item in found if item.target in named] or found
        else:
            unique = max(Counter(path.name for path in paths).values()) == 1
            above = os.path.commonpath([path.parent for path in paths])
            names = [path.name if unique else path.relative_to(above).as_posix() for path in paths]
            entries = [Entry(name, path, None) for name, path in zip(names, paths, strict=True)]
        for item in entries:
            image_size(item.target)
        return entries
    except ValueError as error:  # of an unpacked archive, which is about to vanish
        raise ValueError(str(error).replace(str(root), shown)) from None


def is_image(path: PurePath | str) -> bool:
    """Return whether a relative path names an image file that is not hidden."""
    path = PurePosixPath(path)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def is_of(path: PurePath | str, entry: Downloaded) -> bool:
    """Return whether the patterns of the set name a path; a set without patterns takes every path."""
    return not entry.images or any(PurePosixPath(path).match(pattern) for pattern in entry.images)


def lay_out(entries: Sequence[Entry], folder: Path, pairs: bool, put: Callable[[Path, Path], object]) -> None:
    """Lay out images flat in a folder, or pairs in its `input/` and `target/`.

    Args:
        entries: the images; folders in their names become part of the file names.
        folder: need not exist.
        pairs: whether to lay out pairs.
        put: copies or moves one file to a path.

    Raises:
        ValueError: two images would have one name.
    """
    for item in entries:
        name = item.name.replace("/", "_")
        wanted = [(item.target, folder / "target" / name if pairs else folder / name)]
        if pairs and item.input:
            wanted.append((item.input, folder / "input" / f"{PurePath(name).stem}{item.input.suffix}"))
        for source, path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise ValueError(f"{source}: found a second image called {name}, expected different names")
            put(source, path)
