"""Resampling is LeRF's as the paper defines it; its numbers, gradients and sizes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.model import families
from lutra.model.anysize import CORRELATION, CURVE, SIXTEENTHS, STEEPNESS, Axis, Grid, outputs_of
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout
from lutra.reference import resampling
from lutra.reference.build import build_model
from lutra.reference.convert import from_artifact
from lutra.reference.units import Table
from lutra.training.tabulate import to_tables
from tests.golden import cases
from tests.unit.reference import papers


@settings(max_examples=60, deadline=None)
@given(
    factors=st.tuples(*[st.sampled_from([1.0, 1.5, 2.0, 2.3, 3.7, 4.0]) | st.floats(1, 6)] * 2),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**32 - 1),
)
def test_resampling_is_that_of_the_paper(factors: tuple[float, float], size: tuple[int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    pixels, *kernel = generator.integers(0, 256, (4, *size))
    outputs = outputs_of(size[0], factors[0]), outputs_of(size[1], factors[1])
    expected = papers.lerf_resampled(pixels, kernel, outputs, factors)
    grid = Grid.enlarged(size, outputs, factors)
    places = resampling.Places.of(grid.rows, grid.columns, torch.device("cpu"))
    planes = [torch.from_numpy(plane)[None] for plane in (pixels, *kernel)]
    found = resampling.resampled(planes[0], planes[1:], "zero", places)[0].numpy()
    assert np.allclose(found, expected, rtol=0, atol=1e-7)  # 255 times the error of the weights


def test_the_border_repeats_unless_it_is_to_be_dark() -> None:
    white = torch.full((1, 3, 4), 255)
    grid = Grid.enlarged((3, 4), (12, 16), (4, 4))
    places = resampling.Places.of(grid.rows, grid.columns, torch.device("cpu"))
    kernel = [torch.full((1, 3, 4), value) for value in (200, 60, 30)]
    assert (resampling.resampled(white, kernel, "replicate", places).round() == 255).all()
    dark = resampling.resampled(white, kernel, "zero", places)[0]
    assert dark[:2].max() < 255 and dark[:, -2:].max() < 255 and (dark[2:-2, 2:-2].round() == 255).all()


def test_weights_are_powers_of_two() -> None:
    steps = np.concatenate([np.linspace(-5000, 16, 100_003), np.arange(-80, 17) / 2, [0.0, -0.0, 1e-9]])
    found = resampling.weights(torch.from_numpy(steps)).numpy()
    assert np.abs(found / np.exp2(steps / 16) - 1).max() < 6e-12
    assert found[-3] == found[-2] == 1


def test_the_numbers_of_kernels_are_those_that_the_reference_works_out() -> None:
    values = torch.arange(256.0)[None, None]
    correlation, rows, columns = (one[0, 0].numpy() for one in resampling._parameters([values] * 3))
    assert np.array_equal(correlation, CORRELATION)
    assert np.array_equal(rows, STEEPNESS) and np.array_equal(columns, STEEPNESS)
    assert np.array_equal(rows * rows * (-0.5 * SIXTEENTHS), CURVE)
    assert (CORRELATION[0], CORRELATION[255], STEEPNESS[255]) == (-SIXTEENTHS, SIXTEENTHS, 10)


@pytest.mark.parametrize(("size", "factor", "outputs"), [(100, 1.1, 110), (10, 1, 10), (57, 3.7, 211), (86, 2.3, 198)])
def test_sizes_are_rounded_up(size: int, factor: float, outputs: int) -> None:
    assert outputs_of(size, factor) == outputs


def test_a_whole_position_is_the_second_neighbour() -> None:
    axis = Axis.enlarged(5, 5, 1)
    assert axis.first.tolist() == [-1, 0, 1, 2, 3] and axis.distance.tolist() == [1.0] * 5
    double = Axis.enlarged(3, 6, 2)
    assert double.first.tolist() == [-1, 0, 0, 1, 1, 2]
    assert np.array_equal(double.distance, [0.75, 0.25, 0.75, 0.25, 0.75, 0.25])


def test_training_sees_the_picture_that_is_restored() -> None:
    model = from_artifact(cases.model("lerf-x4"))
    image = torch.from_numpy(cases.image(9, 7))[None, None]
    with torch.no_grad():
        assert torch.equal(model(image.float()).round().clamp(0, 255).to(torch.uint8), model.restore(image))


def test_large_pictures_are_restored_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    model = from_artifact(cases.model("lerf-dfc-x3"))
    image = torch.from_numpy(cases.image(40, 7))[None, None]
    whole = model.restore(image)
    monkeypatch.setattr("lutra.reference.interpreter.BAND_PIXELS", 70)
    monkeypatch.setattr("lutra.reference.resampling.POINTS_AT_ONCE", 50)
    assert torch.equal(model.restore(image), whole)


def test_every_table_gets_a_gradient() -> None:
    model = to_tables(build_model(families.describe("lerf", 2), NetworkSpec(width=4, linear=True)), DenseLayout(6))
    model(torch.rand(1, 1, 9, 9).mul(255).round()).square().mean().backward()
    for name, unit in model.by_name().items():
        assert isinstance(unit.function, Table)
        gradient = unit.function.values.grad
        assert gradient is not None and gradient.abs().sum() > 0, name


def test_gradients_are_those_of_differences() -> None:
    """The resampling alone is compared, at steps of 1e-3 level: many steps of the float32 parameters."""
    generator = torch.Generator().manual_seed(0)
    planes = [torch.rand((1, 4, 5), generator=generator).double() * 200 + 20 for _ in range(4)]
    grid = Grid.enlarged((4, 5), (9, 11), (2.25, 2.2))
    places = resampling.Places.of(grid.rows, grid.columns, torch.device("cpu"))

    def total(*own: torch.Tensor) -> Any:
        return (resampling.resampled(own[0], own[1:], "replicate", places) * torch.arange(11)).sum()

    leaves = [plane.clone().requires_grad_() for plane in planes]
    total(*leaves).backward()
    for number, leaf in enumerate(leaves):
        assert leaf.grad is not None
        moved = [plane.clone() for plane in planes]
        moved[number][0, 1, 2] += 0.05
        other = [plane.clone() for plane in planes]
        other[number][0, 1, 2] -= 0.05
        slope = (total(*moved) - total(*other)) / 0.1
        assert leaf.grad[0, 1, 2] == pytest.approx(float(slope), rel=2e-2, abs=1e-2)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_new_model_of_any_size_interpolates(scale: int) -> None:
    """Within 4.3 levels of a ramp of (4, 2) a pixel: the first step rounds quarters, up to 2 levels; the rest is that
    the kernels are bells, not lines."""
    model = build_model(families.describe("lerf", scale), NetworkSpec(width=4, depth=1, linear=True, bound="clamp"))
    position = torch.arange(24.0)
    image = (40 + 4 * position[:, None] + 2 * position).expand(1, 1, 24, 24)
    centre = (torch.arange(24.0 * scale) + 0.5) / scale - 0.5
    expected = 40 + 4 * centre[:, None] + 2 * centre
    with torch.no_grad():
        found = model(image)[0, 0]
    inside = (slice(8 * scale, -8 * scale), slice(8 * scale, -8 * scale))
    assert (found[inside] - expected[inside]).abs().max() <= 4.3
    assert (found[inside] - expected[inside]).abs().mean() <= 1.5
