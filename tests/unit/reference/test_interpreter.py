"""The interpreter: goldens of every family, bands, colour planes, and the relations between families."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lutra.model import families
from lutra.model.description import FixedTaps, NetworkSpec
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference import interpreter
from lutra.reference.build import build_model
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import BAND_PIXELS, LutModel
from lutra.reference.sampling import AdaRL, AutoSample
from lutra.reference.units import LutUnit, Table
from lutra.training.tabulate import through_tables, to_networks, to_tables
from tests.golden import cases

SMALL = NetworkSpec(width=4, depth=1, linear=True, bound="clamp")


@pytest.mark.parametrize("name", [*cases.CASES, *cases.LAYERED, *cases.COLOURED, *cases.COLOUR_UNITS])
def test_golden(name: str) -> None:
    with np.load(cases.OUTPUTS) as golden:
        for key, array in cases.restored(name).items():
            assert np.array_equal(array, golden[key]), key


@pytest.mark.parametrize("name", ["srlut-x3-reflect", "mulut-sdy-x4", "autolut-spflut-dfc-x2", *cases.LAYERED])
def test_bands_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = from_artifact(cases.model(name))
    image = torch.from_numpy(cases.image(67, 5)).expand(2, 1, -1, -1)
    whole = model.restore(image)
    monkeypatch.setattr(interpreter, "BAND_PIXELS", 1)
    assert torch.equal(model.restore(image), whole)


def test_planes_are_restored_one_by_one() -> None:
    model = from_artifact(cases.model("mulut-sdy-x4"))
    planes = torch.from_numpy(np.stack([cases.image(6, 5), cases.image(6, 5).T.reshape(6, 5)])).unsqueeze(1)
    both = model.restore(planes)
    assert torch.equal(both, torch.cat([model.restore(plane[None]) for plane in planes]))


@pytest.mark.parametrize(("family", "options"), [("srlut", {}), ("mulut", {}), ("spflut", {}), ("autolut", {})])
def test_rotating_the_image_rotates_the_result(family: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = build_model(families.describe(family, 2, options), NetworkSpec(width=4, depth=1))
    model = LutModel(replace(model.description, rounding="exact"), model.by_name())
    image = torch.randint(0, 256, (1, 1, 7, 9), dtype=torch.uint8)
    turned = model.restore(torch.rot90(image, 1, (2, 3)))
    difference = (turned.int() - torch.rot90(model.restore(image), 1, (2, 3)).int()).abs()
    assert difference.max() <= 1  # the float sum over rotations runs in another order
    assert (difference > 0).float().mean() < 0.02


INTERPOLATING = [
    name for name in families.FAMILIES if (own := families.describe(name, 4)).has_units and not own.any_size
]


@pytest.mark.parametrize("family", INTERPOLATING)
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_interpolation_start_restores_linear_images(family: str, scale: int) -> None:
    model = build_model(families.describe(family, scale), SMALL)
    if family == "autolut":
        for unit in model.lut_units():
            one_hot(unit)
    position = torch.arange(24.0)
    image = (40 + 4 * position[:, None] + 2 * position).expand(1, model.description.colours, 24, 24)
    centre = (torch.arange(24.0 * scale) + 0.5) / scale - 0.5
    expected = 40 + 4 * centre[:, None] + 2 * centre
    border = 8 * scale
    with torch.no_grad():
        got = model(image)[0, 0]
    inside = (slice(border, -border), slice(border, -border))
    assert (
        got[inside] - expected[inside]
    ).abs().max() <= 2.001  # each of the four rotations rounds a quarter of the pixel to a level


def one_hot(unit: LutUnit) -> None:
    """Make AutoSample take the pattern it starts from, and AdaRL the current group alone."""
    if isinstance(unit.sampler, AutoSample):
        unit.sampler.logits.data = (unit.sampler.logits.data > 0).float() * 1000
    if isinstance(unit.adarl, AdaRL):
        unit.adarl.mix.data.zero_()


@pytest.mark.parametrize("tap_bits", [None, 6])
def test_autolut_on_spflut_with_one_hot_kernels_is_spflut(tap_bits: int | None) -> None:
    torch.manual_seed(0)
    plain = to_tables(
        build_model(families.describe("spflut", 4, {"patterns": "s"}), NetworkSpec(width=8)), DiagonalLayout()
    )
    light = build_model(families.describe("autolut", 4, {"base": "spflut"}), SMALL)
    units = {}
    for source, target in zip(plain.lut_units(), light.lut_units(), strict=True):
        assert isinstance(source.function, Table)
        unit = LutUnit(target.spec, source.function, tap_bits)
        one_hot(unit)
        units[target.spec.name] = unit
    image = torch.randint(0, 256, (2, 1, 11, 13), dtype=torch.uint8)
    assert torch.equal(LutModel(light.description, units).restore(image), plain.restore(image))


def test_export_leaves_a_table_alone_and_the_model_unchanged() -> None:
    model = build_model(families.describe("mulut", 2), SMALL)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tables = to_tables(model, DenseLayout(6))
    assert all(isinstance(unit.function, Table) for unit in tables.lut_units())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    again = to_tables(tables, DenseLayout(4))
    first, second = (
        [unit.function.layout for unit in one.lut_units() if isinstance(unit.function, Table)]
        for one in (tables, again)
    )
    assert first == second and len(first) == len(list(tables.lut_units()))


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("layout", [DenseLayout(6), DiagonalLayout(5, 1, 6)], ids=["dense", "dfc"])
def test_training_through_tables_sees_the_exported_model(family: str, layout: Layout) -> None:
    torch.manual_seed(2)
    model = build_model(families.describe(family, 2), NetworkSpec(width=4, depth=1))
    seen = through_tables(model, layout)
    image = torch.randint(0, 256, (1, model.description.colours, 6, 7)).float()
    assert torch.equal(seen(image), to_tables(to_networks(seen), layout)(image))
    seen(image).square().mean().backward()
    assert all(parameter.grad is not None for unit in seen.lut_units() for parameter in unit.function.parameters())


@pytest.mark.parametrize("trained", [False, True])
def test_samplers_are_trained_on_request(trained: bool) -> None:
    model = from_artifact(cases.model("autolut-mulut-x4"))
    model.train_samplers(trained)
    image = torch.randint(0, 256, (1, 1, 9, 9)).float()
    model(image).square().mean().backward()
    for unit in model.lut_units():
        for module in (unit.sampler, unit.adarl):
            for parameter in module.parameters() if module else ():
                assert (parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)) is trained
        assert isinstance(unit.function, Table)
        assert unit.function.values.grad is not None


@pytest.mark.parametrize("name", ["mulut-dfc-x2", "spflut-dfc-x1"])
def test_both_parts_of_a_compressed_table_are_trained(name: str) -> None:
    model = from_artifact(cases.model(name))
    smooth = torch.arange(40.0).repeat(20, 1) * 3
    rough = torch.from_numpy(cases.image(20, 40)).float()
    model(torch.stack([smooth, rough]).unsqueeze(1)).square().mean().backward()
    for unit in model.lut_units():
        assert isinstance(unit.function, Table)
        if isinstance(unit.function.layout, DiagonalLayout):
            gradient = unit.function.values.grad
            assert gradient is not None
            assert gradient[: unit.function.layout.diagonal_entries].abs().sum() > 0
            assert gradient[unit.function.layout.diagonal_entries :].abs().sum() > 0


def test_a_linear_network_exports_exactly() -> None:
    model = build_model(families.describe("srlut", 2), replace(SMALL, bound="clamp"))
    image = torch.randint(0, 256, (1, 1, 12, 12), dtype=torch.uint8)
    difference = model.restore(image).int() - to_tables(model, DenseLayout(4)).restore(image).int()
    assert difference.abs().max() <= 2  # four entries, each rounded to a level


def test_a_model_that_sees_single_pixels_restores_wide_images() -> None:
    """Its bands overlap by no row, and a row has more pixels than a band may."""
    described = families.describe("srlut", 1)
    (step,) = described.unit_steps
    unit = replace(step.units[0], taps=FixedTaps("point", ((0, 0),) * 4))
    described = replace(described, steps=(replace(step, units=(unit,)),))
    model = to_tables(build_model(described, NetworkSpec("plain", 4, 1, linear=True)), DenseLayout(6))
    assert model.description.radius == 0
    image = torch.zeros((1, 1, 2, BAND_PIXELS + 5), dtype=torch.uint8)
    assert model.restore(image).shape == image.shape
