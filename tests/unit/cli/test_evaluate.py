"""`lutra evaluate` and `lutra compare`: scores, sheets, pairs."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lutra.imaging.images import write_image
from tests.golden import cases
from tests.unit.cli.calls import lutra


def test_evaluate_scores_a_folder(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hr"
    folder.mkdir()
    for name in ("a", "b"):
        write_image(folder / f"{name}.png", np.kron(cases.image(8, 8), np.ones((4, 4), np.uint8)))
    assert "PSNR-Y" in lutra("evaluate", model, "--data", folder, "--json", tmp_path / "scores.json")
    result = json.loads((tmp_path / "scores.json").read_text())
    assert set(result["images"]) == {"a.png", "b.png"}
    assert result["mean"]["psnr_y"] == pytest.approx(result["images"]["a.png"]["psnr_y"])
    assert "2 border pixels" in result["protocol"]
    other = lutra("evaluate", model, "--data", folder, "--task", "photo", "--quality", 50)
    assert "shrinking by 1/2" in other and "JPEG of quality 50 " in other
    assert "scale is 2, expected 1 for task denoise" in lutra(
        "evaluate", model, "--data", folder, "--task", "denoise", "--sigma", 25, code=2
    )


def test_evaluate_follows_the_models_task_and_writes_scores_and_sheets(denoiser: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number, name in enumerate("abc"):
        write_image(tmp_path / "set" / f"{name}.png", cases.image(40 + number, 48))
    shown = lutra("evaluate", denoiser, "--data", tmp_path / "set", "-o", tmp_path / "out", "--sheets", 1)
    assert "Gaussian noise of sigma 25" in shown and "PSNR, dB" in shown and "SSIM" in shown
    rows = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert rows[0] == "image,psnr,ssim" and [row.split(",")[0] for row in rows[1:]] == [
        "a.png",
        "b.png",
        "c.png",
        "mean",
    ]
    scores = {row.split(",")[0]: float(row.split(",")[1]) for row in rows[1:4]}
    best, worst = max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)
    drawn = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert drawn == [f"best-1-{best}", f"worst-1-{worst}"]
    again = lutra("evaluate", denoiser, "--data", tmp_path / "set", "--sigma", 50)
    assert "Gaussian noise of sigma 50" in again
    assert "quality: denoise has no such option" in lutra(
        "evaluate", denoiser, "--data", tmp_path / "set", "--quality", 10, code=2
    )


def test_evaluate_finds_sets_by_name(denoiser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    write_image(tmp_path / "sets" / "mine" / "a.png", cases.image(40, 48))
    monkeypatch.setenv("LUTRA_DATA", str(tmp_path / "sets"))
    assert "a.png" in lutra("evaluate", denoiser, "--data", "mine")
    assert "python -m pipeline fetch" in lutra("evaluate", denoiser, "--data", "yours", code=2)


def test_evaluate_takes_pairs_and_names_what_does_not_fit(denoiser: Path, tmp_path: Path) -> None:
    for kind in ("input", "target"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        write_image(tmp_path / "pairs" / kind / "a.png", cases.image(40, 48))
    clean = lutra("evaluate", denoiser, "--data", tmp_path / "pairs", "--pairs")
    assert "the set's own degraded images" in clean
    write_image(tmp_path / "pairs" / "input" / "a.png", cases.image(40, 47))
    assert "a.png" in lutra("evaluate", denoiser, "--data", tmp_path / "pairs", "--pairs", code=2)
    write_image(tmp_path / "pairs" / "target" / "b.png", cases.image(40, 48))
    assert "b.png" in lutra("evaluate", denoiser, "--data", tmp_path / "pairs", "--pairs", code=2)


@pytest.mark.parametrize(("name", "encoding"), [("b\udce4r.png", "utf-8"), ("日本.png", "cp1252")])
def test_scores_are_written_whatever_the_names_are(denoiser: Path, tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / "set").mkdir()
    write_image(tmp_path / "set" / "plain.png", cases.image(40, 48))
    os.rename(tmp_path / "set" / "plain.png", tmp_path / "set" / name)
    request = ("evaluate", denoiser, "--data", tmp_path / "set", "-o", tmp_path / "out", "--json", tmp_path / "s.json")
    shown = lutra(*request, PYTHONIOENCODING=encoding)
    assert name.encode("ascii", "backslashreplace").decode() in shown
    assert list(json.loads((tmp_path / "s.json").read_text())["images"]) == [name]
    assert {"scores.csv", "scores.json"} < {path.name for path in (tmp_path / "out").iterdir()}


def test_names_in_brackets_and_colons_are_shown_as_they_are(denoiser: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("photo [draft].png", "photo [final].png", ":smile:.png"):
        write_image(tmp_path / "set" / name, cases.image(40, 48))
    shown = lutra("evaluate", denoiser, "--data", tmp_path / "set")
    assert all(name in shown for name in ("photo [draft].png", "photo [final].png", ":smile:.png"))


def test_compare_makes_the_folder_of_its_sheet(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "hr.png", np.kron(cases.image(16, 16), np.ones((4, 4), np.uint8)))
    lutra("compare", tmp_path / "hr.png", "-m", model, "-o", tmp_path / "new" / "deep" / "s.png")
    assert (tmp_path / "new" / "deep" / "s.png").is_file()
