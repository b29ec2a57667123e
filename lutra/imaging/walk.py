"""Find every image below a folder: follow links, visit each folder once, and report what is left out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lutra.imaging.decoding import SUFFIXES

UNREAD = (
    *(".jfif", ".jpe", ".gif", ".pbm", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".tga", ".exr"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw"),
)
"""Suffixes of images that are not read."""
_MOST_NAMED = 5

Identity = tuple[int, int]
"""Device and inode of a file or folder."""


@dataclass
class Walk:
    """The content of a folder and its subfolders.

    images: its image files, sorted; left_out: other images, links and folders, with the reason for each.
    """

    images: list[Path] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)


def identity(path: Path) -> Identity | None:
    """Return which file or folder a path leads to, under whichever name; None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def walk(folder: Path, skip: Callable[[Path], bool] = lambda path: False) -> Walk:
    """Find the images of a folder and its subfolders; hidden files and folders are silently left out.

    A linked subfolder is entered unless it leads to a folder that was seen already or that holds `folder`.

    Args:
        folder: where to look.
        skip: returns whether not to enter a subfolder.
    """
    found = Walk()
    seen: dict[Identity | None, Path] = {identity(place): place for place in (folder, *folder.resolve().parents)}
    waiting = [folder]
    linked: list[Path] = []  # visited last, so that a folder keeps its own name if a link leads to it too
    while waiting or linked:
        place = waiting.pop() if waiting else linked.pop(0)
        if place != folder:
            key = identity(place)
            if key in seen:
                found.left_out.append((place, f"leads to {seen[key]}"))
                continue
            seen[key] = place
        try:
            inside = sorted(place.iterdir())
        except OSError as error:
            found.left_out.append((place, error.strerror or "unreadable folder"))
            continue
        for path in inside:
            if path.name.startswith("."):
                continue
            if not path.is_dir():
                _sort_in(path, found)
            elif not skip(path):
                (linked if path.is_symlink() else waiting).append(path)
    found.images.sort()
    return found


def _sort_in(path: Path, found: Walk) -> None:
    """Add a file that is no folder to the images or to what is left out, if it belongs to either."""
    if why := _why_not(path):
        found.left_out.append((path, why))
    elif path.suffix.lower() in SUFFIXES:
        found.images.append(path)


def left_out_of(folder: Path) -> list[tuple[Path, str]]:
    """Return what an image set of the files directly in `folder` leaves out, with the reason for each."""
    found = walk(folder)
    inside = [path for path in found.images if path.parent != folder]
    return found.left_out + [(path, "in a subfolder") for path in inside]


def say_left_out(folder: Path, left_out: Sequence[tuple[Path, str]]) -> None:
    """Warn of what was left out, if anything: how many files, the first of them, and why."""
    if left_out:
        warnings.warn(f"{folder}: {summary(folder, left_out)}", stacklevel=3)


def summary(folder: Path, left_out: Sequence[tuple[Path, str]]) -> str:
    """Return how many files were left out, the first of them, and why."""
    shown = [f"{_relative(path, folder)} ({why})" for path, why in sorted(left_out)[:_MOST_NAMED]]
    more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
    return f"left out {len(left_out)}: {', '.join(shown)}{more}"


def _relative(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _why_not(path: Path) -> str | None:
    """Return why a link or a file that looks like an image is not read; None if it is, or does not look like one."""
    suffix = path.suffix.lower()
    if path.is_symlink() and not path.exists():
        return "a link that leads nowhere"
    if suffix in UNREAD:
        return f"{suffix} is not read"
    if suffix in SUFFIXES and not path.is_file():
        return "no regular file"
    return None
