"""Records of finished runs: sending one again changes nothing, and a lost database is written from them."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import tracking
from pipeline.params import TrackingParams
from tests.unit.pipeline.tracking.stages import log, runs


def everything(uri: str) -> dict[str, Any]:
    """Return what MLflow shows of its only run, its files, and the registered models."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    (run,) = runs(uri)
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return {
        "status": (run.info.status, run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {
            key: [
                (point.value, point.step, point.timestamp) for point in client.get_metric_history(run.info.run_id, key)
            ]
            for key in run.data.metrics
        },
        "files": sorted(re.sub("[0-9a-f-]{36}", "", str(path.relative_to(folder))) for path in folder.rglob("*.*")),
        "models": [version.tags for version in client.search_model_versions()],
        "logged": len(run.outputs.model_outputs) if run.outputs else 0,
    }


def log_all(uri: str, folder: Path) -> None:
    """A stage that logs one of everything."""
    Image.new("RGB", (8, 6)).save(folder / "sheet.png")
    (folder / "model.safetensors").write_text("a model")
    tags = {"score": "30.0", "scored": "samples/psnr_y", "table_bytes": "9"}
    with tracking.stage_run(
        TrackingParams(uri=uri),
        stage="evaluate",
        experiment="a",
        root=folder,
        params={"steps": 1},
        settings={"steps": 1},
    ) as run:
        run.note("Protocol: this.")
        run.metrics({"loss": 0.5}, step=1)
        run.artifact(folder / "sheet.png")
        run.image(folder / "sheet.png", "sheets/a")
        run.model(folder / "model.safetensors", "lutra-sr-x4", tags, {"samples/psnr_y_finetuned": 30.0})


def test_what_is_sent_again_changes_nothing(uri: str, tmp_path: Path) -> None:
    log_all(uri, tmp_path)
    before = everything(uri)
    (logged,) = (tmp_path / "tracking" / "mlflow-logged").iterdir()
    shutil.copyfile(logged, tmp_path / "tracking" / "mlflow-pending" / "again.jsonl")
    assert tracking.sync(TrackingParams(uri=uri)) == (1, 0)
    assert everything(uri) == before


def test_a_database_that_is_lost_is_written_again_from_the_records(
    uri: str, tmp_path: Path, empty_database: Path
) -> None:
    from mlflow import MlflowClient

    log(uri, steps=1)
    log_all(uri, tmp_path)
    database = tmp_path / "tracking" / "mlflow.db"
    assert tracking.sync(TrackingParams(uri=uri)) == (0, 0)
    before = {run.data.tags["stage"]: (run.info.start_time, run.data.params, run.data.metrics) for run in runs(uri)}
    shutil.copyfile(empty_database, database)
    shutil.rmtree(database.with_name("mlruns"))
    assert tracking.sync(TrackingParams(uri=uri)) == (2, 0)
    found = {run.data.tags["stage"]: (run.info.start_time, run.data.params, run.data.metrics) for run in runs(uri)}
    assert found == before and len(found) == 2
    assert len(runs(uri, "tags.latest = 'true' and attributes.status = 'FINISHED'")) == 2
    MlflowClient(tracking_uri=uri).delete_run(runs(uri)[0].info.run_id)
    assert tracking.sync(TrackingParams(uri=uri)) == (0, 0)  # what a user deletes stays deleted
    assert len(runs(uri)) == 1


def test_only_the_newest_finished_run_keeps_its_record(uri: str, tmp_path: Path) -> None:
    for steps in range(2):
        log(uri, steps=steps)
    with (
        pytest.raises(ValueError, match="broken"),
        tracking.stage_run(
            TrackingParams(uri=uri), stage="train", experiment="a", root=Path("runs/dvc"), params={"steps": 9}
        ),
    ):
        raise ValueError("broken")
    (kept,) = (tmp_path / "tracking" / "mlflow-logged").iterdir()
    assert '"steps": "1"' in kept.read_text()
