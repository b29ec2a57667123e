"""Units that read several colours, in the engine: equal to the reference on random models, at every level."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra.model.description import OUTPUT, ColourTaps, Description, Rounding, Step, Unit
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.steps import Padding
from tests.golden import cases
from tests.unit.engine.engine_models import filled, random_image, random_model
from tests.unit.engine.test_equality import LONG, assert_equal, assert_golden

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")

SIZES = [(1, 1), (1, 70), (70, 1), (3, 2), (17, 67), (12, 130)]
FRONT: dict[str, Any] = {"front": "pairwise"}


@pytest.mark.parametrize("name", cases.COLOUR_UNITS)
def test_golden_outputs(name: str) -> None:
    assert_golden(name)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("layout", [DenseLayout(4), DenseLayout(6), DenseLayout(8)], ids=str)
def test_dnlut(layout: Layout, size: tuple[int, int]) -> None:
    assert_equal(random_model("dnlut", 1, {}, layout), random_image(*size, channels=3), threads=3)


def test_sums_of_many_tables_of_three_and_four_axes() -> None:
    """Their quotients need more than single precision."""
    places = ((0, 0), (0, 1), (2, 1), (1, 0))
    units = tuple(
        Unit(f"u{i}", ("input",), ColourTaps(places[: 3 + i % 2], (0, 1, 2, 0)[: 3 + i % 2]), 1) for i in range(8)
    )
    description = Description("own", 1, (Step(units, (OUTPUT,), divisor=1024, offset=127),), colours=3)
    layouts: dict[str, Layout] = {unit.name: DenseLayout(4, 3 + i % 2) for i, unit in enumerate(units)}
    assert_equal(filled(description, layouts, np.random.default_rng(3)), random_image(5, 150, 3), threads=1)


@pytest.mark.parametrize("rounding", ["exact", "lookup", "branch"])
@pytest.mark.parametrize(
    ("family", "scale", "options", "layout"),
    [
        ("srlut", 3, {}, DenseLayout(6)),
        ("mulut", 2, {}, DiagonalLayout(5, 1, 6)),
        ("spflut", 4, {"patterns": "s"}, DenseLayout(6)),
        ("autolut", 1, {"kernel": 3}, DenseLayout(6)),
    ],
)
def test_a_front(family: str, scale: int, options: dict[str, Any], layout: Layout, rounding: Rounding) -> None:
    model = random_model(family, scale, options | FRONT, layout, rounding=rounding)
    assert_equal(model, random_image(17, 67, 3, smooth=True), threads=2)


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    """Steps of units of three or four taps of any colours, some of which make one colour alone."""
    steps, read = [], ["input"]
    count = draw(st.integers(1, 3))
    for number in range(1, count + 1):
        apart = draw(st.booleans())
        rotations = draw(st.sampled_from([1, 4]))
        upscale = draw(st.integers(1, 3)) if number == count else 1
        writes = (OUTPUT,) if number == count else tuple(f"p{number}{k}" for k in range(draw(st.integers(1, 3))))
        units = []
        for place in range(3 if apart else draw(st.integers(1, 2))):
            taps = draw(st.integers(3, 4))
            offsets = draw(st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * taps))
            colours = draw(st.tuples(*[st.integers(0, 2)] * taps))
            name = f"s{number}u{place}"
            own = place if apart else None
            values, plane = len(writes) * upscale**2, draw(st.sampled_from(read))
            units.append(Unit(name, (plane,), ColourTaps(offsets, colours), values, colour=own))
        steps.append(
            Step(tuple(units), writes, draw(st.integers(1, 9)), draw(st.integers(-9, 127)), upscale, rotations)
        )
        read += writes
    padding = draw(st.sampled_from(get_args(Padding)))
    rounding = draw(st.sampled_from(get_args(Rounding)))
    return Description("own", upscale, tuple(steps), padding=padding, rounding=rounding, colours=3)


@settings(max_examples=LONG or 40, deadline=None)
@given(
    description=descriptions(),
    interval=st.integers(4, 8),
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 12),
    width=st.one_of(st.integers(1, 12), st.integers(1, 200)),
    threads=st.integers(1, 3),
)
def test_random_models(
    description: Description, interval: int, seed: int, height: int, width: int, threads: int
) -> None:
    layouts: dict[str, Layout] = {}
    for _, unit in description.units():
        assert isinstance(unit.taps, ColourTaps)
        layouts[unit.name] = DenseLayout(interval, len(unit.taps.offsets))
    model = filled(description, layouts, np.random.default_rng(seed))
    assert_equal(model, random_image(height, width, 3, seed=seed), threads)


def test_an_image_of_other_channels_is_refused() -> None:
    runner = engine.compile(random_model("dnlut", 1, {}, DenseLayout(7)))
    assert runner.colours == 3
    with pytest.raises(ValueError, match="image has 2 channels, expected 3"):
        runner.restore(random_image(4, 5, 2))
