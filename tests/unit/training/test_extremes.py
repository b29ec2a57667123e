"""Black and white areas come out exactly, and little else changes."""

import pytest
import torch

from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference.build import build_model, untrained
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors
from lutra.reference.units import Table
from lutra.training.extremes import ENDS, keep_extremes
from lutra.training.tabulate import started, steps_of, stored, to_tables

DENSE, DIAGONAL = DenseLayout(4), DiagonalLayout(5, 1, 6)
MODELS = [
    ("srlut", 1, {}, DENSE, "sr"),
    ("srlut", 4, {}, DENSE, "deblock"),
    ("mulut", 2, {}, DIAGONAL, "sr"),
    ("mulut", 1, {}, DIAGONAL, "deblock"),
    ("spflut", 1, {}, DIAGONAL, "deblock"),
    ("autolut", 3, {"base": "mulut"}, DIAGONAL, "sr"),
    ("lerf", 2, {}, DIAGONAL, "sr"),
]


def model(family: str, scale: int, options: dict[str, str], layout: Layout) -> LutModel:
    """Tables some levels off interpolation."""
    torch.manual_seed(0)
    found = to_tables(
        build_model(families.describe(family, scale, options), NetworkSpec("plain", 4, 1, linear=True)), layout
    )
    for unit in found.lut_units():
        assert isinstance(unit.function, Table)
        values = unit.function.values.data
        values += torch.randint(-3, 4, values.shape)
    return found


def entries(of: LutModel) -> list[torch.Tensor]:
    """The model's tables as they ship."""
    return [unit.function.quantised().detach() for unit in of.lut_units() if isinstance(unit.function, Table)]


def kept_of(found: LutModel, task: str) -> LutModel:
    """The corrected model: flat areas come out as they went in, and did not before."""
    kept = keep_extremes(found, task)
    moved = 0
    for level in ENDS["luma" if task == "deblock" else "each"]:
        flat = torch.full((1, 1, 9, 8), level, dtype=torch.uint8)
        moved += int((found.restore(flat) != level).any())
        assert (kept.restore(flat) == level).all()
    assert moved
    return kept


@pytest.mark.parametrize(("family", "scale", "options", "layout", "task"), MODELS)
def test_flat_areas_come_out_as_they_went_in(
    family: str, scale: int, options: dict[str, str], layout: Layout, task: str
) -> None:
    found = model(family, scale, options, layout)
    kept = kept_of(found, task)
    changed = sum(int((a != b).any(dim=1).sum()) for a, b in zip(entries(found), entries(kept), strict=True))
    assert 0 < changed <= 16


def test_a_model_that_keeps_them_already_is_left_alone() -> None:
    found = keep_extremes(model("srlut", 2, {}, DENSE), "sr")
    kept = keep_extremes(found, "sr")
    for a, b in zip(entries(found), entries(kept), strict=True):
        assert torch.equal(a, b)


# Seed 8: what white takes changes black.
@pytest.mark.parametrize(
    ("scale", "task", "seed", "step"), [(4, "sr", 3, 2), (4, "sr", 8, 4), (1, "deblock", 3, 2), (1, "denoise", 3, 2)]
)
def test_flat_areas_of_layers_come_out_as_they_went_in(scale: int, task: str, seed: int, step: int) -> None:
    found = untrained(families.describe("shiftlut", scale, {"blocks": 2}), NetworkSpec())
    generator = torch.Generator().manual_seed(seed)
    for vectors in found.layers_by_name().values():
        assert isinstance(vectors, Vectors)
        vectors.samples.data = torch.randint(-60, 61, vectors.samples.shape, generator=generator).float()
    found = started(found)
    found = stored(found, steps_of(found, step, step))
    if scale > 1:  # the state of a flat area, 31 or less, is added four times: three levels are missing to white
        assert int(found.restore(torch.full((1, 1, 9, 8), 255, dtype=torch.uint8)).min()) < 255
    kept = kept_of(found, task)
    for layer in found.layers_by_name():
        before, after = (one.state_dict()[f"functions.{layer}.samples"] for one in (found, kept))
        assert torch.equal(before, after) == (layer != "up")
