"""Measure the time of models for a frame of 1280x720: all in one run, in turns, so that their ratios hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from lutra.evaluation import bench
from lutra.restore.restorer import Restorer

WIDTH, HEIGHT = 1280, 720
ROUNDS = 5
BUDGET = 4.0  # seconds after which a model takes no more turns
THREADS = 1  # what the report may use; more would compare how well models share them, too


@dataclass(frozen=True)
class Speed:
    """Milliseconds a frame by model, and what was measured, in words."""

    milliseconds: Mapping[str, float]
    text: str


def measure(models: Mapping[str, Restorer], scale: int, width: int = WIDTH, height: int = HEIGHT) -> Speed:
    """Return the least time of each model for a synthetic colour frame that becomes `width` x `height`.

    Args:
        models: by name, all of one scale.
        scale: theirs; the frame's sides are the result's, divided by it.
        width, height: of the result, pixels; less where the scale does not divide them.
    """
    frame = bench.synthetic_photograph(width // scale, height // scale)
    result = (frame.shape[0] * scale, frame.shape[1] * scale, frame.shape[2])
    calls = {
        name: partial(model.restore, frame, threads=THREADS, out=np.empty(result, np.uint8))
        for name, model in models.items()
    }
    found = _in_turns(calls)
    backends = sorted({model.backend for model in models.values()})
    names = {"engine": "the compiled engine", "torch": "torch"}
    text = (
        f"processor time, the least of up to {2 * ROUNDS} runs, all models in turns on one machine, {THREADS} thread, "
        f"{' or '.join(names[name] for name in backends)}; {frame.shape[1]}x{frame.shape[0]} to "
        f"{result[1]}x{result[0]} colour pixels"
    )
    return Speed(found, text)


def _in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least milliseconds of each call, in processor time, which a busy machine does not stretch.

    A turn is two calls, so that the second finds in the cache what the others drove out.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            for _ in range(2 if sum(times[name]) < BUDGET else 0):
                start = time.process_time()
                call()
                times[name].append(time.process_time() - start)
    return {name: min(taken) * 1e3 for name, taken in times.items()}
