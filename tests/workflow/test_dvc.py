"""`dvc repro`: everything once, then only what a change can affect."""

import json
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.workflow.project import EXPERIMENTS, PER_EXPERIMENT, Project, params

pytestmark = pytest.mark.xdist_group("dvc")


@pytest.fixture(scope="module")
def built(tracked: tuple[Project, str]) -> Project:
    project, output = tracked
    assert executed(output) == {"prepare@x2", "prepare@noise", "report@x2", "report@noise", *all_of(*EXPERIMENTS)}
    return project


def all_of(*experiments: str, stages: tuple[str, ...] = PER_EXPERIMENT) -> set[str]:
    return {f"{stage}@{name}" for stage in stages for name in experiments}


def executed(output: str) -> set[str]:
    return set(re.findall(r"^Running stage '(.*)':$", output, re.MULTILINE))


def stale(project: Project) -> set[str]:
    """The stages of which DVC sees at once that something they depend on has changed."""
    return set(json.loads(project.run("dvc", "status", "--json")))


def test_every_experiment_is_scored_and_reported(built: Project) -> None:
    root = built.folder / "runs" / "dvc"
    for name, task in EXPERIMENTS.items():
        metrics = json.loads((root / "evaluate" / task / name / "metrics.json").read_text())
        for kind in ("bicubic" if task == "x2" else "input", "network", "exported", "finetuned"):
            assert metrics[kind]["check"]["psnr_y" if task == "x2" else "psnr"] > 10
        assert list((root / "evaluate" / task / name / "sheets").glob("*.png"))
        for report in ("report.md", "report.html"):
            assert name in (root / "report" / task / report).read_text()
        assert (root / "report" / task / "comparison.png").stat().st_size > 0


def test_metrics_and_plots_are_known_to_dvc(built: Project) -> None:
    shown = json.loads(built.run("dvc", "metrics", "show", "--json"))
    files = shown[""]["data"]
    assert {Path(path).parent.name for path in files} == set(EXPERIMENTS)
    plots = built.run("dvc", "plots", "show", "--json", "--out", "plots")
    assert "runs/dvc/train/first/curve.csv" in plots


def test_the_runs_are_compared_by_one_row_an_experiment(built: Project) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{built.folder}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("lutra")
    assert experiment is not None
    query = "tags.stage = 'evaluate' and tags.latest = 'true'"
    rows = client.search_runs([experiment.experiment_id], query)
    assert {row.data.tags["experiment"] for row in rows} == set(EXPERIMENTS)
    assert len(rows) == len(EXPERIMENTS)
    for row in rows:
        assert row.data.params["family"] == "srlut"
        assert any("psnr" in key and key.endswith("_finetuned") for key in row.data.metrics)
    assert not (built.folder / "mlruns").exists()


def test_a_second_run_runs_nothing(built: Project) -> None:
    assert executed(built.run("dvc", "repro")) == set()


def test_edits_rerun_what_they_can_change_and_nothing_else(built: Project) -> None:
    unrelated = (
        "lutra/cli/restoring.py",
        "pipeline/tracking/__init__.py",
        "pipeline/__main__.py",
        "pipeline/commands/stages.py",
    )
    with ExitStack() as edits:
        for path in unrelated:
            edits.enter_context(built.commented(path))
        assert stale(built) == set()
    with built.commented("pipeline/stages/report.py"):
        assert stale(built) == {"report@x2", "report@noise"}
    with built.commented("lutra/reference/units.py"):  # the report's page restores images
        assert stale(built) == all_of(*EXPERIMENTS) | {"report@x2", "report@noise"}
    with built.commented("pipeline/stages/prepare.py"):
        assert stale(built) == {"prepare@x2", "prepare@noise"}


def test_a_new_image_makes_the_data_stale(built: Project) -> None:
    image = built.folder / "images" / "train" / "new.png"
    image.write_bytes((built.folder / "images" / "train" / "0.png").read_bytes())
    try:
        assert stale(built) == {"prepare@x2", "prepare@noise"}
    finally:
        image.unlink()


def test_a_changed_block_reruns_its_stages_alone(built: Project) -> None:
    with built.edited("params.yaml", lambda text: text.replace("sheets: 1", "sheets: 0", 1)):
        assert stale(built) == {"evaluate@first", "report@x2", "report@noise"}
    with built.edited("params.yaml", lambda _: params(tracking=True, finetune_steps=4)):
        expected = all_of("second", stages=("finetune", "evaluate")) | {"report@x2", "report@noise"}
        assert executed(built.run("dvc", "repro")) == expected
        assert stale(built) == set()


def test_a_new_block_is_picked_up_as_it_is(built: Project) -> None:
    block = "\n" + (built.folder / "params.yaml").read_text().partition("  third:")[2]
    with built.edited("params.yaml", lambda text: text + "  fourth:" + block):
        assert stale(built) >= {"train@fourth", "evaluate@fourth"}
        assert not stale(built) & {"train@first", "evaluate@first"}


def test_another_file_of_parameters_has_a_pipeline_of_its_own(built: Project) -> None:
    folder = built.folder / "trials"
    folder.mkdir()
    (folder / "other.yaml").write_text(params(tracking=False))
    built.python("-m", "pipeline", "dvc-yaml", "--params", "trials/other.yaml")
    output = built.run("dvc", "repro", "--single-item", "trials/dvc.yaml:prepare@x2")
    assert executed(output) == {"trials/dvc.yaml:prepare@x2"}
    assert (built.folder / "runs/dvc-other/prepare/x2").is_dir()
    assert not any("prepare@x2" in name for name in stale(built))
