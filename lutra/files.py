"""Files appear whole: written to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import glob
import os
import secrets
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

Action = Callable[[], object]

_NAME_BYTES = 200
"""How much of a name a temporary name repeats: file systems hold 255 bytes, and some ends are added."""

_waiting: ContextVar[list[tuple[Action, Action]] | None] = ContextVar("waiting", default=None)


def temporary_name(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`, which no thread, process or machine uses.

    It begins as `path` does, so that `leftovers` finds it, and says which process on which machine chose it.
    """
    return path.with_name(f"{_beginning(path)}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def leftovers(path: Path) -> Iterator[Path]:
    """Yield the temporary files and folders of `path` that exist, whoever made them."""
    return path.parent.glob(glob.escape(_beginning(path)) + "*.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` that ended processes of this machine left behind."""
    for left in leftovers(path):
        machine, _, rest = left.name.removeprefix(_beginning(path)).partition("-")
        number = rest.partition("-")[0]
        if machine == _machine() and number.isdecimal() and not _is_running(int(number)) and left.is_file():
            left.unlink(missing_ok=True)


def write_whole(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write to `path`, whole or not at all; make the folder when it is missing.

    The content is on the disk before it gets its name, so that neither a full disk nor a power cut leaves a part of it.

    Args:
        path: where the file appears, replacing what was there.
        write: the content, or a function that writes it to the open file.

    Raises:
        OSError: it cannot be written, such as to a full disk; names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        with (
            placing(lambda: os.replace(temporary, path), lambda: temporary.unlink(missing_ok=True)),
            temporary.open("wb") as file,
        ):
            if callable(write):
                write(file)
            else:
                file.write(write.encode() if isinstance(write, str) else write)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):  # an open file knows no name
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


@contextmanager
def all_at_once() -> Iterator[None]:
    """What this thread writes whole within the block appears at its end, all of it; nothing where the block raises."""
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
    """What the block writes under a temporary name comes to its place: now, or at the end of `all_at_once` around it.

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


def _beginning(path: Path) -> str:
    name = path.name
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return f".{name}."


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_running(process: int) -> bool:
    with suppress(PermissionError):  # it runs, and is somebody else's
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
