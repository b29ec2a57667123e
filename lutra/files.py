"""Files appear whole: written to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

Action = Callable[[], object]

_waiting: ContextVar[list[tuple[Action, Action]] | None] = ContextVar("waiting", default=None)


def write_whole(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write to `path`, whole or not at all; makes the folder when it is missing.

    Args:
        path: where the file appears, replacing what was there.
        write: the content, or a function that writes it to the open file.

    Raises:
        OSError: it cannot be written, such as to a full disk; names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with (
            placing(lambda: os.replace(temporary, path), lambda: temporary.unlink(missing_ok=True)),
            temporary.open("wb") as file,
        ):
            if callable(write):
                write(file)
            else:
                file.write(write.encode() if isinstance(write, str) else write)
    except OSError as error:
        if error.filename is None:  # of a write to an open file, which knows no name
            error.filename = str(path)
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
