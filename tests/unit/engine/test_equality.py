"""The engine's results are the torch reference's, to the last bit, at every level of vector instructions."""

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra.artifact import Artifact
from lutra.description import PATTERNS
from lutra.layouts import DenseLayout, DiagonalLayout, Layout
from tests.unit.engine.engine_models import random_image, random_model, reference_image

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")
LEVELS = engine.levels() if engine.available() else []

_spec = importlib.util.spec_from_file_location("golden_cases", Path(__file__).parents[2] / "golden" / "cases.py")
assert _spec and _spec.loader
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

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
