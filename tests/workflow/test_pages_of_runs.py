"""What the stages log to MLflow under DVC, and that its pages show it in a browser: the figures of metrics.json."""

import json
import re
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.browser import browser, executable, rounded
from tests.servers import free_port, serving
from tests.workflow.project import Project

pytestmark = pytest.mark.xdist_group("dvc")

SECONDS = 180  # some where nothing else runs
NAMES = ("first", "second")
KINDS = ("bicubic", "network", "exported", "finetuned")
MEASURES = ("psnr_y", "ssim_y")


@pytest.fixture(scope="module")
def evaluated(tracked: tuple[Project, str]) -> Project:
    """Two experiments of one task, evaluated, with tables of two sizes; and one of another task."""
    project, _ = tracked
    project.python("-m", "pipeline", "track", "sync")  # waits for the process that sends what the last stages logged
    return project


def evaluations(client: MlflowClient) -> dict[str, Run]:
    """The latest run of the stage for each experiment of the task."""
    experiment = client.get_experiment_by_name("lutra")
    assert experiment is not None
    query = "tags.stage = 'evaluate' and tags.latest = 'true'"
    runs = {run.data.tags["experiment"]: run for run in client.search_runs([experiment.experiment_id], query)}
    return {name: run for name, run in runs.items() if name in NAMES}


@pytest.fixture
def client(evaluated: Project) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{evaluated.folder}/runs/mlflow.db")


def test_sheets_stand_side_by_side_at_one_step(client: MlflowClient) -> None:
    for run in evaluations(client).values():
        images = client.list_artifacts(run.info.run_id, "images")
        assert images and all("+step+0+" in image.path for image in images)


def test_no_run_of_a_stage_that_ended_waits(evaluated: Project) -> None:
    assert list((evaluated.folder / "runs" / "mlflow-pending").iterdir()) == []


def test_the_pages_show_the_figures_of_metrics_json(
    evaluated: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    if executable() is None:
        pytest.skip("needs Chromium or Chrome, to see what MLflow's pages show")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    written: dict[str, dict[str, Any]] = {
        name: json.loads((evaluated.folder / "runs/dvc/evaluate/x2" / name / "metrics.json").read_text())
        for name in NAMES
    }
    finetuned = {name: content["finetuned"]["check"] for name, content in written.items()}
    assert written["first"]["table_bytes"] < written["second"]["table_bytes"]
    assert all(finetuned["first"][measure] != finetuned["second"][measure] for measure in MEASURES)

    runs = evaluations(client)
    assert runs.keys() == set(NAMES)
    experiment = runs["first"].info.experiment_id
    speeds = [run.data.metrics["ms_per_1280x720_frame"] for run in runs.values()]

    port, log = free_port(), evaluated.folder.parent / "ui.log"
    with serving(["pipeline", "ui", "--port", str(port)], port, "health", evaluated.folder, log), browser() as page:
        said = re.search(r"lutra-sr-x2 compared: (\S+)", log.read_text())
        assert said is not None
        page.open(said[1], 2400, 1000)
        for name in NAMES:
            page.wait_for(f"{name}/evaluate", SECONDS)
        text = page.wait_for(str(written["second"]["table_bytes"]), SECONDS)
        worse, better = sorted(NAMES, key=lambda name: float(finetuned[name]["psnr_y"]))
        assert text.index(f"{better}/evaluate") < text.index(f"{worse}/evaluate")
        for name in NAMES:
            for measure in MEASURES:
                assert str(finetuned[name][measure]) in text.splitlines()

        ids = json.dumps([run.info.run_id for run in runs.values()]).replace('"', "%22").replace(" ", "")
        compared = f"#/compare-runs?runs={ids}&experiments=[%22{experiment}%22]"
        page.open(f"http://127.0.0.1:{port}/{compared}", 1600, 3000)
        page.wait_for("check/ssim_y_network", SECONDS)
        page.wait_for(str(written["second"]["table_bytes"]), SECONDS)
        lines = page.wait_for("finetune.steps", SECONDS).split()
        assert all(rounded(speed) in lines for speed in speeds)
        for content in written.values():
            assert str(content["table_bytes"]) in lines
            for kind in KINDS:
                for measure in MEASURES:
                    assert rounded(content[kind]["check"][measure]) in lines
