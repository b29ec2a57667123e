"""The engine restores models of residuals (HKLUT) as the torch reference does, to the last bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra._core import core
from lutra.imaging.images import read_image
from lutra.model.artifact import Artifact
from lutra.model.description import Description, DirectTable, Residual
from lutra.model.families import describe
from lutra.model.published.tables import read_tables
from lutra.model.vectors import Direct
from tests.unit.engine.engine_models import random_image
from tests.unit.engine.test_equality import LONG, assert_equal

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")


def filled(description: Description, generator: np.random.Generator) -> Artifact:
    spread = int(generator.choice([4, 30, 127]))
    tensors: dict[str, Any] = {}
    for step, table in description.direct_tables():
        shape = (step.entries(table), step.upscale**2)
        tensors[f"{table.name}.direct"] = generator.integers(-spread - 1, spread + 1, shape).astype(np.int8)
    functions = {table.name: Direct() for _, table in description.direct_tables()}
    return Artifact(description, functions, tensors)


def drawn(generator: np.random.Generator) -> Artifact:
    """Some steps of any factors, bits, taps and paddings."""
    factors = [(1,), (2,), (3,), (4,), (2, 1), (1, 2, 2), (3, 2)][generator.integers(7)]
    planes = ["input", *(f"state{number}" for number in range(1, len(factors))), "output"]
    steps = []
    for number, factor in enumerate(factors):
        low_bits, tables = int(generator.integers(2, 7)), []
        for one in range(generator.integers(1, 5)):
            bits = "high" if generator.random() < 0.6 else "low"
            most = min(3, 12 // (8 - low_bits if bits == "high" else low_bits))
            reach = int(generator.choice([1, 3, 15]))
            places = generator.integers(-reach, reach + 1, (generator.integers(1, most + 1), 2))
            taps = tuple((int(row), int(column)) for row, column in places)
            padding = "reflect" if generator.random() < 0.5 else "replicate"
            tables.append(DirectTable(f"s{number}_{one}", bits, taps, padding))  # type: ignore[arg-type]
        steps.append(Residual(tuple(tables), planes[number], planes[number + 1], factor, low_bits))
    return filled(Description("own", int(np.prod(factors)), tuple(steps)), generator)


@settings(max_examples=LONG or 60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.one_of(st.integers(1, 12), st.integers(30, 70)),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    threads=st.integers(1, 3),
)
def test_random_models(seed: int, height: int, width: int, channels: int, threads: int) -> None:
    model = drawn(np.random.default_rng(seed))
    assert_equal(model, random_image(height, width, channels, seed=seed, smooth=seed % 2 == 0), threads)


def test_strips_bands_and_threads_change_nothing() -> None:
    model = filled(describe("hklut", 4), np.random.default_rng(1))
    assert_equal(model, random_image(70, 1100, seed=1), threads=3)


@pytest.mark.reference
def test_published_outputs(reference: Callable[[str], Path]) -> None:
    runner = engine.compile(read_tables([reference("hklut")], "hklut", 4))
    for path in sorted(reference("hklut/expected_x4").glob("*.png")):
        source = reference("noise.png") if path.stem == "noise" else reference("resize/uint8_x4") / path.name
        assert np.array_equal(runner.restore(read_image(source)), read_image(path)), path.name


def table(plan: Any, entries: Any, offsets: Any = ((0, 0),)) -> None:
    places = np.array([offsets] * 4, np.int32)
    plan.table(True, True, places, np.array([entries] * 4, np.int8))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda plan: None, "used before, or without steps"),
        (lambda plan: table(plan, np.zeros((16, 4))), "a table without a step"),
        (lambda plan: plan.step(9, 4), "an upscale or bits out of range"),
        (lambda plan: plan.step(2, 8), "an upscale or bits out of range"),
        (lambda plan: plan.step(2, 4), "1 to 64 tables in a step"),
        (lambda plan: (plan.step(2, 4), table(plan, np.zeros((15, 4)))), "another size than its taps'"),
        (lambda plan: (plan.step(2, 4), table(plan, np.zeros((16, 1)))), "another size than its taps'"),
        (lambda plan: (plan.step(2, 4), table(plan, np.zeros((16, 65)))), "one that is too large"),
        (lambda plan: (plan.step(2, 4), table(plan, np.zeros((16, 4)), ((0, -16),))), "an offset out of range"),
        (lambda plan: (plan.step(2, 4), table(plan, np.zeros((1, 4)), ((0, 0),) * 5)), "a table of too many entries"),
        (lambda plan: (plan.step(2, 4), table(plan, np.zeros((1, 4)), ((0, 0),) * 17)), "one that is too large"),
        (lambda plan: (plan.step(1, 4), table(plan, np.zeros((16, 1)))), "do not give the scale"),
        (lambda plan: (plan.step(3, 4), table(plan, np.zeros((16, 9)))), "do not give the scale"),
    ],
)
def test_the_core_refuses_plans_that_do_not_fit(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"plan") as caught:
        plan = core.ResidualBuilder(2)
        build(plan)
        core.Engine(plan)
    assert message in str(caught.value)
