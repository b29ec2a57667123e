"""A lock that processes wait for, and tell that they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(lock: Path, on_wait: Callable[[], object]) -> Iterator[None]:
    """Run the block while no other process holds the lock, which is the kernel's and ends with its process.

    Args:
        lock: its file.
        on_wait: called before this process waits for another one.
    """
    held = FileLock(lock)
    with suppress(Timeout):
        held.acquire(timeout=0)
    if not held.is_locked:
        on_wait()
        held.acquire()
    try:
        yield
    finally:
        held.release()
