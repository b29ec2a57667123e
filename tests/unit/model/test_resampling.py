"""Models of any size as plain data: what is refused, and the published files of LeRF."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.imaging.images import read_image
from lutra.model import families
from lutra.model.anysize import Grid, outputs_of
from lutra.model.description import PATTERNS, Description, FixedTaps, Merge, Resample, SampledTaps, Step, Unit
from lutra.model.parsing import description_from_json
from lutra.model.published.tables import read_tables, write_tables
from lutra.reference.convert import from_artifact, to_artifact
from tests.golden import cases

Folder = Callable[[str], Path]
UNIT = Unit("one", ("input",), FixedTaps("s", PATTERNS["s"]), 4)
STEP = Step((UNIT,), ("a", "b", "c", "d"), 4)
LAST = Resample("a", ("b", "c", "d"))


def turned(*turns: int, **changes: Any) -> Step:
    return replace(STEP, units=(replace(UNIT, turns=turns),), **changes)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([LAST], "reads plane 'a', which nothing wrote"),
        ([Resample("input", ("input",) * 3)], "resamples the input, expected steps of units before it"),
        ([STEP, replace(LAST, kernel=("b", "c", "e"))], "reads plane 'e', which nothing wrote"),
        ([STEP, replace(LAST, reads="output")], "reads plane 'output', which nothing wrote"),
        ([STEP, replace(LAST, border="dark")], "border is 'dark', expected one of ('replicate', 'zero')"),  # type: ignore[arg-type]
        ([STEP, LAST, LAST], "a resampling may be the last after units"),
        ([STEP, LAST, Merge("a", 1)], "step 1: expected steps of units alone"),
        ([LAST, STEP], "a resampling may be the last after units"),
        ([replace(STEP, upscale=2), LAST], "upscales by 2, expected 1"),
        ([turned(), LAST], "unit 'one' has the rotations (), expected some of 0..3 in order"),
        ([turned(0, 4), LAST], "has the rotations (0, 4)"),
        ([turned(2, 0), LAST], "has the rotations (2, 0)"),
        ([turned(1, 1), LAST], "has the rotations (1, 1)"),
        ([turned(0, rotations=1), LAST], "expected them for fixed taps alone, in a step of 4 rotations"),
        ([replace(STEP, units=(replace(UNIT, taps=SampledTaps(2), turns=(0,)),)), LAST], "for fixed taps alone"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps: list[Any], message: str) -> None:
    Description("own", 3, (turned(0, 2), LAST))
    with pytest.raises(ValueError, match="model description") as caught:
        Description("own", 3, tuple(steps))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["reads", "kernel", "border"])
def test_damaged_resamplings_are_refused(key: str) -> None:
    whole = json.loads(json.dumps(Description("own", 3, (turned(1), LAST)).to_json()))
    assert description_from_json(whole) == Description("own", 3, (turned(1), LAST))
    for value in (None, 3, "none", ["b", "c"], [1, 2, 3]):
        whole["steps"][1][key] = value
        with pytest.raises(ValueError, match="model description"):
            description_from_json(whole)
    del whole["steps"][1][key]
    with pytest.raises(ValueError, match="model description"):
        description_from_json(whole)


@pytest.mark.parametrize("turns", [3, [0.5], ["0"], [True], [[0]]])
def test_damaged_rotations_are_refused(turns: Any) -> None:
    whole = json.loads(json.dumps(Description("own", 3, (turned(0), LAST)).to_json()))
    whole["steps"][0]["units"][0]["turns"] = turns
    with pytest.raises(ValueError, match="'turns' is"):
        description_from_json(whole)


def test_units_of_all_rotations_are_stored_as_before() -> None:
    (unit,) = families.describe("srlut", 4).to_json()["steps"][0]["units"]
    assert set(unit) == {"name", "reads", "taps", "values", "previous"}


def test_an_output_sees_the_pixels_that_decide_the_kernels_around_it() -> None:
    described = families.describe("lerf", 4)
    assert (described.radius, described.has_units, described.any_size is not None) == (3 + 3 + 1, True, True)
    model = from_artifact(cases.model("lerf-x4"))
    image = cases.image(31, 31)
    other = image.copy()
    other[15, 15] ^= 255
    changed = np.argwhere(model.restore_image(image) != model.restore_image(other)) // 4
    assert len(changed) and np.abs(changed - 15).max() <= described.radius


@pytest.mark.parametrize("name", ["lerf-x4", "lerf-dfc-x3"])
def test_models_of_any_size_survive_torch(name: str) -> None:
    model = cases.model(name)
    again = to_artifact(from_artifact(model))
    assert (again.description, again.functions) == (model.description, dict(model.functions))
    assert all(np.array_equal(again.tensors[key], array) for key, array in model.tensors.items())


@pytest.mark.reference
def test_published_files_come_back_byte_for_byte(reference: Folder, tmp_path: Path) -> None:
    files = sorted(reference("lerf").glob("*.npy"))
    model = read_tables(files, "lerf", 4)
    assert (model.table_bytes, model.description.any_size) == (1_753_941, replace(LAST, **_named(model.description)))
    written = write_tables(model, tmp_path)
    assert {path.name: path.read_bytes() for path in written} == {path.name: path.read_bytes() for path in files}


def _named(description: Description) -> dict[str, Any]:
    assert description.any_size is not None
    return {"reads": description.any_size.reads, "kernel": description.any_size.kernel, "border": "zero"}


@pytest.mark.reference
@pytest.mark.parametrize("name", ["butterfly", "woman", "noise"])
def test_published_tables_give_the_published_planes_and_images(reference: Folder, name: str) -> None:
    import torch

    model = from_artifact(read_tables(sorted(reference("lerf").glob("*.npy")), "lerf", 4))
    image = read_image(reference("noise.png") if name == "noise" else reference(f"resize/uint8_x4/{name}.png"))
    with torch.no_grad():
        planes = model.resampling_planes(torch.from_numpy(image.transpose(2, 0, 1).copy()).float()[:, None]).numpy()
    first = reference("lerf/after_first_stage")
    assert np.array_equal(planes[:, 0].transpose(1, 2, 0), read_image(first / f"{name}.png"))
    assert np.array_equal(planes[:, 1:].reshape(9, *image.shape[:2]), np.load(first / f"{name}_hyper.npy"))
    factors = {"x4": (4, 4), "x3": (3, 3), "x2": (2, 2), "x1.5": (1.5, 1.5), "x2.3_3.7": (2.3, 3.7)}
    for scale, (down, across) in factors.items():
        sides = outputs_of(image.shape[0], down), outputs_of(image.shape[1], across)
        found = model.restore_image(image, Grid.enlarged(image.shape[:2], sides, (down, across)))
        assert np.array_equal(found, read_image(reference(f"lerf/expected_{scale}/{name}.png"))), scale


def exported(tmp_path: Path) -> Path:
    write_tables(cases.model("lerf-x4"), tmp_path / "tables")
    return tmp_path / "tables"


def test_an_own_model_comes_back_whole_by_its_sidecar_and_without_with_a_dark_border(tmp_path: Path) -> None:
    model = cases.model("lerf-x4")
    folder = exported(tmp_path)
    again = read_tables([folder], "lerf", 4)
    assert again.description == model.description
    assert all(np.array_equal(again.tensors[key], array) for key, array in model.tensors.items())
    next(folder.glob("*.lutra.json")).unlink()
    bare = read_tables([folder], "lerf", 2)
    assert bare.description == families.describe("lerf", 2, {"border": "zero"})
    assert bare.functions == model.functions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "LUTft_s1_sr0.npy").unlink(), "no file LUTft_s1_sr0.npy among the files given"),
        (lambda folder: np.save(folder / "LUTft_s1_sr1.npy", [1]), "its name is not that of a published lerf table"),
        (lambda folder: np.save(folder / "LUTft_s3_sr0.npy", [1]), "its name is not that of a published lerf table"),
        (lambda folder: np.save(folder / "LUTft_s2_cr1.npy", np.zeros((625, 2), np.int8)), "int8 of shape (625, 2)"),
        (lambda folder: np.save(folder / "LUTft_s2_cr1.npy", np.zeros((600, 3), np.int8)), "expected int8 of L^4"),
        (lambda folder: np.save(folder / "LUTft_s2_cr1.npy", np.zeros((625, 3))), "float64 of shape"),
        (lambda folder: (folder / "LUTft_s1_tr0.npy").write_bytes(b"\x93NUMPY"), "not a readable .npy array"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    folder = exported(tmp_path)
    next(folder.glob("*.lutra.json")).unlink()
    change(folder)
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_tables([folder], "lerf", 4)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_models_that_the_published_files_cannot_hold_are_refused(tmp_path: Path) -> None:
    model, compressed = cases.model("lerf-x4"), cases.model("lerf-dfc-x3")
    with pytest.raises(ValueError, match="table 's1_y' is compressed"):
        write_tables(compressed, tmp_path)
    with pytest.raises(ValueError, match="steps are not those of LeRF"):
        write_tables(replace(cases.model("srlut-x4"), description=_called_lerf()), tmp_path)
    assert write_tables(model, tmp_path)


def _called_lerf() -> Description:
    return replace(families.describe("srlut", 4), family="lerf", options={})
