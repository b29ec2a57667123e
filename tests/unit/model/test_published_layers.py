"""Published models of layers: their files in and out, byte for byte, and their outputs; damaged files."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from lutra.imaging.images import read_image
from lutra.model.artifact import Artifact
from lutra.model.description import Residual
from lutra.model.published.networks import read_network
from lutra.model.published.tables import read_tables, sidecar_of, write_tables
from lutra.model.vectors import Direct, VectorLayout
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from tests.golden import cases
from tests.unit.model.exported import exported

Folder = Callable[[str], Path]


CORNER = 160


SETS: dict[str, tuple[str, int, str, int]] = {  # folder of tables -> family, scale, expected outputs, bytes
    "shiftlut/sr_x4_S": ("shiftlut", 4, "shiftlut/expected_sr_x4_S", 24_312),
    "shiftlut/sr_x4_L": ("shiftlut", 4, "shiftlut/expected_sr_x4_L", 119_182),
    "shiftlut/deblock_q10": ("shiftlut", 1, "shiftlut/expected_deblock_q10", 61_133),
    "tinylut": ("tinylut", 4, "tinylut/expected_x4", 37_776 + 4 * 16 * 4),
    "hklut": ("hklut", 4, "hklut/expected_x4", 102_400),
}


def published(reference: Folder, name: str) -> Artifact:
    family, scale, _, _ = SETS[name]
    return read_tables([reference(name)], family, scale)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def planes(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(np.atleast_3d(read_image(path)), -1, 0).copy()).unsqueeze(1)


def input_of(reference: Folder, name: str, path: Path) -> torch.Tensor:
    """The input of an expected output."""
    if path.stem.startswith("noise"):
        noise = planes(reference("noise.png"))
        return noise[1:2] if path.stem == "noise_green" else noise
    folder = "shiftlut/deblock_input" if name == "shiftlut/deblock_q10" else "resize/uint8_x4"
    return planes(reference(folder) / path.name)


def assert_restores_as_published(model: LutModel, reference: Folder, name: str, path: Path) -> None:
    """Return a corner of a large image; the engine's tests restore whole ones."""
    image, expected = input_of(reference, name, path), planes(path)
    if image.shape[-1] > CORNER:
        sure = (CORNER - model.description.radius) * model.description.scale
        image, expected = image[..., :CORNER, :CORNER], expected[..., :sure, :sure]
    found = model.restore(image)[..., : expected.shape[-2], : expected.shape[-1]]
    assert torch.equal(found.expand_as(expected), expected), path.name  # gray outputs may be stored as RGB


@pytest.mark.reference
@pytest.mark.parametrize("name", SETS)
def test_published_tables_give_the_published_images(reference: Folder, name: str) -> None:
    model = from_artifact(published(reference, name))
    images = sorted(reference(SETS[name][2]).glob("*.png"), key=lambda path: path.stat().st_size)
    assert images
    for path in images:
        assert_restores_as_published(model, reference, name, path)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["noise", "butterfly"])
def test_the_state_between_the_stages_of_hklut_is_the_published_one(reference: Folder, name: str) -> None:
    whole = published(reference, "hklut")
    first, _ = (step for step in whole.description.steps if isinstance(step, Residual))
    description = replace(whole.description, scale=2, steps=(replace(first, writes="output"),))
    functions = {table.name: Direct() for table in first.tables}
    tensors = {f"{table}.direct": whole.tensors[f"{table}.direct"] for table in functions}
    model = from_artifact(Artifact(description, functions, tensors))
    path = reference("noise.png") if name == "noise" else reference("resize/uint8_x4") / f"{name}.png"
    found = model(planes(path).float()).detach()[:, 0].numpy()
    assert np.array_equal(found, np.load(reference("hklut/after_first_stage") / f"{name}.npy") * np.float32(255))


@pytest.mark.reference
@pytest.mark.parametrize("name", SETS)
def test_published_files_come_back_byte_for_byte(reference: Folder, name: str, tmp_path: Path) -> None:
    model = published(reference, name)
    assert model.table_bytes == SETS[name][3]
    written = write_tables(model, tmp_path)
    assert {path.name: path.read_bytes() for path in written} == files_of(reference(name))
    again = read_tables([tmp_path], *SETS[name][:2])
    assert (again.description, again.functions) == (model.description, model.functions)
    assert all(np.array_equal(again.tensors[key], array) for key, array in model.tensors.items())


@pytest.mark.parametrize("name", cases.LAYERED)
def test_an_own_model_comes_back_whole_by_its_sidecar_and_restores_the_same_without(name: str, tmp_path: Path) -> None:
    model = replace(cases.model(name), task="denoise", options={"sigma": 15}, provenance={"data": "photos"})
    written = write_tables(model, tmp_path)
    family, scale = model.description.family, model.description.scale
    again = read_tables(written, family, scale)
    assert (again.task, again.options, again.provenance) == ("denoise", {"sigma": 15}, {"data": "photos"})
    assert again.description == model.description
    if name != "tinylut-x2":  # its vectors go over to the ranges of its scales
        assert again.functions == model.functions
        assert all(np.array_equal(again.tensors[key], array) for key, array in model.tensors.items())
    first = {path: path.read_bytes() for path in tmp_path.iterdir()}
    write_tables(again, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == first
    sidecar_of(written).unlink()
    bare = read_tables(written, family, scale)
    image = cases.image(9, 7)
    assert np.array_equal(from_artifact(again).restore_image(image), from_artifact(model).restore_image(image))
    rounded = "rounded" in name  # which the files do not tell
    assert (
        np.array_equal(from_artifact(bare).restore_image(image), from_artifact(model).restore_image(image)) != rounded
    )


def test_archives_are_those_that_numpy_reads(tmp_path: Path) -> None:
    folder = exported(tmp_path, "shiftlut-steps-x4")
    model = cases.model("shiftlut-steps-x4")
    with np.load(folder / "PW1_MSB.npz") as archive:
        whole = np.concatenate([archive[f"i{a}o{b}"] for a in range(16) for b in range(16)])
    assert np.array_equal(whole, model.tensors["pw1.vectors"]) and whole.dtype == np.int8
    assert zipfile.ZipFile(folder / "PW1_MSB.npz").testzip() is None
    content = json.loads((folder / "PW1_MSB.json").read_text())
    layout = model.functions["pw1"]
    assert isinstance(layout, VectorLayout) and isinstance(layout.steps, tuple)
    assert content["LUTs"][17] == {"in": 1, "out": 1, "step": layout.steps[1][1]}
    offsets = np.load(folder / "offset.npy")
    assert (offsets.shape, offsets.dtype.str) == ((2, 2, 16), "<i4")


@pytest.mark.parametrize("family", ["shiftlut", "tinylut", "hklut"])
def test_networks_of_families_without_units_are_refused(tmp_path: Path, family: str) -> None:
    save_file({"s1_s.model.conv1.conv.weight": np.zeros((4, 4), np.float32)}, tmp_path / "network.safetensors")
    with pytest.raises(ValueError, match=rf"network\.safetensors: family '{family}' has no networks to read"):
        read_network(tmp_path / "network.safetensors", family, 4)


def test_models_that_the_published_files_cannot_hold_are_refused(tmp_path: Path) -> None:
    tiny, shift = cases.model("tinylut-x4"), cases.model("shiftlut-s-x4")
    own = replace(tiny, functions={**tiny.functions, "depth_high": VectorLayout(2)}, tensors=shortened(tiny))
    for model, message in [
        (replace(shift, provenance=recorded(dtype="<f8")), "records {'dtype': '<f8'} for DW0_MSB.npz"),
        (replace(shift, provenance=recorded(dtype="|i1", negative_zeros=[0])), "negative zeros of DW0_MSB.npz where"),
        (replace(shift, provenance=recorded(dtype="<f4", negative_zeros=[-1])), "negative zeros of DW0_MSB.npz where"),
        (replace(shift, provenance={"published": 3}), "records None for DW0_LSB.npz"),
        (replace(tiny, description=replace(tiny.description, family="shiftlut")), "steps are not those of ShiftLUT"),
        (replace(shift, description=replace(shift.description, family="tinylut")), "steps are not those of TinyLUT"),
        (replace(shift, description=replace(shift.description, family="own")), "family 'own' have no published form"),
        (own, "layer 'depth_high' has vectors at a step"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_tables(model, tmp_path)


def recorded(**fields: Any) -> dict[str, Any]:
    return {"published": {"DW0_MSB.npz": fields}}


def shortened(tiny: Artifact) -> dict[str, Any]:
    return {**tiny.tensors, "depth_high.vectors": np.zeros(9 * 16 * 33, np.int8)}
