"""Evaluation sets as people have them: blank images, names that differ in their suffix alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import evaluate, export, finetune, params, prepare, report, train
from pipeline.params import Params
from tests.golden import cases

SECTIONS: dict[str, object] = {key: {} for key in ("model", "network", "evaluate")}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Params:
    train_folder, folder = tmp_path_factory.mktemp("train"), tmp_path_factory.mktemp("set")
    for number in range(3):
        Image.fromarray(np.rot90(cases.image(64, 64), number)).save(train_folder / f"{number}.png")
    for name in ("a.png", "a.jpg", "b.png"):
        Image.fromarray(cases.image(48, 48)).save(folder / name)
    Image.new("RGB", (48, 48), "white").save(folder / "blank.png")
    none = {"steps": 0, "patch": 8}
    block = {"family": "srlut", "task": "x2", "table": {"interval": 6}, "train": none, "finetune": none} | SECTIONS
    return params.Params.model_validate(
        {
            "data": {"train": str(train_folder), "evaluate": [str(folder)], "validate": 1},
            "tasks": {"x2": {"task": "sr", "scale": 2}},
            "tracking": {"enabled": False},
            "experiments": {"tiny": block},
        }
    )


@pytest.fixture(scope="module")
def root(settings: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    prepare.run(settings, task="x2", root=root)
    for stage in (train, export, finetune, evaluate):
        stage.run(settings, "tiny", root)
    return root


def standard(text: str) -> object:
    """Read JSON as its standard has it: without Infinity and NaN."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def test_a_blank_image_leaves_all_scores_finite(root: Path) -> None:
    folder = root / "evaluate" / "x2" / "tiny"
    assert standard((folder / "scores.json").read_text()) and standard((folder / "metrics.json").read_text())
    (row,) = [line for line in (folder / "images.csv").read_text().splitlines() if ",blank.png," in line]
    assert "100.000000" in row


def test_names_that_differ_in_their_suffix_get_sheets_of_their_own(root: Path) -> None:
    sheets = {path.name.rsplit("-", 1)[-1] for path in (root / "evaluate" / "x2" / "tiny" / "sheets").iterdir()}
    assert sheets == {"a.jpg.png", "a.png.png", "b.png"}


def test_a_report_reads_the_infinity_that_earlier_versions_wrote(root: Path, settings: Params) -> None:
    folder = root / "evaluate" / "x2" / "tiny"
    metrics, curves = folder / "metrics.json", folder / "curves.csv"
    before = metrics.read_text(), curves.read_text()
    content = json.loads(before[0])
    for sets in (content[kind] for kind in ("finetuned", "exported", "network", "bicubic")):
        sets[next(iter(sets))]["psnr_y"] = float("inf")
    metrics.write_text(json.dumps(content))
    curves.write_text(before[1] + "finetune,1,0.1,inf\n")
    report.run(settings, root, "x2")
    assert (root / "report" / "x2" / "report.html").stat().st_size > 1000
    metrics.write_text(before[0])
    curves.write_text(before[1])
