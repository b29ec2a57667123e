"""The time that is left is told once the speed is known, and as people say it."""

from collections.abc import Callable

import pytest

from pipeline.running.progress import Pace, duration


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


def test_validations_count_by_themselves() -> None:
    """100 steps of 0.5 s and a validation of 60 s after every ten take 650 s."""
    clock = Clock()
    pace = Pace(0, 101, clock, validate_every=10, validation=60.0)
    pace.started(1)
    said = []
    for done in range(2, 8):
        clock.now += 0.5
        said.append(pace.first_estimate(done))
    assert [text for text in said if text] == ["about 12 min left for 95 steps"]
    clock.now += 1.5
    clock.now += 30
    pace.validated(30)
    assert pace.left(10) == 91 * 0.5 + 10 * 30


def test_a_training_that_goes_on_waits_for_a_validation() -> None:
    clock = Clock()
    pace = Pace(40, 101, clock, validate_every=10)
    pace.started(41)
    for done in range(42, 50):
        clock.now += 0.5
        assert pace.first_estimate(done) is None
    clock.now += 30
    pace.validated(30)
    clock.now += 0.5
    assert pace.first_estimate(50) == "about 3 min left for 51 steps"


@pytest.mark.parametrize("pace_of", [lambda done: 5.0 / done, lambda done: 0.5 * done])
def test_an_estimate_waits_until_steps_are_alike_and_is_right_then(pace_of: Callable[[int], float]) -> None:
    """Steps get faster, or slower, until the 14th: the first estimate is what the rest takes."""
    clock, steps = Clock(), 100
    pace = Pace(0, steps, clock)
    pace.started(1)
    said: list[str] = []
    times = [pace_of(min(done, 14)) for done in range(2, steps + 1)]
    for done, seconds in enumerate(times, 2):
        clock.now += seconds
        if text := pace.first_estimate(done):
            said.append(text)
            number, unit = text.split()[1:3]
            told = float(number) * {"s": 1, "min": 60}[unit]
            rest = sum(times[done - 1 :])
            assert rest / 1.5 - 1 <= told <= rest * 1.5 + 1
    assert len(said) == 1


@pytest.mark.parametrize(
    "times",
    [
        [5.2] + [0.1] * 58,  # the second step loads code
        [9.0, 5.0] + [0.1] * 57,
        [0.1] * 3 + [5.0] + [0.1] * 55,  # another process takes the machine for a while
        [0.4, 0.6] * 29,
        [7.0] * 59,
        [1.0, 4.0, 4.0] + [8.0] * 56,
    ],
)
def test_an_estimate_is_right_within_half_or_there_is_none_yet(times: list[float]) -> None:
    clock = Clock()
    pace = Pace(0, len(times) + 1, clock)
    pace.started(1)
    for done, seconds in enumerate(times, 2):
        clock.now += seconds
        if text := pace.first_estimate(done):
            number, unit = text.split()[1:3]
            rest = sum(times[done - 1 :])
            assert rest / 1.5 <= float(number) * {"s": 1, "min": 60}[unit] <= rest * 1.5
            left = pace.left(done)
            assert left is not None and rest / 1.5 <= left <= rest * 1.5
            return
    assert max(times) >= 5  # steps that differ less are told about


def test_a_slow_start_does_not_count_for_the_time_left() -> None:
    clock = Clock()
    pace = Pace(0, 61, clock)
    pace.started(1)
    for done, seconds in enumerate([9.0] + [0.1] * 19, 2):
        clock.now += seconds
        pace.first_estimate(done)
    assert pace.left(21) == pytest.approx(40 * 0.1)


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
