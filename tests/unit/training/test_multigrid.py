"""Multigrid tables: the same function before and after, and a gradient that reaches entries nobody visited."""

import pytest
import torch

from lutra.model.layouts import DenseLayout
from lutra.reference.convert import from_artifact
from lutra.reference.units import Table
from lutra.training import multigrid
from tests.golden import cases


@pytest.mark.parametrize("name", ["srlut-x4", "mulut-dfc-x2", "spflut-x4", "autolut-mulut-x4"])
def test_spreading_and_gathering_change_nothing(name: str) -> None:
    model = from_artifact(cases.model(name))
    image = torch.from_numpy(cases.image(9, 7))[None, None]
    wide = multigrid.with_grids(model, (7, 8))
    assert torch.equal(wide.restore(image), model.restore(image))
    again = multigrid.without_grids(wide)
    assert {type(unit.function) for unit in again.lut_units()} == {Table}
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_a_coarse_grid_is_a_linear_shape_on_the_fine_one() -> None:
    model = multigrid.with_grids(from_artifact(cases.model("srlut-x4")), (7,))
    (unit,) = model.lut_units()
    table = unit.function
    assert isinstance(table, multigrid.MultigridTable)
    with torch.no_grad():
        table.values.zero_()
        nodes = torch.from_numpy(cases.DENSE.nodes()).float()
        coarse = torch.from_numpy(DenseLayout(7).nodes()).float()
        table.coarse[0].copy_((coarse.sum(dim=1, keepdim=True) / 16).expand(-1, 16))
    assert torch.allclose(table.quantised(), (nodes.sum(dim=1, keepdim=True) / 16).round().expand(-1, 16))


def test_one_step_moves_more_than_was_visited() -> None:
    model = multigrid.with_grids(from_artifact(cases.model("srlut-x4")), (7,))
    (unit,) = model.lut_units()
    table = unit.function
    assert isinstance(table, multigrid.MultigridTable)
    before = table.quantised().detach().clone()
    optimizer = torch.optim.Adam(table.parameters(), 5.0)
    model(torch.full((1, 1, 4, 4), 100.0)).square().mean().backward()
    optimizer.step()
    visited = (table.values.grad != 0).any(dim=1).sum()  # type: ignore[union-attr]
    moved = (table.quantised() != before).any(dim=1).sum()
    assert moved > 4 * visited > 0


@pytest.mark.parametrize("name", ["shiftlut-s-x4", "shiftlut-steps-x4", "shiftlut-rounded-x3", "tinylut-x4"])
def test_grids_of_vectors_change_nothing(name: str) -> None:
    model = from_artifact(cases.model(name))
    image = torch.from_numpy(cases.image(9, 7))[None, None]
    wide = multigrid.with_grids(model, (4, 5, 7))
    assert torch.equal(wide.restore(image), model.restore(image))
    again = multigrid.without_grids(wide)
    assert not any(isinstance(one, multigrid.MultigridVectors) for one in again.layers_by_name().values())
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_a_coarse_grid_of_vectors_is_a_line_on_the_fine_one() -> None:
    model = multigrid.with_grids(from_artifact(cases.model("shiftlut-s-x4")), (7, 6))
    vectors = model.layer("pw0")
    assert isinstance(vectors, multigrid.MultigridVectors)
    assert vectors.coarse.shape == (256, 3 + 5)
    with torch.no_grad():
        vectors.samples.zero_()
        vectors.coarse.zero_()
        vectors.coarse[7, :3] = torch.tensor([-63.0, 0.0, 126.0])
    line = torch.cat([torch.linspace(-63, 0, 64)[::2][:32], torch.linspace(0, 126, 64)[1::2]])
    found = vectors.quantised().reshape(256, 64)
    assert not found[torch.arange(256) != 7].any()
    assert torch.allclose(found[7], line, atol=0.6)  # nodes at the ends and in the middle, rounded to levels
