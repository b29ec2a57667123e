"""`lutra restore` in any size, run as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lutra.imaging.images import read_image, write_image
from lutra.imaging.metrics import psnr_y
from lutra.imaging.resize import imresize
from lutra.model import artifact
from lutra.restore.restorer import Restorer
from tests.golden import cases
from tests.unit.cli.calls import lutra

Folder = Callable[[str], Path]
PICTURE = np.stack([cases.image(9, 7), cases.image(9, 7)[::-1], cases.image(9, 7)[:, ::-1]], axis=-1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "any.safetensors"
    artifact.save(path, cases.model("lerf-x4"))
    write_image(tmp_path / "in.png", PICTURE)
    return path


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--scale", 2.5], (18, 23)),
        (["--size", "20x31"], (20, 31)),
        (["--width", 14], (14, 18)),
        (["--height", 27], (21, 27)),
        (["--width", 5, "--height", 40], (5, 40)),
        ([], (28, 36)),
    ],
)
def test_a_size_is_an_option_of_the_call(
    model: Path, tmp_path: Path, options: list[object], size: tuple[int, int]
) -> None:
    lutra("restore", "-m", model, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png", *options)
    found = read_image(tmp_path / "out.png")
    assert found.shape == (size[1], size[0], 3)
    if "--scale" not in options:
        assert np.array_equal(found, Restorer(cases.model("lerf-x4")).restore(PICTURE, size=size))


def test_another_size_is_another_result(model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_image(tmp_path / "folder" / "a.png", PICTURE)
    call = ("restore", "-m", model, "-i", tmp_path / "folder", "-o", tmp_path / "out")
    assert lutra(*call, "--scale", 2).startswith("1 restored")
    assert "1 skipped" in lutra(*call, "--scale", 2)
    assert lutra(*call, "--scale", 3).startswith("1 restored")
    assert lutra(*call).startswith("1 restored")
    assert "1 skipped" in lutra(*call)
    assert read_image(tmp_path / "out" / "a.png").shape == (36, 28, 3)


def test_the_help_states_what_a_model_of_one_scale_does() -> None:
    text = " ".join(lutra("restore", "--help", COLUMNS="200").replace("│", " ").split())
    assert "A model of one scale restores at its own scale, and the result is then resampled, antialiased" in text


def test_sizes_that_contradict_or_cannot_be_are_refused(model: Path, tmp_path: Path) -> None:
    call = ("restore", "-m", model, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png")
    assert "expected one way to state the size" in lutra(*call, "--scale", 2, "--size", "3x4", code=2)
    assert "scale is 0.0, expected a number above 0" in lutra(*call, "--scale", 0, code=2)
    assert "expected WIDTHxHEIGHT" in lutra(*call, "--size", "big", code=2)
    assert "more than are allowed; --max-pixels 400000000 allows them" in lutra(*call, "--size", "20000x20000", code=2)
    assert not (tmp_path / "out.png").exists()


def test_info_shows_a_model_of_any_size(model: Path) -> None:
    text = lutra("info", model)
    for part in (
        "lerf x4 unless asked for another size",
        "patterns sct",
        "receptive field: 15x15",
        "s2_t1",
        "0, 180",
        "90, 270",
    ):
        assert part in text


def test_a_model_of_any_size_is_scored_at_any_scale(model: Path, tmp_path: Path) -> None:
    clean = np.kron(PICTURE, np.ones((4, 4, 1), np.uint8))
    (tmp_path / "hr").mkdir()
    write_image(tmp_path / "hr" / "a.png", clean)
    call = ("evaluate", model, "--data", tmp_path / "hr", "--json", tmp_path / "scores.json")
    text = lutra(*call, "--scale", 1.5, "-o", tmp_path / "sheets", "--sheets", 1)
    assert "cropped to a multiple of 3" in text
    assert (tmp_path / "sheets" / "best-1-a.png").exists()
    target = clean[:36, :27]
    low = imresize(target, 2 / 3)
    restored = Restorer(cases.model("lerf-x4")).restore(low, size=(27, 36))
    found = json.loads((tmp_path / "scores.json").read_text())["mean"]["psnr_y"]
    assert found == pytest.approx(psnr_y(restored, target, 2))
    assert "x4" not in text and "x1/4" in lutra(*call)


def test_a_model_of_one_scale_is_scored_at_that_alone(tmp_path: Path) -> None:
    artifact.save(tmp_path / "x4.safetensors", cases.model("srlut-x4"))
    refused = lutra("evaluate", tmp_path / "x4.safetensors", "--data", tmp_path, "--scale", 3, code=2)
    assert "--scale: the model restores at x4 alone, expected one of any size" in refused


@pytest.mark.reference
def test_published_tables_go_in_and_out_and_score(reference: Folder, dataset: Folder, tmp_path: Path) -> None:
    files = sorted(reference("lerf").glob("*.npy"))
    path = tmp_path / "lerf.safetensors"
    lutra("import", *files, "--family", "lerf", "--scale", 4, "-o", path)
    lutra("export", path, "-o", tmp_path / "npy")
    assert all((tmp_path / "npy" / file.name).read_bytes() == file.read_bytes() for file in files)
    lutra("evaluate", path, "--data", dataset("Set5"), "--json", tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())["mean"]["psnr_y"] == pytest.approx(30.158, abs=2e-3)
