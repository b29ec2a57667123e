"""Measure the time of models for a frame of 1280x720: all in one run, in turns, so that their ratios hold."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from lutra.evaluation.synthetic import synthetic_photograph
from lutra.evaluation.timing import least_seconds
from lutra.restore.restorer import Restorer

WIDTH, HEIGHT = 1280, 720
ROUNDS = 5
THREADS = 1  # with more, the report would also compare how well models share threads


@dataclass(frozen=True)
class Speed:
    """Milliseconds a frame by model, and what was measured, in words."""

    milliseconds: Mapping[str, float]
    text: str


def measure_speed(
    models: Mapping[str, Restorer], scale: int, width: int = WIDTH, height: int = HEIGHT, rounds: int = ROUNDS
) -> Speed:
    """Return the least time of each model for a synthetic colour frame that becomes `width` x `height`.

    Args:
        models: by name, all of one scale.
        scale: theirs; the frame's sides are the result's, divided by it.
        width, height: of the result, pixels; less where the scale does not divide them.
        rounds: the turns of each model, of two runs each.
    """
    frame = synthetic_photograph(width // scale, height // scale)
    result = (frame.shape[0] * scale, frame.shape[1] * scale, frame.shape[2])
    calls = {
        name: partial(model.restore, frame, threads=THREADS, out=np.empty(result, np.uint8))
        for name, model in models.items()
    }
    # Measure processor time, which a busy machine does not stretch.
    found = {name: seconds * 1e3 for name, seconds in least_seconds(calls, rounds, clock=time.process_time).items()}
    backends = sorted({model.backend for model in models.values()})
    names = {"engine": "the compiled engine", "torch": "torch"}
    text = (
        f"processor time, the least of up to {2 * rounds} runs, all models in turns on one machine, {THREADS} thread, "
        f"{' or '.join(names[name] for name in backends)}; {frame.shape[1]}x{frame.shape[0]} to "
        f"{result[1]}x{result[0]} colour pixels"
    )
    return Speed(found, text)
