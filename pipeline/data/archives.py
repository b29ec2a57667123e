"""Extract zip, tar and Debian archives safely: nothing outside the folder, no links, no bombs, whole or not at all."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, TypeVar

from lutra.files import naming, whole_folder

T = TypeVar("T")

_BLOCK = 1 << 20
_LONGEST_NAME = 200  # characters of a name that an error shows
_MOST_HEADER = 1 << 16  # bytes of a tar member's long name or of its pax attributes
_LONG_HEADERS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, b"x", b"g", b"X")
_MAGIC = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "tar", b"BZh": "tar", b"\xfd7zXZ\x00": "tar"}
_MAGIC |= {b"!<arch>\n": "deb"}
_AR_HEADER = 60  # bytes before each member of an ar archive, which a Debian package is
# Errors of the readers on damaged archives; gzip and bz2 raise OSError.
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, struct.error, OSError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, LookupError),
)


@dataclass(frozen=True)
class Limits:
    """The most that an archive may hold; the largest published set has about 10,000 images in 20 GB."""

    members: int = 200_000
    bytes: int = 200 << 30
    """Size of all members, unpacked."""
    ratio: int = 100
    """Ratio of the unpacked size to the archive's; compression hardly shrinks images."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str  # "file", "folder", or what it is instead
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Return whether the file begins like a zip or a tar archive or a Debian package."""
    return _format(path) is not None


def extract(
    archive: Path, folder: Path, *, wanted: Callable[[str], bool] = lambda name: True, limits: Limits | None = None
) -> list[Path]:
    """Unpack an archive into a new folder, which appears whole or not at all.

    Args:
        archive: zip or tar, also compressed by gzip, bzip2 or xz; or a Debian package that holds such a tar.
        folder: does not exist yet.
        wanted: returns whether to unpack the member of a name with `/`; links and devices among the others are ignored.
        limits: `Limits()` by default.

    Returns:
        The files that it wrote.

    Raises:
        ValueError: the file is not an archive, is damaged or cut short, or exceeds the limits; or a member would lie
            outside the folder, is a link or device, or has the name of another one. Names the archive and the member.
        OSError: a file cannot be written.
    """
    if folder.exists():
        raise ValueError(f"{folder}: found something there, expected a new name to unpack {archive.name} to")
    with whole_folder(folder) as temporary:
        names = _unpack(archive, temporary, wanted, limits or Limits())
    return [folder / name for name in names]


def _unpack(archive: Path, folder: Path, wanted: Callable[[str], bool], limits: Limits) -> list[str]:
    written: list[str] = []
    seen: set[str] = set()
    most = min(limits.bytes, limits.ratio * max(archive.stat().st_size, _BLOCK))
    total = 0
    for count, member in enumerate(_members(archive, limits.members), 1):
        total += member.size
        if count > limits.members:
            raise ValueError(f"{archive}: found more than {limits.members} members, expected at most {limits.members}")
        if total > most:
            raise ValueError(
                f"{archive}: {_cut(member.name)}: found more than {most} bytes to unpack, expected at most that"
            )
        name = _safe_name(archive, member.name)
        if member.kind == "folder" or not wanted(name):
            continue
        if member.kind != "file":
            raise ValueError(f"{archive}: {_cut(member.name)}: found {member.kind}, expected files and folders only")
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise ValueError(f"{archive}: {_cut(member.name)}: found the name twice but for its case, expected it once")
        seen.add(key)
        _write(archive, member, folder / name)
        written.append(name)
    return written


def _write(archive: Path, member: _Member, path: Path) -> None:
    """Copy a member's bytes; a member with more bytes than its header states is damaged."""
    where = f"{archive}: {_cut(member.name)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"{where}: found a file and a folder of one name, expected one of them") from None
    with naming(path), file, _reading(where, member.open) as source:
        left = member.size
        while block := _reading(where, lambda: source.read(_BLOCK)):
            left -= len(block)
            if left < 0:
                break
            file.write(block)
    if left:
        found = "fewer" if left > 0 else "more"
        raise ValueError(f"{where}: found {found} bytes than its header states, expected {member.size}")


def _safe_name(archive: Path, name: str) -> str:
    """Return the name without `.` and doubled slashes, if it stays inside the folder on every system."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    elsewhere = name.startswith("/") or ".." in parts or "\\" in name or re.match("[A-Za-z]:", name)
    if elsewhere or not name or any(ord(letter) < 32 for letter in name):
        raise ValueError(
            f"{archive}: {_cut(name)!r}: found a path that may lead elsewhere, expected one inside the archive"
        )
    return "/".join(parts) or "."


def _members(archive: Path, most: int) -> Iterator[_Member]:
    form = _format(archive)
    if form is None:
        raise ValueError(f"{archive}: found no zip or tar archive, nor a Debian package, expected one")
    if form == "zip" and _reading(str(archive), lambda: _count(archive)) > most:  # before anything is unpacked
        raise ValueError(f"{archive}: found more than {most} members, expected at most {most}")
    members = _zip_members(archive) if form == "zip" else _tar_members(archive, form == "deb")
    where = str(archive)
    while (member := _reading(where, lambda: next(members, None))) is not None:
        where = f"{archive}: after {_cut(member.name)}"
        yield member


def _count(archive: Path) -> int:
    with zipfile.ZipFile(archive) as file:
        return len(file.infolist())


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "folder" if info.is_dir() else "file"
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a link" if mode == stat.S_IFLNK else "a device"
            elif info.flag_bits & 1:
                kind = "an encrypted file"
            # The original name, because `filename` has slashes in place of backslashes
            yield _Member(info.orig_filename, info.file_size, kind, lambda info=info: file.open(info))  # type: ignore[misc]


class _Info(tarfile.TarInfo):
    """A member's header; one that announces a longer name or more attributes than any file has is refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Info:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _LONG_HEADERS and info.size > _MOST_HEADER:
            raise ValueError(f"a header of {info.size} bytes, expected at most {_MOST_HEADER}")
        return info


def _tar_members(archive: Path, packaged: bool) -> Iterator[_Member]:
    with (
        archive.open("rb") as whole,
        tarfile.open(fileobj=_data_of(whole) if packaged else whole, tarinfo=_Info) as file,
    ):
        for info in file:
            kind = "folder" if info.isdir() else "file"
            if not (info.isdir() or info.isreg()):
                kind = "a link" if info.issym() or info.islnk() else "a device"
            yield _Member(info.name, info.size, kind, lambda info=info: _tar_source(file, info))  # type: ignore[misc]


class _Part(io.RawIOBase):
    """Some bytes of an open file, as a file of their own."""

    def __init__(self, whole: IO[bytes], size: int) -> None:
        self._whole, self._start, self._size, self._place = whole, whole.tell(), size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        self._whole.seek(self._start + self._place)
        content = self._whole.read(max(0, min(len(buffer), self._size - self._place)))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def _data_of(package: IO[bytes]) -> IO[bytes]:
    """Return the tar archive of a Debian package that holds its files; ValueError if there is none."""
    package.seek(len(b"!<arch>\n"))
    while len(header := package.read(_AR_HEADER)) == _AR_HEADER:
        digits = header[48:58].rstrip()
        if not digits.isdigit():
            break
        size = int(digits)
        if header.startswith(b"data.tar"):
            return io.BufferedReader(_Part(package, size))
        package.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError("no data.tar in a Debian package")


def _tar_source(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    if hasattr(tarfile, "data_filter"):  # Python 3.11.4; after the checks above it refuses nothing more
        tarfile.data_filter(info, os.curdir)
    source = file.extractfile(info)
    assert source is not None
    return source


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _reading(where: str, action: Callable[[], T]) -> T:
    try:
        return action()
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{where}: found damage ({reason}), expected a whole archive") from None


def _format(path: Path) -> str | None:
    with suppress(OSError), path.open("rb") as file:
        start = file.read(512)
        for magic, form in _MAGIC.items():
            if start.startswith(magic):
                return form
        return "tar" if start[257:262] == b"ustar" else None
    return None
