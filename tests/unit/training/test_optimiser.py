"""The optimiser of vectors: where it equals Adam, and what it does with channels that are mixed."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.vectors import VectorLayout
from lutra.reference.build import untrained
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors
from lutra.training.multigrid import with_grids
from lutra.training.optimiser import Adam, Grid, RotatedAdam, optimiser_of

GRID = (4, 5, 7)


def moved(gradients: list[Tensor], grid: Grid | None, *, parameters: int = 1) -> list[Tensor]:
    """Return where parameters are after steps along the same gradients, from zero."""
    moving = [torch.nn.Parameter(torch.zeros_like(gradients[0])) for _ in range(parameters)]
    optimiser = RotatedAdam([{"params": moving, "lr": 0.1, "betas": (0.9, 0.99), "grids": [grid] * parameters}])
    for gradient in gradients:
        for parameter in moving:
            parameter.grad = gradient
        optimiser.step()
    return [parameter.detach() for parameter in moving]


def drawn(count: int, *shape: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return list(torch.randn(count, *shape, generator=generator))


def orthogonal(size: int) -> Tensor:
    return torch.linalg.qr(drawn(1, size, size)[0]).Q


def grids_of(model: LutModel) -> dict[int, Grid | None]:
    """Return the grid of every parameter, by its id."""
    groups = optimiser_of(model, 0.01).param_groups
    return {id(p): grid for group in groups for p, grid in zip(group["params"], group["grids"], strict=True)}


def test_without_channels_it_is_adam() -> None:
    gradients = drawn(25, 6, 3)
    expected = torch.nn.Parameter(torch.zeros(6, 3))
    adam = torch.optim.Adam([expected], 0.1, (0.9, 0.99))
    for gradient in gradients:
        expected.grad = gradient
        adam.step()
    assert torch.allclose(moved(gradients, None)[0], expected, atol=1e-6)


def test_mixing_the_channels_mixes_its_steps() -> None:
    gradients = drawn(25, *GRID)
    inputs, outputs = orthogonal(GRID[0]), orthogonal(GRID[1])
    mixed = [torch.einsum("ij,kl,jln->ikn", inputs, outputs, gradient) for gradient in gradients]
    expected = torch.einsum("ij,kl,jln->ikn", inputs, outputs, moved(gradients, GRID)[0])
    assert torch.allclose(moved(mixed, GRID)[0], expected, atol=2e-3)
    assert not torch.allclose(moved(mixed, None)[0], expected, atol=0.1)


def test_parameters_of_one_shape_move_as_each_alone() -> None:
    gradients = drawn(12, *GRID)
    alone = moved(gradients, GRID)[0]
    for one in moved(gradients, GRID, parameters=3):
        assert torch.allclose(one, alone, atol=1e-6)


def test_it_is_fast_where_channels_are_mixed() -> None:
    inputs, outputs, samples = 16, 16, 5
    mixed = orthogonal(inputs) * torch.logspace(0, -2, inputs)  # curvatures from 1 to 10,000, along sums of channels
    target = torch.einsum("ij,jon->ion", orthogonal(inputs), torch.ones(inputs, outputs, samples))

    def left(rotated: bool) -> float:
        values = torch.nn.Parameter(torch.zeros(inputs, outputs, samples))
        group = {"params": [values], "lr": 0.1, "betas": (0.9, 0.99)}
        grid = (inputs, outputs, samples) if rotated else None
        optimiser = RotatedAdam([group | {"grids": [grid]}])
        for _ in range(400):
            optimiser.zero_grad()
            loss = torch.einsum("ij,ion->jon", mixed, values - target).square().sum()
            loss.backward()
            optimiser.step()
        return float(loss.detach())

    assert left(rotated=True) < left(rotated=False) / 4


@pytest.mark.parametrize(("family", "kind"), [("shiftlut", RotatedAdam), ("srlut", Adam), ("hklut", Adam)])
def test_vectors_alone_are_rotated(family: str, kind: type) -> None:
    model = untrained(families.describe(family, 2), NetworkSpec(), 0)
    assert type(optimiser_of(model, 0.01)) is kind


def test_vectors_know_their_channels() -> None:
    model = with_grids(untrained(families.describe("shiftlut", 2, {"blocks": 2}), NetworkSpec(), 0), [5, 7])
    found = grids_of(model)
    for function in model.layers_by_name().values():
        assert isinstance(function, Vectors)
        for parameter in function.parameters():
            grid = found[id(parameter)]
            assert grid and grid[:2] == (function.form.inputs, function.form.outputs)


def test_vectors_of_several_steps_move_by_adam() -> None:
    model = untrained(families.describe("shiftlut", 2), NetworkSpec(), 0)
    form = model.layers_by_name()["up"].form
    rows = tuple(tuple(2 if column % 2 else 4 for column in range(form.outputs)) for _ in range(form.inputs))
    model.replace_function("up", Vectors(VectorLayout(rows), form))
    assert grids_of(model)[id(model.layers_by_name()["up"].samples)] is None


def test_threads_do_not_change_a_step() -> None:
    gradients = drawn(12, 16, 16, 33)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(moved(gradients, (16, 16, 33), parameters=5)[0])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in pairwise(found))
