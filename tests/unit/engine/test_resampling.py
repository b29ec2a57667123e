"""The engine resamples to any size, and warps, as the torch reference does, to the last bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra._core import core
from lutra.imaging.images import read_image
from lutra.model.anysize import CORRELATION, CURVE, POLYNOMIAL, POWERS, STEEPNESS, Grid, Warp, outputs_of
from lutra.model.artifact import Artifact
from lutra.model.description import PATTERNS, Description, FixedTaps, Resample, Step, Unit
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.published.tables import read_tables
from lutra.reference import lookup
from lutra.reference.convert import from_artifact
from tests.golden import cases
from tests.unit.engine.engine_models import filled, random_image, random_model
from tests.unit.engine.test_equality import LEVELS, LONG

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")
LAYOUTS: list[Layout] = [DenseLayout(5), DenseLayout(7), DiagonalLayout(5, 1, 6)]
FACTORS = st.sampled_from([1.0, 1.1, 1.5, 2.0, 2.3, 3.7, 4.0, 9.5]) | st.floats(1, 12)


def runner(artifact: Artifact, level: str) -> engine.AnySizeEngine:
    found = engine.compile(artifact, level=level)
    assert isinstance(found, engine.AnySizeEngine)
    return found


def assert_equal_at(artifact: Artifact, image: Any, layout: Grid | Warp, threads: int = 1) -> None:
    """At every level; the reference without compiled lookups, which share code with the engine."""
    with lookup.using("reference"):
        expected = from_artifact(artifact).restore_image(image, layout)
    assert expected.shape == (*layout.shape, *image.shape[2:])
    for level in LEVELS:
        got = runner(artifact, level).restore_at(image, layout, threads=threads)
        different = np.argwhere(got != expected)
        assert not len(different), f"{level}: {len(different)} values differ, the first at {different[0]}"


def enlarged(image: Any, factors: tuple[float, float]) -> Grid:
    sides = image.shape[:2]
    rows, columns = (outputs_of(side, factor) for side, factor in zip(sides, factors, strict=True))
    return Grid.enlarged(sides, (rows, columns), factors)


@settings(max_examples=LONG or 40, deadline=None)
@given(
    factors=st.tuples(FACTORS, FACTORS),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20) | st.sampled_from([63, 64, 65])),
    border=st.sampled_from(["replicate", "zero"]),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 99),
)
def test_any_size_of_any_image(factors: tuple[float, float], size: Any, border: str, layout: Layout, seed: int) -> None:
    patterns = ["s", "sct", "yc"][seed % 3]
    model = random_model("lerf", 1 + seed % 4, {"patterns": patterns, "border": border}, layout, seed=seed)
    height, width = size
    image = random_image(height, width, 1 + seed % 4, seed=seed, smooth=seed % 2 == 0)
    assert_equal_at(model, image, enlarged(image, factors), threads=1 + seed % 3)


@settings(max_examples=LONG or 40, deadline=None)
@given(
    numbers=st.lists(st.floats(-3, 3), min_size=9, max_size=9),
    border=st.sampled_from(["replicate", "zero"]),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 99),
)
def test_any_warp_of_any_image(numbers: list[float], border: str, shape: tuple[int, int], seed: int) -> None:
    """Numbers are huge, or none, where a place lies at infinity."""
    matrix = np.array(numbers).reshape(3, 3) * [1, 1, 10 ** (seed % 5)]
    model = random_model("lerf", 2, {"border": border}, DenseLayout(6), seed=seed)
    image = random_image(9, 12, 1 + seed % 4, seed=seed)
    assert_equal_at(model, image, Warp(shape, matrix, (9, 12)), threads=1 + seed % 3)


def test_a_warp_in_several_bands_is_that_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = cases.model("lerf-x4"), random_image(20, 30, 3)
    warp = Warp((40, 50), np.array([[0.5, 0.1, -2], [0.05, 0.4, 1], [0.001, 0, 1]]), (20, 30))
    whole = runner(model, "").restore_at(image, warp)
    monkeypatch.setattr("lutra.model.anysize._BAND_POINTS", 130)
    assert len(list(warp.bands())) == 20
    assert np.array_equal(runner(model, "").restore_at(image, warp), whole)
    assert np.array_equal(from_artifact(model).restore_image(image, warp), whole)


def test_a_warp_that_enlarges_is_the_grid() -> None:
    model, image = cases.model("lerf-x4"), random_image(11, 9, 3)
    matrix = np.array([[1 / 2, 0, -1 / 4], [0, 1 / 2, -1 / 4], [0, 0, 1]])
    warped = runner(model, "").restore_at(image, Warp((22, 18), matrix, (11, 9)))
    assert np.array_equal(warped, runner(model, "").restore_at(image, enlarged(image, (2, 2))))


@settings(max_examples=LONG or 60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_units_at_some_rotations(data: st.DataObject) -> None:
    """Steps have any number of planes, as cells, rows or values, and a resampling or an output after them."""
    count = data.draw(st.integers(4, 5) | st.sampled_from([8, 16, 17]))
    writes = tuple(f"p{number}" for number in range(count))
    some = st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True).map(lambda turns: tuple(sorted(turns)))

    def unit(name: str, reads: str, values: int) -> Unit:
        pattern = data.draw(st.sampled_from("sdyehoct"))
        turns = data.draw(st.none() | some)
        return Unit(name, (reads,), FixedTaps(pattern, PATTERNS[pattern]), values, turns=turns)

    first = Step(tuple(unit(f"a{n}", "input", count) for n in range(data.draw(st.integers(1, 2)))), writes, 4, 127)
    last: Step | Resample = Resample("p0", ("p3", "p2", "p1"))
    if data.draw(st.booleans()):
        last = Step((unit("b", data.draw(st.sampled_from(writes)), 1),), ("output",), 4, 127)
    rounding: Any = data.draw(st.sampled_from(["exact", "lookup", "branch"]))
    description = Description("own", 1, (first, last), rounding=rounding)
    functions = {one.name: data.draw(st.sampled_from(LAYOUTS)) for _, one in description.units()}
    model = filled(description, functions, np.random.default_rng(count))
    image = random_image(9, data.draw(st.sampled_from([1, 5, 70])), 2)
    with lookup.using("reference"):
        expected = from_artifact(model).restore_image(image)
    assert np.array_equal(from_artifact(model).restore_image(image), expected)
    for level in LEVELS:
        assert np.array_equal(engine.compile(model, level=level).restore(image), expected), level


@pytest.mark.parametrize("name", ["lerf-x4", "lerf-dfc-x3"])
def test_golden_outputs_of_other_sizes(name: str) -> None:
    with np.load(cases.OUTPUTS) as expected:
        for level in LEVELS:
            for rows, columns in cases.OTHER_SIZES:
                grid = Grid.enlarged((9, 7), (rows, columns), (rows / 9, columns / 7))
                got = runner(cases.model(name), level).restore_at(cases.image(9, 7), grid)
                assert np.array_equal(got, expected[f"{name}/9x7 to {rows}x{columns}"])


def test_results_go_where_they_are_asked_to() -> None:
    image = random_image(5, 6, 3)
    own, grid = runner(cases.model("lerf-x4"), ""), enlarged(image, (1.5, 2.5))
    out = np.empty((8, 15, 3), np.uint8)
    assert own.restore_at(image, grid, out=out) is out
    assert np.array_equal(out, own.restore_at(image, grid))
    assert (own.scale, own.restore(image).shape) == (4, (20, 24, 3))
    with pytest.raises(
        ValueError, match=r"out is uint8 of shape \(8, 15, 3\), expected contiguous uint8 \(20, 24, 3\)"
    ):
        own.restore(image, out=out)
    with pytest.raises(ValueError, match="threads is 0"):
        own.restore_at(image, grid, threads=0)


@pytest.mark.reference
@pytest.mark.parametrize("level", LEVELS)
def test_published_outputs(reference: Callable[[str], Path], level: str) -> None:
    model = runner(read_tables(sorted(reference("lerf").glob("*.npy")), "lerf", 4), level)
    factors = {"x4": (4, 4), "x3": (3, 3), "x2": (2, 2), "x1.5": (1.5, 1.5), "x2.3_3.7": (2.3, 3.7)}
    for name, own in factors.items():
        for path in sorted(reference(f"lerf/expected_{name}").glob("*.png")):
            source = reference("noise.png") if path.stem == "noise" else reference("resize/uint8_x4") / path.name
            image = read_image(source)
            assert np.array_equal(model.restore_at(image, enlarged(image, own)), read_image(path)), (name, path.name)


def resampler(**changes: Any) -> Any:
    numbers = {"numbers": np.stack([STEEPNESS, CORRELATION, CURVE]), "powers": POWERS, "polynomial": POLYNOMIAL}
    return core.Resampler(**(numbers | changes), replicate=True)


PLANES = np.zeros((2, 4, 3, 5), np.uint8)
FIRST, FAR = np.array([-1, 0, 2], np.int32), np.array([0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"planes": PLANES[:, :3].copy()}, "1 to 4 channels of 4 planes"),
        ({"planes": PLANES[:, :, :0].copy()}, "1 to 4 channels of 4 planes"),
        ({"output": np.zeros((3, 3, 3), np.uint8)}, "does not fit the planes"),
        ({"output": np.zeros((3, 0, 2), np.uint8)}, "does not fit the planes"),
        ({"top": FIRST[:2].copy()}, "not that of the output"),
        ({"down": FAR[:2].copy()}, "not that of the output"),
        ({"top": np.array([0, -1, 2], np.int32)}, "out of order"),
        ({"left": np.array([-2, 0, 2], np.int32)}, "beyond the border"),
        ({"top": np.array([0, 1, 3], np.int32)}, "beyond the border"),
        ({"across": np.array([0.5, -0.1, 0.5])}, "a distance out of range"),
        ({"down": np.array([0.5, np.nan, 0.5])}, "a distance out of range"),
        ({"down": np.array([0.5, 0.5, 1.1])}, "a distance out of range"),
        ({"threads": 0}, "threads out of range"),
    ],
)
def test_the_core_refuses_grids_and_points_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    output = np.zeros((3, 3, 2), np.uint8)
    grid: dict[str, Any] = {
        "planes": PLANES,
        "top": FIRST,
        "down": FAR,
        "left": FIRST,
        "across": FAR,
        "output": output,
        "threads": 1,
    }
    resampler().grid(**grid)
    with pytest.raises(ValueError, match=message):
        resampler().grid(**(grid | changes))
    all_of = {name: np.tile(grid[name], (3, 1)) for name in ("top", "down", "left", "across")}
    points = grid | all_of
    resampler().points(**points)
    if "order" in message or "beyond" in message:  # points may lie anywhere
        return
    changed = {name: np.tile(value, (3, 1)) if name in all_of else value for name, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        resampler().points(**(points | changed))


def test_points_anywhere_touch_no_other_memory() -> None:
    far = np.array([[-(2**31), 2**31 - 1, 7]], np.int32)
    output = np.zeros((1, 3, 2), np.uint8)
    half = np.full((1, 3), 0.5)
    resampler().points(PLANES + 9, far, half, far, half, output, 1)
    assert not output.any()


def test_numbers_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="16 powers and 5 coefficients"):
        resampler(polynomial=POLYNOMIAL[:4])
    with pytest.raises(TypeError):
        resampler(numbers=np.zeros((2, 256)))


def test_an_image_is_no_result_of_planes_nor_planes_of_an_image() -> None:
    image = np.zeros((3, 4, 2), np.uint8)
    planes, plain = engine.compile(cases.model("lerf-x4"))._core, engine.compile(cases.model("srlut-x4"))._core
    with pytest.raises(ValueError, match="expected planes"):
        planes.restore(image, image.copy(), 1)
    with pytest.raises(ValueError, match="does not fit the image's planes"):
        planes.planes(image, np.zeros((2, 4, 4, 3), np.uint8), 1)
    with pytest.raises(ValueError, match="does not fit the image's planes"):
        plain.planes(image, np.zeros((2, 4, 3, 4), np.uint8), 1)


@pytest.mark.parametrize(
    ("turns", "upscale", "message"),
    [([0, 1, 2, 3, 0], 1, "at most 4 rotations"), ([4], 1, "a rotation out of range"), ([0], 2, "that enlarges")],
)
def test_the_core_refuses_rotations_that_do_not_fit(turns: list[int], upscale: int, message: str) -> None:
    built = core.Builder(1, upscale, False, 0, 0)
    built.step([], 1, 0, upscale, 4)
    table = np.zeros((16, upscale**2), np.int8)
    with pytest.raises(ValueError, match=message):
        built.fixed(0, -1, [0] * 4, [(0, 0)] * 4, [8, 0, 0, 0], table, turns)


def test_the_core_refuses_to_put_out_what_nothing_wrote() -> None:
    for outputs in ([0], [2], [1, -1], [1] * 65):
        built = core.Builder(3, 1, False, 0, 0)
        built.step([1], 1, 0, 1, 4)
        built.fixed(0, -1, [0] * 4, [(0, 0)] * 4, [8, 0, 0, 0], np.zeros((16, 1), np.int8))
        with pytest.raises(ValueError, match="plan"):
            built.outputs(outputs)
            core.Engine(built)
