"""Outputs of evaluate and report: finite scores, a sheet for every image, the same bytes for the same inputs."""

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lutra.imaging.images import write_image
from lutra.imaging.metrics import CEILING
from pipeline import params
from pipeline.params import Params
from pipeline.reporting.page import read_curves
from pipeline.reporting.results import Result
from pipeline.running.job import Job
from pipeline.stages import evaluate, export, finetune, prepare, report, train
from tests.unit.pipeline.pages import noise


def settings(images: Path) -> Params:
    block = {
        "family": "srlut",
        "task": "x2",
        "model": {},
        "network": {"width": 4},
        "table": {"interval": 6, "dfc": None},
        "train": {"method": "table", "init": "interpolation", "steps": 0, "patch": 48},
        "finetune": {"steps": 0, "patch": 48},
        "evaluate": {"sheets": 4},
    }
    return params.Params.model_validate(
        {
            "data": {"train": str(images), "evaluate": [str(images)], "validate": 1},
            "tasks": {"x2": {"task": "sr", "scale": 2}},
            "tracking": {"enabled": False},
            "experiments": {"tiny": block},
        }
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of one name, a white one, and one more."""
    folder = tmp_path_factory.mktemp("images")
    write_image(folder / "a.png", noise(0))
    Image.fromarray(noise(1)).save(folder / "a.jpg")
    write_image(folder / "blank.png", np.full((40, 48, 3), 255, np.uint8))
    write_image(folder / "c.png", noise(2))
    return folder


def job(stage: str, chosen: Params, root: Path) -> Job:
    """The stage's job for the one experiment."""
    return Job.of(stage, chosen, root, experiment="tiny")


def write_report(images: Path, root: Path) -> None:
    report.run(Job.of("report", settings(images), root, task="x2"))


@pytest.fixture(scope="module")
def evaluated(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with all stages but report; trained by no step on images smaller than a patch."""
    root, chosen = tmp_path_factory.mktemp("root"), settings(images)
    prepare.run(Job.of("prepare", chosen, root, task="x2"))
    for name, stage in {"train": train, "export": export, "finetune": finetune, "evaluate": evaluate}.items():
        stage.run(job(name, chosen, root))
    return root


@pytest.fixture
def root(evaluated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(evaluated, tmp_path / "root"))


def results(root: Path) -> Path:
    return root / "evaluate" / "x2" / "tiny"


def strictly(path: Path) -> Any:
    """The content of a JSON file, which holds what JSON allows alone."""

    def refuse(text: str) -> float:
        raise AssertionError(f"{path}: {text} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_white_image_leaves_scores_finite(root: Path, images: Path) -> None:
    with (results(root) / "images.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert float(rows["blank.png"]["bicubic_psnr_y"]) == CEILING
    others = [float(rows[name]["bicubic_psnr_y"]) for name in ("a.jpg", "a.png", "c.png")]
    mean = strictly(results(root) / "metrics.json")["bicubic"][images.name]["psnr_y"]
    assert mean == pytest.approx((CEILING + sum(others)) / 4, abs=1e-5)
    assert strictly(results(root) / "scores.json")[images.name]["psnr_y"] < CEILING
    write_report(images, root)
    assert "inf" not in (root / "report/x2/report.md").read_text()
    assert "inf" not in (root / "report/x2/points.csv").read_text()


def test_without_a_trained_network_none_is_scored(root: Path, images: Path) -> None:
    scores = strictly(results(root) / "metrics.json")
    assert [kind for kind in scores if isinstance(scores[kind], dict) and images.name in scores[kind]] == [
        "bicubic",
        "exported",
        "finetuned",
    ]
    assert "network" not in (results(root) / "images.csv").read_text()
    write_report(images, root)
    assert "| network |" not in (root / "report/x2/report.md").read_text()
    assert ">network<" not in (root / "report/x2/report.html").read_text()


def test_images_of_one_stem_have_a_sheet_each(root: Path, images: Path) -> None:
    found = {path.name for path in (results(root) / "sheets").iterdir()}
    assert found == {f"{images.name}-{name}.png" for name in ("a.png", "a.jpg", "blank.png", "c.png")}


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        ({"s": ["a.png", "b.jpg"]}, ["s-a", "s-b"]),
        ({"s": ["a.png", "a.jpg"], "t": ["b.png"]}, ["s-a.png", "s-a.jpg", "t-b.png"]),
        ({"s": ["A.png", "a.png"]}, ["s-A.png-0", "s-a.png-1"]),
        ({"s": ["x/a.png", "y/a.png"]}, ["s-x-a.png", "s-y-a.png"]),
        ({"a": ["b-c.png"], "a-b": ["c.png"]}, ["a-b-c.png-0", "a-b-c.png-1"]),
        ({"s": ["deadleaves-00001"]}, ["s-deadleaves-00001"]),
    ],
)
def test_no_two_sheets_have_one_name(sets: dict[str, list[str]], names: list[str]) -> None:
    assert list(evaluate.sheet_names(sets).values()) == names


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_the_stages_report_is_the_same_every_time(
    root: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Path(shutil.copytree(root, tmp_path / "again"))
    write_report(images, root)
    monkeypatch.setattr("pipeline.running.provenance.commit", lambda: ("f" * 40, True))
    monkeypatch.setattr("pipeline.reporting.speed.measure_speed", lambda *arguments: pytest.fail("measured a time"))
    write_report(images, again)
    assert digests(root / "report/x2") == digests(again / "report/x2")
    assert len(digests(root / "report/x2")) == 4


def test_the_page_over_all_tasks_holds_times_date_and_machine(root: Path, images: Path) -> None:
    write_report(images, root)
    alone = (root / "report/x2/report.html").read_text()
    whole = report.together(settings(images), root).read_text()
    for words in ("Fastest 1280x720 frame", "ms per<br>frame", "<dt>Machine</dt>", "Milliseconds:", " UTC"):
        assert words in whole and words not in alone


def test_infinite_scores_of_older_files_are_read(root: Path, images: Path) -> None:
    file = results(root) / "metrics.json"
    content = json.loads(file.read_text())
    for kind in ("bicubic", "exported", "finetuned"):
        content[kind][images.name]["psnr_y"] = float("inf")
    file.write_text(json.dumps(content))
    assert "Infinity" in file.read_text()
    curves = results(root) / "curves.csv"
    curves.write_text("stage,step,loss,val_psnr\nfinetune,0,,inf\nfinetune,1,0.1,38\n")
    assert read_curves(curves)["finetune"] == [(0, CEILING), (1, 38)]
    write_report(images, root)
    assert "100.00 dB" in (root / "report/x2/report.md").read_text()


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_damaged_scores_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ValueError, match=r"metrics\.json: .*expected"):
        Result.read(tmp_path / "metrics.json")


def test_a_patch_larger_than_an_image_is_named_with_its_key(root: Path, images: Path) -> None:
    chosen = settings(images)
    block = chosen.experiments["tiny"]
    steps = block.model_copy(update={"finetune": block.finetune.model_copy(update={"steps": 1})})
    wanted = r"experiments\.tiny\.finetune\.patch: a\.jpg: 20x24 pixels, expected at least the patch of 48x48"
    with pytest.raises(ValueError, match=wanted):
        finetune.run(job("finetune", chosen.model_copy(update={"experiments": {"tiny": steps}}), root))


@pytest.mark.parametrize("stage", [train, finetune])
def test_a_stage_refuses_images_that_prepare_did_not_write(root: Path, images: Path, stage: Any) -> None:
    path = root / "prepare/x2/validate/target.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"validate/target\.npy: sha256 is"):
        stage.run(job(stage.__name__.rpartition(".")[2], settings(images), root))


def test_evaluate_refuses_images_that_prepare_did_not_write(root: Path, images: Path) -> None:
    path = root / "prepare/x2/evaluate" / images.name / "input.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"input\.npy: sha256 is"):
        evaluate.run(job("evaluate", settings(images), root))
