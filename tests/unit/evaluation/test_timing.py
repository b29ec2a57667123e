"""Times of calls that take turns; never how long anything takes."""

from itertools import count

from lutra.evaluation.timing import least_seconds, seconds_in_turns


def test_calls_take_turns() -> None:
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    found = seconds_in_turns(calls, 2)
    assert {name: len(times) for name, times in found.items()} == {"a": 4, "b": 4}
    assert order == list("aabbaabb")
    assert len(seconds_in_turns(calls, 5, budget=-1)["b"]) == 2
    order.clear()
    least_seconds(calls, 2, in_a_row=1)
    assert order == list("abab")


def test_the_least_time_counts() -> None:
    now, steps = [0.0], {"a": count(5, -1), "b": count(1)}

    def spend(name: str) -> None:
        now[0] += next(steps[name])

    calls = {"a": lambda: spend("a"), "b": lambda: spend("b")}
    assert least_seconds(calls, 2, budget=100, clock=lambda: now[0]) == {"a": 2, "b": 1}
