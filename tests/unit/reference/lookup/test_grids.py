"""The compiled resampling of training against the reference: means equal, gradients too, at any level and threads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lutra import engine
from lutra._core import available, core
from lutra.model.anysize import POLYNOMIAL, POWERS, Border, Grid, outputs_of
from lutra.reference import lookup, resampling
from lutra.reference.lookup import grids

pytestmark = [
    pytest.mark.skipif(not available(), reason="the compiled core was not built"),
    pytest.mark.usefixtures("two_threads"),
]
LEVELS = engine.levels() if available() else []


def planes_of(shape: tuple[int, ...], seed: int, whole: bool = True) -> Tensor:
    planes = torch.rand((shape[0], 4, *shape[1:]), generator=torch.Generator().manual_seed(seed)) * 255
    return planes.round() if whole else planes


def grid_of(size: tuple[int, int], factors: tuple[float, float]) -> Grid:
    rows, columns = (outputs_of(side, factor) for side, factor in zip(size, factors, strict=True))
    return Grid.enlarged(size, (rows, columns), factors)


def gradient_of(means: Tensor, planes: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, means.numel(), dtype=torch.float64).reshape(means.shape)
    (gradient,) = torch.autograd.grad((means * weights).sum(), planes)
    return gradient


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12) | st.sampled_from([63, 64, 65])),
    factors=st.tuples(*[st.sampled_from([1.0, 1.5, 2.0, 2.3, 3.7, 4.0]) | st.floats(1, 6)] * 2),
    border=st.sampled_from(["replicate", "zero"]),
    whole=st.booleans(),
    seed=st.integers(0, 99),
)
def test_means_and_gradients_are_those_of_the_reference(
    shape: tuple[int, int, int], factors: tuple[float, float], border: Border, whole: bool, seed: int
) -> None:
    planes = planes_of(shape, seed, whole).requires_grad_()
    grid = grid_of(shape[1:], factors)
    with lookup.using("reference"):
        expected = resampling.on_grid(planes, border, grid)
    slopes = gradient_of(expected, planes)
    for level in LEVELS:
        found = grids.means_on_grid(planes, border, grid, level)
        assert torch.equal(found, expected), level
        # The reference sums gradients in float32, of 24 bits, and some nearly cancel out.
        assert torch.allclose(
            gradient_of(found, planes), slopes, rtol=1e-5, atol=1e-5 * (1 + float(slopes.abs().max()))
        )


@pytest.mark.parametrize("border", ["replicate", "zero"])
def test_gradients_are_those_of_finite_differences(border: Border) -> None:
    """At steps of 1/50 level: the kernels' parameters are rounded to float32."""
    planes = planes_of((2, 4, 3), 1, whole=False).double().clamp(1, 254).requires_grad_()
    grid = grid_of((4, 3), (2.3, 1.5))
    assert torch.autograd.gradcheck(
        lambda planes: grids.means_on_grid(planes, border, grid), planes, eps=0.02, atol=2e-3, rtol=1e-3
    )


def test_threads_change_nothing() -> None:
    planes = planes_of((5, 20, 21), 2).requires_grad_()
    grid = grid_of((20, 21), (3.7, 2.3))
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        means = grids.means_on_grid(planes, "replicate", grid)
        results.append((means, gradient_of(means, planes)))
    for other in results[1:]:
        assert all(torch.equal(one, same) for one, same in zip(results[0], other, strict=True))


def test_arrays_that_do_not_fit_are_refused() -> None:
    resampler = core.Resampler(np.zeros((3, 256)), POWERS, POLYNOMIAL, True)
    grid = grid_of((4, 5), (2, 2))
    axes = grid.rows.first, grid.rows.distance, grid.columns.first, grid.columns.distance
    planes, means = np.zeros((2, 4, 4, 5)), np.zeros((2, 8, 10))
    with pytest.raises(ValueError, match="expected 4 of every image"):
        resampler.means(np.zeros((2, 3, 4, 5)), *axes, means, 1)
    with pytest.raises(ValueError, match="does not fit the planes"):
        resampler.means(planes, *axes, np.zeros((1, 8, 10)), 1)
    with pytest.raises(ValueError, match="not that of the output"):
        resampler.means(planes, *axes, np.zeros((2, 8, 9)), 1)
    with pytest.raises(ValueError, match="beyond the border"):
        resampler.means(np.zeros((2, 4, 2, 5)), *axes, means, 1)
    with pytest.raises(ValueError, match="not that of the means"):
        resampler.slopes(planes, *axes, means, means[:1], np.zeros_like(planes), 1)
    with pytest.raises(ValueError, match="not that of the planes"):
        resampler.slopes(planes, *axes, means, means, planes[:, :3].copy(), 1)
