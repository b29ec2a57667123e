"""The published systems: their tables, networks and outputs, and the published files in and out."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lutra.imaging.images import read_image
from lutra.model.artifact import Artifact
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.published.networks import read_network
from lutra.model.published.tables import directory, read_tables, sidecar_of, write_tables
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from lutra.reference.units import Table
from lutra.training.tabulate import to_tables, with_tap_bits
from tests.golden import cases

Folder = Callable[[str], Path]

SETS: dict[str, tuple[str, int, str]] = {  # folder of tables -> family, scale, pattern of the files
    "srlut-x2": ("srlut", 2, "srlut/Model_S_x2_4bit_int8.npy"),
    **{f"srlut-x4-{bits}": ("srlut", 4, f"srlut/Model_S_x4_{bits}bit_int8.npy") for bits in (4, 5, 6, 8)},
    "mulut": ("mulut", 4, "mulut/LUT_ft_*.npy"),
    "mulut-exported": ("mulut", 4, "mulut/exported/*.npy"),
    "spflut-dfc": ("spflut", 4, "spflut/dfc/*.npy"),
    "autolut-mulut": ("autolut", 4, "autolut_mulut/tables/*.npy"),
}
NETWORKS = {
    "srlut": ("srlut/network_S_x4.safetensors", "srlut"),
    "mulut": ("mulut/network_sdy_x2_x4.safetensors", "mulut"),
    "spflut": ("spflut/network.safetensors", "spflut"),
    "autolut": ("autolut_mulut/network.safetensors", "autolut"),
}


def tables(reference: Folder, name: str) -> tuple[Artifact, list[Path]]:
    family, scale, pattern = SETS[name]
    folder, _, files = pattern.rpartition("/")
    paths = sorted(reference(folder).glob(files))
    return read_tables(paths, family, scale), paths


def network(reference: Folder, name: str) -> LutModel:
    path, family = NETWORKS[name]
    return from_artifact(read_network(reference(path), family, 4))


def planes(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(read_image(path), -1, 0).copy()).unsqueeze(1)


def off_by_one(model: LutModel, published: Artifact) -> list[int]:
    """Return how many entries of each table differ, after asserting that none does by more than 1."""
    counts = []
    for unit in model.lut_units():
        assert isinstance(unit.function, Table)
        difference = np.abs(unit.function.values.detach().numpy() - published.table(unit.spec.name))
        assert difference.max() <= 1
        counts.append(int((difference > 0).sum()))
    return counts


def raw(model: LutModel, path: Path) -> torch.Tensor:
    with torch.no_grad():
        return model(planes(path).float())[:, 0]


@pytest.mark.parametrize(
    ("name", "expected", "lr"),
    [
        ("srlut-x2", "srlut/expected_x2_4bit", "resize/double_x2"),
        *[(f"srlut-x4-{bits}", f"srlut/expected_x4_{bits}bit", "resize/double_x4") for bits in (4, 5, 6, 8)],
        ("mulut", "mulut/expected_x4", "resize/uint8_x4"),
    ],
)
def test_published_tables_give_the_published_images(reference: Folder, name: str, expected: str, lr: str) -> None:
    model = from_artifact(tables(reference, name)[0])
    images = sorted(reference(expected).glob("*.png"))
    assert images
    for path in images:
        assert torch.equal(model.restore(planes(reference(lr) / path.name)), planes(path)), path.name


def test_srlut_export(reference: Folder) -> None:
    model = to_tables(network(reference, "srlut"), DenseLayout(4))
    published = np.load(reference("srlut/exported_network_S_x4_4bit_int8.npy")).reshape(-1, 16)
    function = model.unit("s1_s").function
    assert isinstance(function, Table)
    difference = np.abs(function.values.detach().numpy() - published)
    assert difference.max() <= 1 and (difference > 0).sum() <= 40


@pytest.mark.parametrize(
    ("name", "published", "layout"),
    [
        ("mulut", "mulut-exported", DenseLayout(4)),
        ("spflut", "spflut-dfc", DiagonalLayout()),
        ("autolut", "autolut-mulut", DenseLayout(4)),
    ],
)
def test_exported_tables_are_the_published_ones(reference: Folder, name: str, published: str, layout: Layout) -> None:
    counts = off_by_one(to_tables(network(reference, name), layout), tables(reference, published)[0])
    assert max(counts) <= 40


def test_mulut_network(reference: Folder) -> None:
    got = network(reference, "mulut").restore(planes(reference("resize/uint8_x4/butterfly.png")))
    expected = planes(reference("mulut/expected_network_butterfly_x4.png"))
    difference = (got.int() - expected.int()).abs().float()
    assert difference.max() <= 1 and difference.mean() <= 0.01


@pytest.mark.parametrize("layout", [DenseLayout(4), DiagonalLayout()], ids=["dense", "dfc"])
def test_spflut_own_export(reference: Folder, layout: Layout) -> None:
    expected = "expected_table.npy" if isinstance(layout, DenseLayout) else "expected_table_dfc.npy"
    got = raw(to_tables(network(reference, "spflut"), layout), reference("spflut/input.png"))
    difference = (got.numpy() - np.load(reference("spflut") / expected)).__abs__()
    assert difference.max() <= 1


def test_spflut_dfc_tables_as_given(reference: Folder) -> None:
    got = raw(from_artifact(tables(reference, "spflut-dfc")[0]), reference("spflut/input.png"))
    assert np.array_equal(got.numpy(), np.load(reference("spflut/expected_table_dfc.npy")))


def test_autolut_tables_as_given(reference: Folder) -> None:
    model = from_artifact(tables(reference, "autolut-mulut")[0])
    expected = np.load(reference("autolut_mulut/expected_table.npy"))
    real = raw(with_tap_bits(model, None), reference("autolut_mulut/input.png")).numpy()
    assert np.array_equal(real, expected)
    fixed = raw(model, reference("autolut_mulut/input.png")).numpy()
    difference = np.abs(fixed - expected)
    assert difference.max() <= 2 and (difference > 0).mean() < 0.01


@pytest.mark.parametrize(("name", "folder"), [("spflut", "spflut"), ("autolut", "autolut_mulut")])
def test_network_output_within_a_level(reference: Folder, name: str, folder: str) -> None:
    got = raw(network(reference, name), reference(f"{folder}/input.png")).numpy()
    difference = np.abs(got - np.load(reference(f"{folder}/expected_network.npy")))
    assert difference.max() <= 1
    assert (difference > 0).sum() <= 40  # float order may flip a rounding; none did on x86-64


@pytest.mark.parametrize("name", SETS)
def test_published_files_come_back_byte_for_byte(reference: Folder, tmp_path: Path, name: str) -> None:
    artifact, paths = tables(reference, name)
    written = write_tables(artifact, tmp_path)
    assert sorted(path.name for path in written) == [path.name for path in paths]
    for path in paths:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_dfc_directory_is_the_published_one(reference: Folder) -> None:
    assert np.array_equal(directory(DiagonalLayout()), np.load(reference("spflut/dfc/ref2index_xyzt2i5.npy")))


OWN = ["mulut-sdy-x4", "mulut-dfc-x2", "spflut-x4", "spflut-dfc-x1", "autolut-mulut-x4", "autolut-spflut-dfc-x2"]


@pytest.mark.parametrize("name", OWN)
def test_our_own_models_survive_the_published_form(name: str, tmp_path: Path) -> None:
    model = cases.model(name)
    written = write_tables(model, tmp_path)
    back = read_tables(written, model.description.family, model.description.scale)
    assert back.description.steps == model.description.steps
    assert back.functions == model.functions
    assert back.tensors.keys() == model.tensors.keys()
    assert all(np.array_equal(array, model.tensors[key]) for key, array in back.tensors.items())


def test_values_and_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    written = write_tables(cases.model("mulut-sdy-x4"), tmp_path)
    sidecar_of(written).unlink()
    table = np.load(written[0])
    for array, message in (
        (table.astype(np.float32) + 0.5, "expected whole levels in -128..127"),
        (table.astype(np.int16) + 300, "expected whole levels in -128..127"),
        (table[:-1], r"624 entries, expected L\^4|expected 625 entries"),
        (np.concatenate([table, table], axis=1), "expected 625 entries of 1 values"),
    ):
        np.save(written[0], array)
        with pytest.raises(ValueError, match=message) as caught:
            read_tables(written, "mulut", 4)
        assert str(written[0]) in str(caught.value)
    written[0].write_bytes(b"not numpy")
    with pytest.raises(ValueError, match=r"not a readable \.npy array"):
        read_tables(written, "mulut", 4)


@pytest.mark.reference
def test_missing_and_surplus_files_are_named(reference: Folder, tmp_path: Path) -> None:
    _, paths = tables(reference, "spflut-dfc")
    with pytest.raises(ValueError, match="no file for the coarse part of unit s6c3_y"):
        read_tables([path for path in paths if "s6c3_y_compress2" not in path.name], "spflut", 4)
    surplus = shutil.copy(paths[0], tmp_path / "lut_s7c0_s_compress1.npy")
    with pytest.raises(ValueError, match=r"s7c0_s_compress1\.npy: not part of spflut"):
        read_tables([*paths, Path(surplus)], "spflut", 4)
    with pytest.raises(ValueError, match="entries of 4 values"):
        read_tables(tables(reference, "mulut")[1], "mulut", 2)


def with_record(model: Artifact, record: object) -> Artifact:
    return replace(model, provenance={"published": record})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "O"}, "expected array, shape and type of numbers"),
        ({"dtype": "V8"}, "expected array, shape and type of numbers"),
        ({"shape": "all"}, "expected array, shape and type of numbers"),
        ({"shape": [-1, 4]}, "expected array, shape and type of numbers"),
        ({"shape": [3, 4]}, r"the shape \(3, 4\), which .* does not have"),
        ({"array": ["s1_s"]}, "expected array, shape and type of numbers"),
        ({"array": "s9_s.dense"}, "names the array 's9_s.dense' for t.npy"),
        ({"array": "directory"}, "names the array 'directory' for t.npy"),
        ({"array": None}, "expected array, shape and type of numbers"),
    ],
)
def test_a_record_of_files_is_checked_before_anything_is_written(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    model = cases.model("srlut-x2-8bit")
    name, array = next(iter(model.tensors.items()))
    entry = {"array": name, "shape": list(array.shape), "dtype": "|i1"}
    assert len(write_tables(with_record(model, {"t.npy": entry}), tmp_path / "good")) == 1
    with pytest.raises(ValueError, match=message):
        write_tables(with_record(model, {"t.npy": entry | change}), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("record", [["t.npy"], "t.npy", {"t.npy": None}, {"t.npy": 3}, {"../t.npy": {}}, {"t.npy": {}}])
def test_a_record_that_is_none_gets_one_line(tmp_path: Path, record: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_tables(with_record(cases.model("srlut-x2-8bit"), record), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_a_record_must_hold_every_table_and_types_that_can(tmp_path: Path) -> None:
    model = cases.model("autolut-mulut-x4")
    paths = write_tables(model, tmp_path / "own")
    sidecar_of(paths).unlink()
    record = dict(read_tables(paths, "autolut", 4).provenance["published"])
    name = next(name for name, entry in record.items() if entry["array"].endswith("sampler"))
    with pytest.raises(ValueError, match="cannot hold"):
        write_tables(with_record(model, record | {name: record[name] | {"dtype": "|i1"}}), tmp_path / "bad")
    del record[name]
    with pytest.raises(ValueError, match="no file of its own for the array"):
        write_tables(with_record(model, record), tmp_path / "bad")


@pytest.mark.parametrize("name", OWN)
def test_the_sidecar_brings_back_all_of_a_model(name: str, tmp_path: Path) -> None:
    own = cases.model(name)
    changed = replace(own.description, padding="reflect", rounding="lookup", options={"own": 1})
    model = replace(own, description=changed, metrics={"a": 1}, provenance={"licence": "MIT"})
    back = read_tables(write_tables(model, tmp_path), changed.family, changed.scale)
    assert (back.description, back.functions, back.task) == (changed, model.functions, model.task)
    assert (back.metrics, back.provenance) == (model.metrics, model.provenance)
    assert back.tensors.keys() == model.tensors.keys()
    assert all(np.array_equal(array, model.tensors[key]) for key, array in back.tensors.items())


def test_a_sidecar_of_other_tables_or_none_is_refused(tmp_path: Path) -> None:
    written = write_tables(cases.model("mulut-sdy-x4"), tmp_path)
    path = sidecar_of(written)
    good = path.read_text()
    with pytest.raises(ValueError, match=r"lutra\.json: describes mulut x4, expected mulut x2"):
        read_tables(written, "mulut", 2)
    with pytest.raises(ValueError, match="is among the files given or among those described"):
        read_tables(written[:-1], "mulut", 4)
    for bad in ("", "[]", "{", good.replace('"format": 1', '"format": 9'), good.replace("dense", "thin"), "[" * 10**5):
        path.write_text(bad)
        with pytest.raises(ValueError, match=rf"{path.name}: "):
            read_tables(written, "mulut", 4)
    path.write_text(good)
    np.save(written[0], np.load(written[0])[::-1])
    with pytest.raises(ValueError, match="was changed since it was described"):
        read_tables(written, "mulut", 4)
