"""The engine's results are the torch reference's, to the last bit, at every level of vector instructions."""

import importlib.util
import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra.model.artifact import Artifact
from lutra.model.description import PATTERNS, ChannelTaps, Description, FixedTaps, SampledTaps, Step, Taps, Unit
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference.convert import from_artifact
from tests.unit.engine.engine_models import filled, random_image, random_model, reference_image

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")
LEVELS = engine.levels() if engine.available() else []

_spec = importlib.util.spec_from_file_location("golden_cases", Path(__file__).parents[2] / "golden" / "cases.py")
assert _spec and _spec.loader
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

LONG = int(os.environ.get("LUTRA_EXAMPLES", 0))
"""How many examples the generators draw, in place of the few of a quick run."""

SIZES = [(1, 1), (1, 70), (70, 1), (3, 2), (17, 67), (12, 130)]


def assert_equal(artifact: Artifact, image: Any, threads: int = 1) -> None:
    """At every level; the reference, which is slow, runs once."""
    expected = reference_image(artifact, image)
    for level in LEVELS:
        got = engine.compile(artifact, level=level).restore(image, threads=threads)
        assert got.dtype == np.uint8 and got.shape == expected.shape
        different = np.argwhere(got != expected)
        assert not len(different), f"{level}: {len(different)} values differ, the first at {different[0]}"


@pytest.mark.parametrize("name", golden.CASES)
def test_golden_outputs(name: str) -> None:
    expected = np.load(golden.OUTPUTS)
    for level, (height, width) in itertools.product(LEVELS, golden.SIZES):
        runner = engine.compile(golden.model(name), level=level)
        got = runner.restore(golden.image(height, width))
        assert np.array_equal(got, expected[f"{name}/{height}x{width}"]), (level, height, width)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", golden.CASES)
def test_awkward_sizes(name: str, size: tuple[int, int]) -> None:
    assert_equal(golden.model(name), random_image(*size, channels=2, smooth=size[0] % 2 == 0), threads=3)


LAYOUTS = st.one_of(
    st.builds(DenseLayout, st.integers(4, 8)),
    st.sampled_from(["xy", "xyz", "xyzt"]).flatmap(
        lambda dimensions: (
            st.tuples(st.integers(4, 7), st.integers(1, 3), st.integers(5, 8))
            .filter(lambda numbers: numbers[0] < numbers[2] and numbers[1] <= 1 << (8 - numbers[0]))
            .map(lambda numbers: DiagonalLayout(*numbers, dimensions=dimensions))
        )
    ),
)
LETTERS = st.lists(st.sampled_from(list(PATTERNS)), min_size=1, max_size=3, unique=True).map("".join)
FAMILIES = st.one_of(
    st.tuples(st.just("srlut"), st.fixed_dictionaries({"pattern": st.sampled_from(list(PATTERNS))})),
    st.tuples(st.just("mulut"), st.fixed_dictionaries({"patterns": LETTERS, "stages": st.integers(1, 3)})),
    st.tuples(st.just("spflut"), st.fixed_dictionaries({"patterns": LETTERS})),
    st.tuples(
        st.just("autolut"),
        st.fixed_dictionaries(
            {"base": st.sampled_from(["mulut", "spflut"]), "branches": st.integers(1, 2), "kernel": st.integers(1, 6)}
        ),
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_model_on_any_image(data: st.DataObject) -> None:
    family, options = data.draw(FAMILIES)
    layout: Layout = data.draw(LAYOUTS)
    artifact = random_model(
        family,
        data.draw(st.integers(1, 4)),
        options,
        layout,
        rounding=data.draw(st.sampled_from(["exact", "lookup", "branch"])),
        padding=data.draw(st.sampled_from(["replicate", "reflect"])),
        seed=data.draw(st.integers(0, 99)),
    )
    height, width = data.draw(st.integers(1, 24)), data.draw(st.sampled_from([1, 2, 5, 63, 64, 65, 90]))
    image = random_image(height, width, data.draw(st.integers(1, 4)), smooth=data.draw(st.booleans()))
    assert_equal(artifact, image, threads=data.draw(st.integers(1, 4)))


@st.composite
def descriptions(draw: st.DrawFn) -> tuple[Description, dict[str, Layout]]:
    """Whatever loading accepts: any taps, planes, divisors, offsets, fractional bits and layouts."""
    planes, steps, functions = ["input"], [], {}
    scale, count = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    for number in range(count):
        last = number == count - 1
        writes = ("output",) if last else tuple(f"p{number}_{n}" for n in range(draw(st.integers(1, 5))))
        values = len(writes) * (scale**2 if last else 1)
        units = []
        for index in range(draw(st.integers(1, 3))):
            kind = draw(st.sampled_from(["fixed", "sampled", "channel"]))
            place, offset = st.sampled_from(planes), st.tuples(st.integers(0, 4), st.integers(0, 4))
            taps: Taps = ChannelTaps()
            if kind == "fixed":
                taps = FixedTaps("any", tuple(draw(st.lists(offset, min_size=4, max_size=4))))  # type: ignore[arg-type]
            elif kind == "sampled":
                taps = SampledTaps(draw(st.integers(1, 5)))
            reads = tuple(draw(place) for _ in range(4 if kind == "channel" else 1))
            previous = None if kind == "channel" else draw(st.none() | place)
            units.append(Unit(f"u{number}_{index}", reads, taps, values, previous))
            functions[units[-1].name] = draw(LAYOUTS)
        near = len(units) * draw(st.sampled_from([1, 2, 4]))
        divisor = draw(st.sampled_from([1, near, 3 * near, 4096]) | st.integers(1, 4096))
        offset_ = draw(st.sampled_from([0, 127, 128, -128, 4096, -4096]))
        steps.append(Step(tuple(units), writes, divisor, offset_, scale if last else 1, draw(st.sampled_from([1, 4]))))
        planes += writes
    description = Description(
        "any",
        scale,
        tuple(steps),
        draw(st.sampled_from(["replicate", "reflect"])),
        draw(st.sampled_from(["exact", "lookup", "branch"])),
        tap_bits=draw(st.integers(0, 8)),
    )
    return description, functions


@settings(max_examples=LONG or 40, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=descriptions(), seed=st.integers(0, 99), width=st.sampled_from([1, 2, 5, 63, 64, 65, 90]))
def test_any_description_that_loads(model: tuple[Description, dict[str, Layout]], seed: int, width: int) -> None:
    artifact = filled(*model, np.random.default_rng(seed))
    image = random_image(9, width, 1 + seed % 4, smooth=seed % 2 == 0, seed=seed)
    try:
        engine.compile(artifact)
    except ValueError as error:
        event(f"refused: {error}")
        return
    event("ran")
    event(f"the reference is exact in single precision: {from_artifact(artifact).is_exact_in_single}")
    assert_equal(artifact, image)


def test_most_descriptions_run() -> None:
    """Without this the test above could pass by refusing everything."""
    ran = 0

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(model=descriptions())
    def run(model: tuple[Description, dict[str, Layout]]) -> None:
        nonlocal ran
        try:
            engine.compile(filled(*model, np.random.default_rng(0)))
            ran += 1
        except ValueError:
            pass

    run()
    assert ran >= 40


@pytest.mark.parametrize("tap_bits", range(9))
def test_every_number_of_fractional_bits(tap_bits: int) -> None:
    model = random_model("autolut", 2, {"kernel": 3}, DenseLayout(4))
    assert_equal(replace(model, description=replace(model.description, tap_bits=tap_bits)), random_image(20, 33, 3))


@pytest.mark.parametrize("interval", [3, 7, 8])
@pytest.mark.parametrize("family", ["srlut", "autolut"])
def test_every_interval(family: str, interval: int) -> None:
    assert_equal(random_model(family, 2, {}, DenseLayout(interval)), random_image(20, 33, 3))


def test_wide_diagonals() -> None:
    for layout in (DiagonalLayout(3, 10, 8), DiagonalLayout(4, 8, 5), DiagonalLayout(5, 8, 7, "xy")):
        model = random_model("mulut", 3, {"patterns": "so"}, layout, rounding="lookup")
        assert_equal(model, random_image(24, 31, 3, smooth=True))


@pytest.mark.parametrize("family", ["mulut", "spflut"])
def test_larger_than_a_tile(family: str) -> None:
    model = random_model(family, 2, {"patterns": "so"}, DiagonalLayout(4, 2, 5), padding="reflect")
    assert_equal(model, random_image(12, 1030, 2, smooth=True), threads=2)
    assert_equal(model, random_image(150, 33, 1, smooth=True), threads=2)
