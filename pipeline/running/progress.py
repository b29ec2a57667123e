"""A training's progress: a bar on a terminal, and an estimate of the time that is left."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import mean, median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from lutra.training.checkpoint import Checkpoint

LEAST_STEPS = 5  # the first steps load and compile what later ones find ready
LEAST_SECONDS = 2.0
SLOW_SECONDS = 60.0  # after which fewer steps suffice
STEADY = 1.5  # the largest ratio of the typical times of steps
LATEST = 256  # steps that an estimate looks at


class Pace:
    """An estimate of how long the rest of a training will take, by the steps and the validations so far."""

    def __init__(
        self,
        done: int,
        steps: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        validate_every: int | None = None,
        validation: float | None = None,
    ) -> None:
        """Start to measure.

        Args:
            done: the steps that were made before, of `steps` in all.
            steps: the steps of the whole training.
            clock: returns seconds.
            validate_every: the steps between validations; None for a training without.
            validation: the seconds that a validation took before; None while that is not known.
        """
        self.steps, self.validate_every = steps, validate_every
        self._clock = clock
        self._begin, self._first = clock(), done
        self._validation = validation
        self._apart = 0.0  # seconds of validations since the clock started
        self._marks = deque([(0, 0.0)], LATEST + 1)  # steps made and the seconds that they took together
        self._estimated = False

    def started(self, done: int) -> None:
        """Start the clock after the first step, which took longer than others will."""
        self._begin, self._first, self._apart = self._clock(), done, 0.0
        self._marks = deque([(0, 0.0)], LATEST + 1)

    def validated(self, seconds: float) -> None:
        """Take the seconds of a validation, which do not count as those of steps."""
        self._validation = seconds
        self._apart += seconds

    def left(self, done: int) -> float | None:
        """Return the seconds until the end when `done` steps are made; None while they are not known."""
        return self._rest(done) if done > self._first else None

    def first_estimate(self, done: int) -> str | None:
        """Return a line with the time left, once, as soon as it is known; None before and afterwards.

        It is known when a validation was measured and steps take about as long as each other: a single slow step, such
        as one that loads code or meets another process, does not predict the rest.
        """
        made = done - self._first
        if made <= 0:
            return None
        self._marks.append((made, self._stepping()))
        if self._estimated or done >= self.steps or not self._is_steady():
            return None
        rest = self._rest(done)
        if rest is None:
            return None
        self._estimated = True
        return f"about {duration(rest)} left for {self.steps - done} steps"

    def _is_steady(self) -> bool:
        """Return whether enough steps were made, and later ones took as long as each other and as earlier ones."""
        made, seconds = self._marks[-1]
        if seconds < (SLOW_SECONDS if made < LEAST_STEPS else LEAST_SECONDS):
            return False
        times = [(later - earlier) / (end - begin) for (begin, earlier), (end, later) in pairwise(self._marks)]
        half = (len(self._marks) - 1) // 2
        late = times[half:]
        typical = (median(times[:half] or late), median(late), mean(late))
        return max(typical) <= STEADY * min(typical)

    def _stepping(self) -> float:
        """Return the seconds since the first step, without validations."""
        return self._clock() - self._begin - self._apart

    def _rest(self, done: int) -> float | None:
        """Return the seconds of the steps and validations left, by the later half of the latest steps."""
        made, seconds = self._marks[(len(self._marks) - 1) // 2]
        rest = (self._stepping() - seconds) / (done - self._first - made) * (self.steps - done)
        if self.validate_every is None or done >= self.steps:
            return rest
        validations = -(-self.steps // self.validate_every) - done // self.validate_every  # the last step's too
        return None if self._validation is None else rest + validations * self._validation


def duration(seconds: float) -> str:
    """Return seconds in words: 40 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def bar(steps: int, point: Checkpoint, shown: bool) -> Iterator[Callable[[Checkpoint, float], None]]:
    """Show a bar with the loss, the validation score and the time left; nothing where stderr is a file."""
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
