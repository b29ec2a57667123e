"""Let reading, working and writing overlap: a thread each, with few items between them, so that memory stays flat."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

AHEAD = 4
"""The most items that are read before they are worked on, and that wait to be written."""

T = TypeVar("T")
U = TypeVar("U")

_Call = tuple["Future[object]", Callable[[], object]]


class _Hand:
    """A thread that makes calls one after the other. It does not keep the process from ending."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def give(self, call: Callable[[], object]) -> Future[object]:
        """Return what will hold the call's result."""
        future: Future[object] = Future()
        self._calls.put((future, call))
        return future

    def dismiss(self, waiting: Iterable[Future[object]], wait: bool) -> None:
        """Cancel the calls that have not begun; wait for the one that has, if asked to."""
        for future in waiting:
            future.cancel()
        self._calls.put(None)
        if wait:
            self._thread.join()

    def _work(self) -> None:
        while (given := self._calls.get()) is not None:
            future, call = given
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # the thread that asks for the result gets it
                    future.set_exception(error)


def overlapped(
    items: Iterable[T], work: Callable[[T], U], write: Callable[[U], object], *, wait: bool = True
) -> Iterator[T]:
    """Read items in one thread, work on them in this one, and write the results in another; all keep their order.

    An error of any of the three ends all of them and is raised here, as is Ctrl-C. What was read before an error of
    reading is written first.

    Args:
        items: what is read; at most `AHEAD` items ahead.
        work: makes a result of an item.
        write: writes a result; at most `AHEAD` wait.
        wait: whether to wait, after an error, for a call of the other threads that has begun. A pipe may block it
            for ever.

    Yields:
        Each item after the work on it; when the iterator ends, everything is written.
    """
    source, end = iter(items), object()

    def read() -> object:
        return next(source, end)

    reader, writer = _Hand(), _Hand()
    ahead = deque(reader.give(read) for _ in range(AHEAD))
    behind: deque[Future[object]] = deque()
    unreadable: Exception | None = None
    try:
        while True:
            try:
                item = ahead.popleft().result()
            except Exception as error:
                unreadable = error
                break
            if item is end:
                break
            ahead.append(reader.give(read))
            result = work(item)  # type: ignore[arg-type]  # `read` returns items and the end
            while len(behind) >= AHEAD or (behind and behind[0].done()):
                behind.popleft().result()
            behind.append(writer.give(partial(write, result)))
            yield item  # type: ignore[misc]
        while behind:
            behind.popleft().result()
        if unreadable:
            raise unreadable
    finally:
        reader.dismiss(ahead, wait)
        writer.dismiss(behind, wait)
