"""What a training tells its user: a bar on a terminal, lines in a log, and how long it will take."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.checkpoint import Checkpoint

LEAST_STEPS = 5  # the first steps load and compile what later ones find ready
LEAST_SECONDS = 5.0


class Pace:
    """How long the rest of a training will take, by the steps so far; validations among them count."""

    def __init__(self, done: int, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`done`: steps that were made before, of `steps` in all."""
        self.steps = steps
        self._clock = clock
        self._begin, self._first = clock(), done
        self._estimated = False

    def started(self, done: int) -> None:
        """The first step is made: the clock starts here, for it took longer than others will."""
        self._begin, self._first = self._clock(), done

    def left(self, done: int) -> float | None:
        """Seconds until the end when `done` steps are made; None while nothing is known."""
        made = done - self._first
        return (self._clock() - self._begin) / made * (self.steps - done) if made > 0 else None

    def first_estimate(self, done: int) -> str | None:
        """Once, as soon as the speed is known, a line with the time left; None before and afterwards."""
        seconds = self.left(done)
        if self._estimated or seconds is None or done >= self.steps:
            return None
        if done - self._first < LEAST_STEPS and self._clock() - self._begin < LEAST_SECONDS:
            return None
        self._estimated = True
        return f"about {duration(seconds)} left for {self.steps - done} steps"


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def bar(steps: int, point: Checkpoint, shown: bool) -> Iterator[Callable[[Checkpoint, float], None]]:
    """A bar with the loss, the validation score and the time left; nothing where stderr is a file."""
    columns = [
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.2e}  val {task.fields[score]:.3f} dB (best {task.fields[best]:.3f})"),
        TimeRemainingColumn(),
    ]
    shown = shown and sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task: TaskID = progress.add_task(
            "", total=steps, completed=point.step, loss=math.nan, score=math.nan, best=point.best
        )

        def update(now: Checkpoint, loss: float) -> None:
            score = now.history[-1]["val_psnr"]
            progress.update(task, completed=now.step, loss=loss, score=score, best=now.best)

        yield update
