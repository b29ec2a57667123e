"""Reading, working and writing at the same time, with few items in between."""

import threading
import time
from collections.abc import Iterator

import pytest

from lutra.video.overlap import AHEAD, overlapped


def test_all_items_come_through_in_order() -> None:
    written: list[int] = []
    assert list(overlapped(range(50), lambda item: item * item, written.append)) == list(range(50))
    assert written == [item * item for item in range(50)]


def test_nothing_in_nothing_out() -> None:
    assert list(overlapped([], str, print)) == []


def test_few_items_are_held_at_a_time() -> None:
    held, most, lock = 0, 0, threading.Lock()

    def items() -> Iterator[int]:
        nonlocal held, most
        for item in range(100):
            with lock:
                held += 1
                most = max(most, held)
            yield item

    def write(_: int) -> None:
        nonlocal held
        time.sleep(0.001)
        with lock:
            held -= 1

    for _ in overlapped(items(), lambda item: item, write):
        pass
    assert held == 0 and AHEAD < most <= 2 * AHEAD + 3  # each of the three has one in hand


def test_reading_working_and_writing_overlap() -> None:
    """Each of the three waits for the others to reach the same moment, which none does alone."""
    meeting = threading.Barrier(3, timeout=30)

    def items() -> Iterator[int]:
        for item in range(20):
            if item == 7:
                meeting.wait()
            yield item

    def work(item: int) -> int:
        if item == 5:
            meeting.wait()
        return item

    def write(item: int) -> None:
        if item == 2:
            meeting.wait()

    assert len(list(overlapped(items(), work, write))) == 20


def broken(where: str) -> Iterator[int]:
    def items() -> Iterator[int]:
        yield from range(5)
        if where == "read":
            raise OSError("read")
        yield from range(100)

    def work(item: int) -> int:
        if where == "work" and item == 4:
            raise OSError("work")
        return item

    def write(item: int) -> None:
        if where == "write" and item == 4:
            raise OSError("write")

    return overlapped(items(), work, write)


@pytest.mark.parametrize("where", ["read", "work", "write"])
def test_an_error_of_any_ends_all(where: str) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match=where):
        list(broken(where))
    assert threading.active_count() == before


def test_an_error_does_not_wait_for_a_blocked_reader() -> None:
    blocked = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        blocked.wait(60)

    def work(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(overlapped(items(), work, print, wait=False))
    assert not blocked.is_set()
    blocked.set()
