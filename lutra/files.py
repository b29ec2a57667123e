"""Files and folders appear whole: they are written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

Action = Callable[[], object]

_NAME_BYTES = 255
"""The longest name of a file, if the file system does not tell."""
_END_BYTES = 50
"""Bytes that a temporary name needs besides the beginning of the file's own name."""

_waiting: ContextVar[list[tuple[Action, Action]] | None] = ContextVar("waiting", default=None)
_TEMPORARY = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]{1,10})-[0-9a-f]{8}\.tmp", re.DOTALL)


def temporary_name(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`, which no thread, process or machine uses.

    It begins like `path`, so that `leftovers` finds it, and tells which process on which machine chose it.
    """
    return path.with_name(f"{_beginning(path)}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def leftovers(path: Path) -> Iterator[Path]:
    """Yield the temporary files and folders of `path` that exist, whoever made them."""
    return path.parent.glob(glob.escape(_beginning(path)) + "*.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a folder that ended processes of this machine left behind."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            made = _TEMPORARY.fullmatch(entry.name)
            if made and made["machine"] == _machine() and not _is_running(int(made["process"])):
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        os.unlink(entry.path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; the file is not held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write to `path`, whole or not at all; make the folder when it is missing.

    The content is on the disk before it gets its name, so that neither a full disk nor a power cut leaves a part of it.
    The first write into a folder removes what ended processes of this machine left there.

    Args:
        path: where the file appears; it replaces what was there.
        write: the content, or a function that writes it to the open file.

    Raises:
        OSError: it cannot be written, such as to a full disk; names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers_once(path.parent)  # looking through a folder for each of its files would take long
    temporary = temporary_name(path)
    with (
        naming(path, temporary),
        placing(lambda: os.replace(temporary, path), lambda: temporary.unlink(missing_ok=True)),
        temporary.open("xb") as file,
    ):
        if callable(write):
            write(file)
        else:
            file.write(write.encode() if isinstance(write, str) else write)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Make a folder to fill, which takes the place of `path` at the end of the block, or of `all_at_once` around it.

    Its files are on the disk before it gets its name. When the block raises, `path` stays as it was.
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


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Make an OSError of the block name `path` where it names no file, or names the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):  # an open file knows no name
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


@contextmanager
def all_at_once() -> Iterator[None]:
    """Let everything that this thread writes whole in the block appear at its end, or nothing if the block raises."""
    waiting: list[tuple[Action, Action]] = []
    token = _waiting.set(waiting)
    try:
        yield
        for place, _ in waiting:
            place()
    finally:
        _waiting.reset(token)
        for _, discard in waiting:
            discard()


@contextmanager
def placing(place: Action, discard: Action) -> Iterator[None]:
    """Move what the block wrote under a temporary name to its place: now, or at the end of `all_at_once` around it.

    Args:
        place: renames it.
        discard: removes what is left under the temporary name, if anything; also when the block raises.
    """
    with ExitStack() as stack:
        stack.callback(discard)
        yield
        waiting = _waiting.get()
        if waiting is None:
            place()
        else:
            waiting.append((place, stack.pop_all().close))


def _to_disk(folder: Path) -> None:
    """Wait until the files are on the disk, so that one that is full is noticed before the folder gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _beginning(path: Path) -> str:
    try:
        most = min(os.pathconf(path.parent, "PC_NAME_MAX"), _NAME_BYTES)
    except (AttributeError, OSError, ValueError):  # no such function on Windows; no such folder yet
        most = _NAME_BYTES
    name = path.name
    while len(os.fsencode(name)) > most - _END_BYTES:
        name = name[:-1]
    return f".{name}."


@lru_cache(1024)
def _remove_leftovers_once(folder: Path) -> None:
    remove_leftovers(folder)


@cache
def _machine() -> str:
    """Return a name of this machine, or of this container of it, which numbers its processes on its own."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not on Linux
        space = 0
    return f"{zlib.crc32(f'{socket.gethostname()} {space}'.encode()):08x}"


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere the question might end the process
        return True
    with suppress(PermissionError):  # it runs, and belongs to somebody else
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
