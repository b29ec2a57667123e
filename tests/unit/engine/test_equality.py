"""The engine's results are the torch reference's, to the last bit, at every level of vector instructions."""

import importlib.util
import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra.model.artifact import Artifact
from lutra.model.description import PATTERNS, ChannelTaps, Description, FixedTaps, SampledTaps, Step, Taps, Unit
from lutra.model.fixedpoint import sampling_weights
from lutra.model.layouts import DenseLayout, DiagonalLayout, Dimensions, Layout, nodes_per_axis
from lutra.reference import lookup
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


def assert_golden(name: str) -> None:
    """At every level and size, a golden case restores as it is recorded."""
    expected = np.load(golden.OUTPUTS)
    for level, (height, width) in itertools.product(LEVELS, golden.SIZES):
        got = engine.compile(golden.model(name), level=level).restore(golden.input_of(name, height, width))
        assert np.array_equal(got, expected[f"{name}/{height}x{width}"]), (level, height, width)


@pytest.mark.parametrize("name", golden.CASES)
def test_golden_outputs(name: str) -> None:
    assert_golden(name)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", golden.CASES)
def test_awkward_sizes(name: str, size: tuple[int, int]) -> None:
    assert_equal(golden.model(name), random_image(*size, channels=2, smooth=size[0] % 2 == 0), threads=3)


DENSE: list[Layout] = [DenseLayout(interval) for interval in range(3, 9)]
DIAGONAL: list[Layout] = [
    DiagonalLayout(interval, width, coarse, dimensions)
    for dimensions in get_args(Dimensions)
    for interval in range(3, 8)
    for width in range(1, nodes_per_axis(interval))
    for coarse in range(interval + 1, 9)
]


def layouts(most: int) -> st.SearchStrategy[Layout]:
    """All layouts of at most `most` entries."""
    kinds = [[layout for layout in kind if layout.entries <= most] for kind in (DENSE, DIAGONAL)]
    return st.one_of(*(st.sampled_from(kind) for kind in kinds if kind))


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
    layout = data.draw(layouts(83521))
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


MOST_NUMBERS = 1 << 22
"""The entries are changed in all tables of a step together, so that an example is quick."""


@st.composite
def descriptions(draw: st.DrawFn) -> tuple[Description, dict[str, Layout]]:
    """Whatever loading accepts: any taps, planes, divisors, offsets, fractional bits, layouts and numbers of units."""
    planes, steps, functions = ["input"], [], {}
    scale, count = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    for number in range(count):
        last = number == count - 1
        writes: tuple[str, ...] = ("output",)
        if not last:
            writes = tuple(f"p{number}_{n}" for n in range(draw(st.integers(1, 5) | st.sampled_from([9, 16, 17]))))
        values = len(writes) * (scale**2 if last else 1)
        drawn, copies = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 1, 1, 7, 21]))
        most = max(16, MOST_NUMBERS // (values * drawn * copies))
        units = []
        for index in range(drawn):
            unit, layout = draw(units_of(planes, values)), draw(layouts(most))
            for copy in range(copies):
                units.append(replace(unit, name=f"u{number}_{index}_{copy}"))
                functions[units[-1].name] = layout
        rotations = draw(st.sampled_from([1, 4]))
        near = min(4096, len(units) * rotations)
        divisor = draw(st.sampled_from([1, near, near, 3 * near, 4096]) | st.integers(1, 4096))
        offset = draw(st.sampled_from([0, 127, 127, 128, -128, 4096, -4096]) | st.integers(-4096, 4096))
        steps.append(Step(tuple(units), writes, divisor, offset, scale if last else 1, rotations))
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


@st.composite
def units_of(draw: st.DrawFn, planes: list[str], values: int) -> Unit:
    """Any unit that reads those planes."""
    kind = draw(st.sampled_from(["fixed", "sampled", "channel"]))
    plane, near = st.sampled_from(planes), draw(st.sampled_from([2, 4, 15]))
    taps: Taps = ChannelTaps()
    if kind == "fixed":
        offset = st.tuples(st.integers(0, near), st.integers(0, near))
        taps = FixedTaps("any", (draw(offset), draw(offset), draw(offset), draw(offset)))
    elif kind == "sampled":
        taps = SampledTaps(draw(st.integers(1, near)))
    reads = tuple(draw(plane) for _ in range(4 if kind == "channel" else 1))
    return Unit("unit", reads, taps, values, None if kind == "channel" else draw(st.none() | plane))


@settings(max_examples=LONG or 40, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=descriptions(), seed=st.integers(0, 99), width=st.sampled_from([1, 2, 5, 63, 64, 65, 90]))
def test_any_description_that_loads(model: tuple[Description, dict[str, Layout]], seed: int, width: int) -> None:
    artifact = filled(*model, np.random.default_rng(seed))
    image = random_image(9, width, 1 + seed % 4, smooth=seed % 2 == 0, seed=seed)
    try:
        runner = engine.compile(artifact)
    except ValueError as error:
        event(f"refused: {error}")
        return
    event("ran")
    event(f"the reference is exact in single precision: {from_artifact(artifact).is_exact_in_single}")
    assert_equal(artifact, image)
    # The definition without compiled lookups, which share code with the engine.
    with lookup.using("reference"):
        assert np.array_equal(runner.restore(image[:, :, :1]), reference_image(artifact, image[:, :, :1]))


def test_most_descriptions_run() -> None:
    """The test above could otherwise pass by refusing everything."""
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


def shipped_otherwise() -> Artifact:
    """A model whose sampling weights were made where exp is rounded otherwise: integers that are off by one."""
    model = random_model("autolut", 2, {"kernel": 3}, DenseLayout(5))
    tensors = dict(model.tensors)
    for name, fixed in model.tensors.items():
        if name.endswith(".sampler_fixed"):
            taps, other = np.arange(4), fixed.copy()
            other[taps, fixed.argmax(1)] -= 1
            other[taps, fixed.argmin(1)] += 1
            tensors[name] = other
    return replace(model, tensors=tensors)


def test_the_integers_that_ship_decide_on_every_path() -> None:
    model = shipped_otherwise()
    assert_equal(model, random_image(40, 33, 3))
    with lookup.using("reference"):
        assert_equal(model, random_image(9, 33, 1))


def test_a_sampler_that_was_trained_has_integers_of_its_own() -> None:
    sampler = next(from_artifact(shipped_otherwise()).lut_units()).sampler
    assert sampler is not None and sampler.shipped is not None
    assert torch.equal(sampler.quantised(), sampler.shipped)
    with torch.no_grad():
        sampler.logits.add_(torch.linspace(-1, 1, 9))
    for trained in (True, False):
        sampler.requires_grad_(trained)
        assert np.array_equal(sampler.quantised().numpy(), sampling_weights(sampler.logits.detach().numpy()))


def waiting(steps: int) -> Artifact:
    """A small file with 64 planes, of which every row waits for `steps` steps that look 15 rows around."""
    planes = tuple(f"p{number}" for number in range(64))
    far = FixedTaps("far", ((0, 0), (0, 15), (15, 0), (15, 15)))
    described: list[Step] = [Step((Unit("first", ("input",), far, 64),), planes, 4)]
    for number in range(steps):
        reads = "p0" if number == 0 else f"q{number - 1}"
        described.append(Step((Unit(f"u{number}", (reads,), far, 1),), (f"q{number}",), 4))
    units = [Unit(f"last{number}", planes[number : number + 4], ChannelTaps(), 1) for number in range(0, 64, 4)]
    units.append(Unit("end", (f"q{steps - 1}",), far, 1))
    description = Description("waiting", 1, (*described, Step(tuple(units), ("output",), 20)))
    layouts: dict[str, Layout] = {unit.name: DenseLayout(8) for _, unit in description.units()}
    return filled(description, layouts, np.random.default_rng(0))


def test_rows_that_a_thread_keeps_are_bounded() -> None:
    assert_equal(waiting(6), random_image(20, 9, 3), threads=2)
    with pytest.raises(ValueError, match="planes of too many rows"):
        engine.compile(waiting(9))


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
