"""The time that is left is told once the speed is known, and as people say it."""

import pytest

from pipeline.progress import Pace, duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_step_does_not_count() -> None:
    clock = Clock()
    pace = Pace(0, 101, clock)
    assert pace.left(0) is None
    clock.now += 50
    pace.started(1)
    assert pace.left(1) is None and pace.first_estimate(1) is None
    clock.now += 2
    assert pace.left(2) == 198.0


def test_an_estimate_is_given_once() -> None:
    clock = Clock()
    pace = Pace(0, 1001, clock)
    pace.started(1)
    said = []
    for done in range(2, 20):
        clock.now += 0.5
        said.append(pace.first_estimate(done))
    assert [text for text in said if text] == ["about 8 min left for 995 steps"]
    assert said.index("about 8 min left for 995 steps") == 4


def test_slow_steps_are_not_waited_for() -> None:
    clock = Clock()
    pace = Pace(400, 1000, clock)
    pace.started(401)
    clock.now += 60
    assert pace.first_estimate(402) == "about 9 h 58 min left for 598 steps"


def test_a_training_that_is_done_needs_no_estimate() -> None:
    clock = Clock()
    pace = Pace(0, 3, clock)
    pace.started(1)
    clock.now += 60
    assert pace.first_estimate(3) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (99.4, "99 s"), (100, "2 min"), (5940, "99 min"), (12000, "3 h 20 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
