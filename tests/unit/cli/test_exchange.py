"""`lutra import`, `info` and `export`: models go out and in again unchanged."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lutra.engine.plan_file import to_bytes
from lutra.imaging.images import read_image, write_image
from lutra.model import artifact
from tests.golden import cases
from tests.unit.cli.calls import lutra, saved

Folder = Callable[[str], Path]


def published(reference: Folder, folder: str, pattern: str) -> list[Path]:
    return sorted(reference(folder).glob(pattern))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("family", "folder", "pattern", "megabytes"),
    [("mulut", "mulut", "LUT_ft*.npy", "4.062 MiB"), ("spflut", "spflut/dfc", "*.npy", "2.018 MiB")],
)
def test_import_info_export(
    reference: Folder, tmp_path: Path, family: str, folder: str, pattern: str, megabytes: str
) -> None:
    files = published(reference, folder, pattern)
    path = tmp_path / "model.safetensors"
    lutra("import", *files, "--family", family, "--scale", 4, "-o", path)
    assert megabytes in lutra("info", path)
    lutra("export", "--format", "npy", path, "-o", tmp_path / "npy")
    assert all((tmp_path / "npy" / file.name).read_bytes() == file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (
            "shiftlut-steps-x4",
            ["shiftlut x4 (blocks 2, channels 16), task sr", "receptive field: 9x9", "step 1 to 64"],
        ),
        ("tinylut-x4", ["tinylut x4, task sr", "ranges of its own", "scales, float32", "padding reflect"]),
        ("hklut-x4", ["hklut x4, task sr", "receptive field: 7x7", "high bits, 3", "low bits, 2", "direct", "4096"]),
        ("shiftlut-x1", ["offsets of its own for 1 blocks", "pointwise", "depthwise, 9"]),
    ],
)
def test_models_of_layers_go_out_and_in_as_folders_and_restore(tmp_path: Path, name: str, shown: list[str]) -> None:
    model = cases.model(name)
    artifact.save(tmp_path / "model.safetensors", model)
    text = lutra("info", tmp_path / "model.safetensors")
    assert all(part in text for part in [*shown, str(model.table_bytes)])
    lutra("export", tmp_path / "model.safetensors", "-o", tmp_path / "tables")
    again = ("--family", model.description.family, "--scale", model.description.scale)
    lutra("import", tmp_path / "tables", *again, "-o", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    write_image(tmp_path / "in.png", cases.image(9, 7))
    lutra("restore", "-m", tmp_path / "again.safetensors", "-i", tmp_path / "in.png", "-o", tmp_path / "out.png")
    with np.load(cases.OUTPUTS) as golden:
        assert np.array_equal(np.squeeze(read_image(tmp_path / "out.png")), golden[f"{name}/9x7"])


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "psnr", "ssim"), [("Set5", 30.61, 0.8656), ("Set14", 27.61, 0.7544), ("B100", 26.86, 0.7112)]
)
def test_published_mulut_scores(
    reference: Folder, dataset: Folder, tmp_path: Path, name: str, psnr: float, ssim: float
) -> None:
    path = tmp_path / "mulut.safetensors"
    lutra("import", *published(reference, "mulut", "LUT_ft*.npy"), "--family", "mulut", "--scale", 4, "-o", path)
    lutra("evaluate", path, "--data", dataset(name), "--json", tmp_path / "scores.json")
    mean = json.loads((tmp_path / "scores.json").read_text())["mean"]
    assert mean["psnr_y"] == pytest.approx(psnr, abs=0.01)
    assert mean["ssim_y"] == pytest.approx(ssim, abs=0.0005)


def test_storage_of_the_published_systems() -> None:
    """The published storage figures, from the descriptions alone (MB of 2^20 bytes; one byte a value)."""
    from lutra.model import families
    from lutra.model.description import ChannelTaps
    from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout

    def megabytes(family: str, layout: Layout) -> float:
        total = 0
        for _, unit in families.describe(family, 4).units():
            own = DenseLayout(4) if isinstance(unit.taps, ChannelTaps) else layout
            total += own.entries * unit.values
        return round(total / 2**20, 3)

    assert megabytes("mulut", DenseLayout(4)) == 4.062
    assert megabytes("mulut", DiagonalLayout()) == 0.407
    assert megabytes("spflut", DenseLayout(4)) == 17.284
    assert megabytes("spflut", DiagonalLayout()) == 2.018


def test_export_as_a_plan(tmp_path: Path) -> None:
    path = saved(tmp_path, "mulut-sdy-x4")
    assert lutra("export", "--format", "plan", path, "-o", tmp_path / "model.lut") == f"{tmp_path / 'model.lut'}\n"
    assert (tmp_path / "model.lut").read_bytes() == to_bytes(artifact.load(path))
    message = lutra("export", "--format", "plan", path, "-o", tmp_path, code=2)
    assert message.count("\n") == 1 and str(tmp_path) in message


def test_export_and_import_keep_padding_rounding_and_task(tmp_path: Path) -> None:
    own = cases.model("spflut-dfc-x1")
    description = replace(own.description, padding="reflect", rounding="branch")
    before = tmp_path / "before.safetensors"
    artifact.save(before, replace(own, description=description, task="denoise", options={"sigma": 25}))
    lutra("export", before, "-o", tmp_path / "npy")
    files = sorted((tmp_path / "npy").glob("*.npy"))
    request = ("import", *files, "--family", "spflut", "--scale", 1, "-o")
    lutra(*request, tmp_path / "after.safetensors")
    assert (tmp_path / "after.safetensors").read_bytes() == before.read_bytes()
    lutra(*request, tmp_path / "other.safetensors", "--sigma", 50, "--padding", "replicate")
    other = artifact.load(tmp_path / "other.safetensors")
    assert (other.options, other.description.padding, other.description.rounding) == (
        {"sigma": 50},
        "replicate",
        "branch",
    )
    next((tmp_path / "npy").glob("*.lutra.json")).unlink()
    how = ("--padding", "reflect", "--rounding", "branch", "--task", "denoise", "--sigma", 25)
    lutra(*request, tmp_path / "told.safetensors", *how)
    told = artifact.load(tmp_path / "told.safetensors")
    assert (told.description.padding, told.description.rounding, told.task) == ("reflect", "branch", "denoise")


def test_import_refuses_a_scale_that_the_task_does_not_have(tmp_path: Path) -> None:
    lutra("export", saved(tmp_path, "mulut-sdy-x4"), "-o", tmp_path / "npy")
    files = sorted((tmp_path / "npy").glob("*.npy"))
    request = ("import", *files, "--family", "mulut", "--scale", 4, "-o", tmp_path / "m.safetensors")
    refused = lutra(*request, "--task", "denoise", "--sigma", 25, code=2)
    assert "scale is 4, expected 1 for task denoise" in refused
