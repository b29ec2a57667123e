"""What a training tells its user: a bar on a terminal, lines in a log, and how long it will take."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from lutra.training.checkpoint import Checkpoint

LEAST_STEPS = 5  # the first steps load and compile what later ones find ready
LEAST_SECONDS = 2.0
SLOW_SECONDS = 5.0  # after which fewer steps suffice
STEADY = 1.5  # how many times longer one half of the steps may have taken than the other


class Pace:
    """How long the rest of a training will take, by the steps and the validations so far."""

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
            done: steps that were made before, of `steps` in all.
            steps: of the whole training.
            clock: seconds.
            validate_every: steps between validations; None for a training without.
            validation: seconds that one took before; None while that is not known.
        """
        self.steps, self.validate_every = steps, validate_every
        self._clock = clock
        self._begin, self._first = clock(), done
        self._validation = validation
        self._apart = 0.0  # seconds of validations since the clock started
        self._marks: list[tuple[int, float]] = []  # steps made and seconds they took, until there is an estimate
        self._estimated = False

    def started(self, done: int) -> None:
        """Start the clock after the first step, which took longer than others will."""
        self._begin, self._first, self._apart = self._clock(), done, 0.0

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Measure the block as a validation, apart from the steps."""
        begin = self._clock()
        yield
        self.validated(self._clock() - begin)

    def validated(self, seconds: float) -> None:
        """Take the seconds of a validation that was made."""
        self._validation = seconds
        self._apart += seconds

    def left(self, done: int) -> float | None:
        """Return the seconds until the end when `done` steps are made; None while they are not known."""
        made = done - self._first
        if made <= 0:
            return None
        return self._rest(done, self._stepping() / made)

    def first_estimate(self, done: int) -> str | None:
        """Return a line with the time left, once, as soon as it is known; None before and afterwards.

        It is known when steps take about as long as others did, and when a validation was measured.
        """
        made = done - self._first
        if self._estimated or made <= 0 or done >= self.steps:
            return None
        self._marks.append((made, self._stepping()))
        seconds = self._stepping()
        if seconds < (SLOW_SECONDS if made < LEAST_STEPS else LEAST_SECONDS):
            return None
        half, early = self._marks[(len(self._marks) - 1) // 2]
        pace = (seconds - early) / (made - half) if made > half else seconds / made
        rest = self._rest(done, pace)
        if rest is None or not early / half <= STEADY * pace <= STEADY**2 * early / half:
            return None
        self._estimated = True
        self._marks.clear()
        return f"about {duration(rest)} left for {self.steps - done} steps"

    def _stepping(self) -> float:
        """Return the seconds since the first step, without validations."""
        return self._clock() - self._begin - self._apart

    def _rest(self, done: int, pace: float) -> float | None:
        """Return the seconds of the steps and validations left; `pace`: seconds a step."""
        seconds = pace * (self.steps - done)
        if self.validate_every is None or done >= self.steps:
            return seconds
        validations = -(-self.steps // self.validate_every) - done // self.validate_every  # the last step's too
        return None if self._validation is None else seconds + validations * self._validation


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
