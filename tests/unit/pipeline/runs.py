"""Waiting for what a running stage sends to MLflow, which a thread does while the stage works."""

import time

from pipeline.tracking import Run
from pipeline.tracking.run import Tracked

SECONDS = 120  # some where nothing else runs


def wait_until_sent(run: Run) -> None:
    """Wait until MLflow has everything that the stage has logged so far."""
    assert isinstance(run, Tracked)
    ends = time.monotonic() + SECONDS
    while run._record.todo:
        assert time.monotonic() < ends
        time.sleep(0.02)


def wait_until_failed(run: Run) -> None:
    """Wait until the stage has reported that MLflow does not answer."""
    assert isinstance(run, Tracked)
    ends = time.monotonic() + SECONDS
    while not run._reported:
        assert time.monotonic() < ends
        time.sleep(0.02)
