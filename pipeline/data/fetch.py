"""`python -m pipeline fetch`: bring an image set to data/NAME as plain files, by download or from the user's copy."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from lutra.files import leftovers, whole_folder, write_whole
from pipeline.data.archives import extract, is_archive
from pipeline.data.catalogue import DATA, Download, Downloaded, Packaged, catalogue
from pipeline.data.download import Patience, download
from pipeline.data.inventory import count
from pipeline.data.locking import locked
from pipeline.data.selection import is_image, is_of, lay_out, select
from pipeline.params import reading

MARK = ".fetched.json"
"""File in a folder that fetch made and may therefore replace; it tells where the images came from."""
_UNPACKED = ".unpacked"  # folder for what archives hold, until the images are in their places
Say = Callable[[str], None]


class _NoRoom(OSError):
    """The disk has too little room."""


def fetch(
    name: str, origin: Path | None = None, *, folder: Path = DATA, say: Say, patience: Patience | None = None
) -> Path:
    """Bring a set of the catalogue to folder/NAME, which appears whole; a call resumes an interrupted download.

    The images lie flat in it, their bytes unchanged, and pairs in `input/` and `target/`. A folder that holds the whole
    set is left as it is.

    Args:
        name: the set's name in the catalogue.
        origin: the user's copy, a folder or an archive in a layout that `find_images` knows; only read.
        folder: the folder that holds the sets.
        say: shows the user a line.
        patience: limits on waiting for servers, `Patience()` by default.

    Raises:
        ValueError: there is no such set, it needs no fetching, or it has no address; the origin or the download is not
            the set; folder/NAME is the user's own and not the whole set.
        OSError: a file or an address cannot be read or written, or the disk has too little room.
    """
    entry, target, downloads = _entry(name), folder / name, folder / ".downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    with _alone(downloads / f"{name}.lock", say):
        for left in leftovers(target):  # of a call that was interrupted
            shutil.rmtree(left)
        found = count(target, entry.pairs)
        if found == entry.count:
            say(f"{name}: nothing to do, its {found} images are in {target}")
            return target
        if target.exists() and not (target / MARK).is_file():
            wanted = f"the {entry.count} of {name}, or nothing there"
            raise ValueError(f"{target}: found {found} images that fetch did not bring, expected {wanted}")
        if origin is None and not entry.downloads:
            raise ValueError(f"{name}: found no address to download it from: {entry.note} (--from), see {entry.home}")
        _tell_terms(downloads / f"{name}.terms", name, entry, say)
        with whole_folder(target) as images:
            if origin is None:
                _bring_downloads(name, entry, images, folder, say, patience)
            else:
                _bring_copy(name, entry, images, origin, say)
            shutil.rmtree(images / _UNPACKED, ignore_errors=True)
        say(f"{name}: {count(target, entry.pairs)} images in {target}")
        if origin is None:
            _forget_archives(name, entry, folder, say)
    return target


def _entry(name: str) -> Downloaded:
    sets = catalogue()
    entry = sets.get(name)
    if entry is None:
        alike = [known for known in sets if known.casefold() == name.casefold()]  # no near miss for difflib
        expected = f"{alike[0]!r}" if alike else reading.one_of(name, list(sets))
        raise ValueError(f"image set {name!r}: found no such set in data/catalogue.yaml, expected {expected}")
    if isinstance(entry, Packaged):
        raise ValueError(f"{name}: needs no download, its images are in the package {entry.package}")
    if not isinstance(entry, Downloaded):
        raise ValueError(f"{name}: needs no download, its images are computed")
    return entry


def _tell_terms(told: Path, name: str, entry: Downloaded, say: Say) -> None:
    """Tell the user the licence and the use, once for each set."""
    if not told.exists():
        say(f"{name}: {entry.title}, {entry.home}")
        say(f"licence: {entry.licence}")
        say(f"use: {entry.use}")
        told.touch()


def _bring_downloads(
    name: str, entry: Downloaded, images: Path, folder: Path, say: Say, patience: Patience | None
) -> None:
    unpacked, where = images / _UNPACKED, ", ".join(source.url for source in entry.downloads)
    try:
        for number, source in enumerate(entry.downloads):
            archive = _archive(folder, source)
            with _alone(archive.with_name(f"{archive.name}.lock"), say):
                _download(source, archive, folder, say, patience)
                extract(archive, unpacked / str(number), wanted=lambda path: is_image(path) and is_of(path, entry))
        entries = select(entry, unpacked, where)
        if len(entries) != entry.count:
            raise ValueError(f"{where}: found {len(entries)} images of {name}, expected {entry.count}")
        lay_out(entries, images, entry.pairs, os.replace)
    except ValueError:
        for source in entry.downloads:  # without a checksum, the download may be at fault
            if source.checksum is None:
                _archive(folder, source).unlink(missing_ok=True)
        raise
    _mark(images, where)


def _download(source: Download, archive: Path, folder: Path, say: Say, patience: Patience | None) -> None:
    def room(left: int, size: int) -> None:
        _check_room(folder, left + size)  # the rest of the archive, and about as much unpacked

    have = max((path.stat().st_size for path in archive.parent.glob(f"{archive.name}*")), default=0)
    if source.bytes:
        room(max(0, source.bytes - have), source.bytes)
    try:
        say(f"downloading {source.url}" if not have else f"resuming {source.url}, of which {_size(have)} are here")
        download(source.url, archive, source.checksum, room=room, patience=patience)
    except _NoRoom:
        raise
    except OSError as error:
        raise OSError(f"{error}; --from takes a copy that you have") from None


def _bring_copy(name: str, entry: Downloaded, images: Path, origin: Path, say: Say) -> None:
    if not origin.exists():
        raise FileNotFoundError(f"{origin}: no such file or folder, expected a folder or an archive of {name}")
    if origin.is_dir():
        entries = select(entry, origin, str(origin))
        files = [path for item in entries for path in (item.target, item.input) if path]
        _check_room(images.parent, sum(path.stat().st_size for path in files))
        lay_out(entries, images, entry.pairs, shutil.copyfile)
    elif is_archive(origin):
        _check_room(images.parent, origin.stat().st_size)
        extract(origin, images / _UNPACKED, wanted=is_image)
        entries = select(entry, images / _UNPACKED, str(origin))
        lay_out(entries, images, entry.pairs, os.replace)
    else:
        found = "found neither a folder nor a zip or tar archive nor a Debian package"
        raise ValueError(f"{origin}: {found}, expected one that holds {name}")
    if len(entries) != entry.count:
        say(f"{name}: found {len(entries)} images in {origin}, expected {entry.count}: taken as they are")
    _mark(images, str(origin.absolute()))


def _mark(images: Path, origin: str) -> None:
    write_whole(images / MARK, json.dumps({"from": origin}, indent=1) + "\n")


def _archive(folder: Path, source: Download) -> Path:
    """Return the file of a download; files of one name from two addresses stay apart."""
    name = PurePosixPath(urlsplit(source.url).path).name
    return folder / ".downloads" / f"{hashlib.sha256(source.url.encode()).hexdigest()[:8]}-{name}"


def _forget_archives(name: str, entry: Downloaded, folder: Path, say: Say) -> None:
    """Remove the unpacked archives, except those that hold another set of the catalogue."""
    for source in entry.downloads:
        sharing = [
            other
            for other, item in catalogue().items()
            if other != name and isinstance(item, Downloaded) and source in item.downloads
        ]
        missing = [other for other in sharing if not (folder / other).exists()]
        archive = _archive(folder, source)
        if not archive.exists():
            continue
        size = _size(archive.stat().st_size)
        if missing:
            say(f"kept {archive} ({size}), which also holds {', '.join(missing)}: delete it if you want none of them")
        else:
            archive.unlink()
            say(f"removed {archive} ({size})")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise _NoRoom(f"{folder}: found {_size(free)} of room on the disk, expected {_size(needed)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _alone(lock: Path, say: Say) -> AbstractContextManager[None]:
    return locked(lock, lambda: say(f"waiting for another fetch, which holds {lock}"))
