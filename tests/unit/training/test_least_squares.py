"""Least squares: the solution is the dense solver's, stops by the held-out images, and keeps the earlier steps."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference.build import build_model
from lutra.reference.interpreter import LutModel
from lutra.reference.units import Table
from lutra.training import least_squares
from lutra.training.tabulate import to_tables

DIAGONAL = DiagonalLayout(6, 1, 7)
Planes = NDArray[np.uint8]


def start(family: str, layout: Layout, **options: Any) -> LutModel:
    torch.manual_seed(0)
    network = NetworkSpec("plain", width=4, depth=1, bound="clamp", linear=True)
    return to_tables(build_model(families.describe(family, 2, options), network), layout)


def planes(count: int, seed: int) -> tuple[Planes, Planes]:
    """Smooth LR planes and HR planes that are no bilinear enlargement of them."""
    rows, columns = np.mgrid[0:24, 0:28]
    phase = np.random.default_rng(seed).uniform(0, 6, (count, 1, 1))
    hr = 127 + 60 * np.sin(rows / 3 + phase) + 50 * np.cos(columns / 2.5 - phase)
    hr = np.where(hr > 150, 220, hr).round().astype(np.uint8)
    return np.ascontiguousarray(hr[:, ::2, ::2]), hr


def tables(model: LutModel) -> list[torch.Tensor]:
    return [unit.function.values.detach() for unit in model.lut_units() if isinstance(unit.function, Table)]


@pytest.mark.parametrize("layout", [DenseLayout(7), DIAGONAL], ids=["dense", "diagonal"])
def test_the_solution_is_that_of_the_normal_equations(layout: Layout) -> None:
    model, images, smoothness = start("srlut", layout), [planes(3, 0)], 50.0
    problem = least_squares._Problem(model, images)
    (before,) = problem.start()
    basis = torch.eye(before.numel()).reshape(-1, *before.shape)
    matrix = torch.stack([problem.normal([one], smoothness)[0].flatten() for one in basis]).double()
    assert torch.allclose(matrix, matrix.T, rtol=1e-4, atol=1e-2)
    right = problem.gradient([before])[0][0].flatten().double()
    # Rotations add a 2 x 2 square's values up, so what is moved from one value to another everywhere changes nothing.
    expected = before.double() + (torch.linalg.pinv(matrix, rtol=1e-6) @ right).reshape(before.shape)
    found = least_squares.solve(model, images, images, iterations=300, smoothness=smoothness)
    # Whole levels, near a minimum that is flat in some directions.
    assert (tables(found)[0] - expected.clamp(-128, 127)).abs().max() <= 2
    assert problem.error(tables(found)) == pytest.approx(problem.error([expected.float()]), rel=5e-3)


@pytest.mark.parametrize("layout", [DenseLayout(6), DIAGONAL], ids=["dense", "diagonal"])
@pytest.mark.parametrize(
    ("family", "options"), [("srlut", {}), ("mulut", {"patterns": "sd"}), ("spflut", {"patterns": "s"})]
)
def test_it_improves_on_interpolation_and_keeps_the_earlier_steps(
    family: str, options: dict[str, Any], layout: Layout
) -> None:
    model = start(family, layout, **options)
    last = {unit.name for unit in model.description.unit_steps[-1].units}
    seen: list[least_squares.Progress] = []
    found = least_squares.solve(model, [planes(4, 0)], [planes(1, 1)], iterations=20, report=seen.append)
    first = least_squares._Problem(model, [planes(1, 1)])
    before, after = first.error(first.start()), least_squares._Problem(found, [planes(1, 1)])
    assert after.error(after.start()) < 0.9 * before
    assert seen[-1].error < seen[0].error
    for spec, one, other in zip(
        [unit for _, unit in model.description.units()], tables(model), tables(found), strict=True
    ):
        assert torch.equal(one, other) == (spec.name not in last)
    lr, hr = planes(1, 1)
    restored = [m.restore(torch.from_numpy(lr)[:, None])[0, 0].numpy().astype(float) for m in (model, found)]
    errors = [np.square(image - hr[0]).mean() for image in restored]
    assert errors[1] < 0.9 * errors[0]


def test_the_held_out_images_decide_when_to_stop() -> None:
    model = start("srlut", DenseLayout(6))
    lr, hr = planes(2, 0)
    other = [(lr, np.ascontiguousarray(hr[:, ::-1]))]  # what helps the one soon hurts the other
    seen: list[least_squares.Progress] = []
    found = least_squares.solve(model, [(lr, hr)], other, iterations=100, report=seen.append)
    best = min(seen, key=lambda progress: progress.held_out)
    assert len(seen) == best.iteration + least_squares.PATIENCE < 100
    check = least_squares._Problem(found, other)
    assert check.error(check.start()) == pytest.approx(best.held_out, rel=1e-2)  # tables are rounded


def test_what_it_cannot_fit_is_refused() -> None:
    model = start("srlut", DenseLayout(7))
    with pytest.raises(ValueError, match="needs images"):
        least_squares.solve(model, [], [planes(1, 0)])
    network = build_model(families.describe("srlut", 2), NetworkSpec("plain", 4, 1))
    with pytest.raises(ValueError, match="is no table: least squares fits"):
        least_squares.solve(network, [planes(1, 0)], [planes(1, 0)])
    with pytest.raises(ValueError, match="the last tables of lerf make kernels"):
        least_squares.solve(start("lerf", DenseLayout(7)), [planes(1, 0)], [planes(1, 0)])


@pytest.mark.parametrize("layout", [DenseLayout(6), DIAGONAL, DiagonalLayout(6, 2, 7, "xy")])
def test_edges_join_the_nodes_that_are_one_step_apart(layout: Layout) -> None:
    nodes = layout.nodes()
    first, second = layout.edges()
    apart = nodes[second] - nodes[first]
    assert ((apart != 0).sum(axis=1) == 1).all() and (apart.sum(axis=1) > 0).all()
    starts = [0] if isinstance(layout, DenseLayout) else [0, layout.diagonal_entries]
    intervals = [layout.interval] if isinstance(layout, DenseLayout) else [layout.interval, layout.coarse]
    expected = 0
    for begin, end, bits in zip(starts, [*starts[1:], layout.entries], intervals, strict=True):
        part = nodes[begin:end]
        known = {tuple(node) for node in part.tolist()}
        steps = np.eye(4, dtype=np.int64) << bits
        expected += sum(tuple((node + step).tolist()) in known for node in part for step in steps)
    assert len(first) == expected
