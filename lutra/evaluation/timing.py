"""The least time of calls that take turns, so that a busy moment of the machine hurts all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]

BUDGET = 4.0
"""Seconds after which a call takes no more turns."""


def least_seconds(
    calls: Mapping[str, Call],
    rounds: int,
    *,
    in_a_row: int = 2,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the least seconds of each call, by name; the arguments are those of `seconds_in_turns`."""
    times = seconds_in_turns(calls, rounds, in_a_row=in_a_row, budget=budget, clock=clock)
    return {name: min(taken) for name, taken in times.items()}


def seconds_in_turns(
    calls: Mapping[str, Call],
    rounds: int,
    *,
    in_a_row: int = 2,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds of every run of each call, by name.

    Args:
        calls: what is measured.
        rounds: how many turns each gets.
        in_a_row: the runs of a turn; the second one finds in the cache what the other calls drove out.
        budget: seconds after which a call takes no more turns; it still runs `in_a_row` times.
        clock: returns seconds; `time.process_time` counts the processor's, which a busy machine does not stretch.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(in_a_row):
                if len(times[name]) >= in_a_row and sum(times[name]) > budget:
                    break
                start = clock()
                call()
                times[name].append(clock() - start)
    return times
