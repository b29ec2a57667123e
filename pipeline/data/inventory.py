"""`python -m pipeline data list`: the image sets that are here, whole or in part, and their broken files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFile

from lutra.imaging.decoding import open_image
from lutra.imaging.folders import Entry, find_images
from lutra.imaging.images import read_image
from lutra.terminal import TextTable
from pipeline.data.catalogue import DATA, Downloaded, Packaged, catalogue


@dataclass(frozen=True)
class Listed:
    """A set of the catalogue, or another folder of images, and what was found of it."""

    name: str
    kind: str
    """packaged, downloaded, synthetic, or folder for one that is not in the catalogue."""
    images: int
    """Images found, or pairs of them."""
    expected: int | None
    """None where the catalogue gives no number."""
    bytes: int
    licence: str
    problems: tuple[str, ...] = ()
    """A line for each broken file and each missing pair: what was found, what was expected."""


def count(folder: Path, pairs: bool = False) -> int:
    """Return the number of images, or of pairs of images, in a folder; 0 without a folder."""
    try:
        entries = find_images(folder)
    except (ValueError, OSError):
        return 0
    return _count(entries, pairs)


def _count(entries: list[Entry], pairs: bool) -> int:
    return sum(entry.input is not None for entry in entries) if pairs else len(entries)


def listing(folder: Path = DATA, *, decode: bool = True) -> list[Listed]:
    """Return all sets of the catalogue in its order, then all other folders by name.

    Args:
        folder: the folder that holds the fetched sets.
        decode: whether to decode every image to find broken ones; large sets take minutes.
    """
    rows: list[Listed] = []
    for name, entry in catalogue().items():
        if isinstance(entry, Packaged):
            rows.append(_packaged(name, entry))
        elif isinstance(entry, Downloaded):
            rows.append(_in_folder(folder / name, entry, decode))
        else:
            rows.append(Listed(name, "synthetic", 0, None, 0, entry.licence))
    known = {row.name for row in rows}
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    others = [path for path in inside if path.is_dir() and not path.name.startswith(".") and path.name not in known]
    return rows + [_in_folder(path, None, decode) for path in others]


def listing_table(rows: list[Listed]) -> TextTable:
    """Return the listing as a table for a terminal; the problems are shown separately."""
    shown = TextTable(box=None, pad_edge=False)
    for column in ("set", "kind"):
        shown.add_column(column)
    for column in ("images", "MB"):
        shown.add_column(column, justify="right")
    shown.add_column("state")
    shown.add_column("licence", overflow="fold")
    for row in rows:
        images = str(row.images) if row.expected in (None, row.images) else f"{row.images} of {row.expected}"
        size = f"{row.bytes / 1e6:.1f}" if row.bytes else ""
        shown.add_row(row.name, row.kind, images if row.kind != "synthetic" else "", size, _state(row), row.licence)
    return shown


def _state(row: Listed) -> str:
    if row.problems:
        return f"{len(row.problems)} problem{'s' if len(row.problems) > 1 else ''}"
    if row.kind == "synthetic":
        return "computed"
    if not row.images:
        return "not here"
    return "here" if row.expected in (None, row.images) else "a part"


def _packaged(name: str, entry: Packaged) -> Listed:
    """List the files of an installed package; their bytes are checked whenever they are read."""
    try:
        home = Path(str(entry.distribution().locate_file(entry.folder)))
        paths = [home / file.name for file in entry.files]
        missing = (path for path in paths if not path.is_file())
        problems = [f"{path}: found no such file, expected it of {entry.requirement}" for path in missing]
    except ValueError as error:
        paths, problems = [], [str(error)]
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return Listed(name, "packaged", len(sizes), len(entry.files), sum(sizes), entry.licence, tuple(problems))


def _in_folder(folder: Path, entry: Downloaded | None, decode: bool) -> Listed:
    kind, expected, licence = ("downloaded", entry.count, entry.licence) if entry else ("folder", None, "the user's")
    if not folder.is_dir():
        return Listed(folder.name, kind, 0, expected, 0, licence)
    try:
        entries = find_images(folder)
    except ValueError as error:
        return Listed(folder.name, kind, 0, expected, 0, licence, (str(error),))
    paths = [path for item in entries for path in (item.target, item.input) if path is not None]
    problems = [line for path in paths if decode and (line := _broken(path))]
    pairs = bool(entry and entry.pairs)
    if pairs or any(item.input for item in entries):
        problems += _unpaired(folder)
    size = sum(path.stat().st_size for path in paths)
    return Listed(folder.name, kind, _count(entries, pairs), expected, size, licence, tuple(problems))


def _broken(path: Path) -> str | None:
    try:
        open_image(path, _verify, "expected an intact image")
        read_image(path)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def _verify(image: ImageFile.ImageFile) -> None:
    image.verify()  # checksums, which decoding does not all look at


def _unpaired(folder: Path) -> list[str]:
    try:
        find_images(folder, pairs=True)
    except ValueError as error:
        return [str(error)]
    return []
