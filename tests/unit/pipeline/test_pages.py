"""MLflow's pages in a browser: they show the figures of metrics.json."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import compared, tracking
from pipeline.params import TaskParams, TrackingParams
from pipeline.stages import PROJECT
from tests.browser import browser, executable
from tests.servers import free_port, serving

SECONDS = 240  # some where nothing else runs
MEASURES = ("psnr_y", "ssim_y")
SCORES = {  # of bicubic, network, exported and finetuned table
    "first": ((28.426911, 0.811044), (29.8, 0.85), (29.7, 0.84), (29.841237, 0.850433)),
    "second": ((28.426911, 0.811044), (30.5, 0.87), (30.3, 0.86), (30.408158, 0.861714)),
}
BYTES = {"first": 1336336, "second": 427008}


@pytest.fixture
def metrics(uri: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """metrics.json of two experiments, logged as the stage logs them; by experiment."""
    kinds, written = ("bicubic", "network", "exported", "finetuned"), {}
    for name, scores in SCORES.items():
        content = {
            kind: {"Set5": dict(zip(MEASURES, row, strict=True))} for kind, row in zip(kinds, scores, strict=True)
        }
        content |= {"measures": list(MEASURES), "family": "mulut", "table_bytes": BYTES[name], "options": {"scale": 4}}
        folder = tmp_path / name
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps(content))
        (folder / "model.safetensors").write_text(name)
        params = {"family": "mulut", "finetune.steps": len(written)}
        with tracking.stage_run(
            TrackingParams(uri=uri), stage="evaluate", experiment=name, root=tmp_path, params=params
        ) as run:
            run.artifact(folder / "metrics.json")
            run.model(
                folder / "model.safetensors",
                compared.registered_name(TaskParams(task="sr", scale=4)),
                compared.version_tags(content, "Set5"),
                compared.scores(content),
            )
        written[name] = json.loads((folder / "metrics.json").read_text())
    return written


def shown(value: float) -> str:
    """A number as the page that compares runs rounds it."""
    return f"{round(value, 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1):g}" if value % 1 else str(int(value))


def test_the_pages_show_the_figures_of_metrics_json(uri: str, tmp_path: Path, metrics: dict[str, Any]) -> None:
    if executable() is None:
        pytest.skip("needs Chromium or Chrome, to see what MLflow's pages show")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("lutra")
    assert experiment is not None
    found = {run.data.tags["experiment"]: run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    params, log, port = tmp_path / "params.yaml", tmp_path / "ui.log", free_port()
    params.write_text(
        f'data: {{train: a, evaluate: [b], validate: 1}}\ntasks: {{}}\ntracking: {{uri: "{uri}"}}\nexperiments: {{}}\n'
    )
    command = ["pipeline", "ui", "--port", str(port), "--params", str(params)]
    with serving(command, port, "health", PROJECT, log), browser() as page:
        said = re.search(r"lutra-sr-x4 compared: (\S+)", log.read_text())
        assert said is not None
        page.open(said[1], 2400, 1000)
        page.wait_for(str(BYTES["first"]), SECONDS)
        text = page.wait_for("first/evaluate", SECONDS)
        assert text.index("second/evaluate") < text.index("first/evaluate")  # the better one is on top
        for content in metrics.values():
            for measure in MEASURES:
                assert str(content["finetuned"]["Set5"][measure]) in text.splitlines()

        ids = json.dumps(list(found.values()))
        page.open(
            f"http://127.0.0.1:{port}/#/compare-runs?runs={ids}&experiments=[%22{experiment.experiment_id}%22]",
            1600,
            3000,
        )
        text = page.wait_for("Set5/ssim_y_network", SECONDS)
        page.wait_for(str(BYTES["second"]), SECONDS)
        lines = page.wait_for("finetune.steps", SECONDS).split()
        for content in metrics.values():
            assert str(content["table_bytes"]) in lines
            for kind in ("bicubic", "network", "exported", "finetuned"):
                for measure in MEASURES:
                    assert shown(content[kind]["Set5"][measure]) in lines
