"""Requests to stop a training: Ctrl-C, a scheduler's SIGTERM, a launcher that has died."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME_REQUEST_SECONDS = 2.0


@contextmanager
def stop_requests(launched: bool = False) -> Iterator[Callable[[], bool]]:
    """Collect requests within the block; the value tells whether there was one. A second one ends the block at once.

    Signals in quick succession are one request: a scheduler signals every process of a job, and a launcher passes the
    signal on to processes that already got it. A process that was `launched` stops too when its launcher is gone; once
    it was asked to stop, it ignores further signals, which would interrupt its exit.
    """
    requested: list[float] = []
    launcher = os.getppid()

    def request(number: int, frame: FrameType | None) -> None:
        requested.append(time.monotonic())
        if requested[-1] - requested[0] > SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(requested) or (launched and os.getppid() != launcher)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if launched and requested else handler)
