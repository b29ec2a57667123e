"""Stages that are killed or interrupted: MLflow shows them so, with all that they logged."""

import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import tracking
from pipeline.params import TrackingParams
from pipeline.tracking import journal
from tests.unit.pipeline.runs import wait_until_failed
from tests.unit.pipeline.tracking.stages import log, running, runs, waiting


def test_a_run_whose_process_died_is_sent_as_killed_and_that_of_a_living_one_is_left(
    uri: str, tmp_path: Path, down: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.run, "FLUSH_SECONDS", 0.01)
    down(True)
    settings = TrackingParams(uri=uri)
    with tracking.stage_run(settings, stage="train", experiment="a", root=tmp_path, params={}) as run:
        (file, _lock) = waiting(tmp_path)
        wait_until_failed(run)
        down(False)
        assert tracking.sync(settings) == (0, 1)
        unfinished = file.read_text()
    assert waiting(tmp_path) == []  # sent when it ended
    file.write_text(re.sub(r'"time": (\d+)', lambda found: f'"time": {int(found[1]) - 1}', unfinished))  # another run
    assert tracking.sync(settings) == (1, 0)
    assert sorted(run.info.status for run in runs(uri)) == ["FINISHED", "KILLED"]


def test_a_stage_that_is_killed_while_mlflow_answers_does_not_stay_running(uri: str, tmp_path: Path) -> None:
    with running(uri) as process:
        (before,) = runs(uri)
        assert before.info.status == "RUNNING"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert tracking.sync(TrackingParams(uri=uri)) == (1, 0)
    assert waiting(tmp_path) == []
    (after,) = runs(uri)
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "KILLED")
    assert after.info.end_time >= after.info.start_time
    assert (after.data.metrics, after.data.tags["latest"]) == ({"loss": 0.5}, "false")


def test_a_stage_that_is_interrupted_while_its_run_is_created_does_not_stay_running(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is created twice, because the answer to the first request was lost, and is one run."""
    from mlflow import MlflowClient

    create, asked, interrupted = MlflowClient.create_run, threading.Event(), threading.Event()

    def lose_the_answer(*arguments: Any) -> None:
        asked.set()
        interrupted.wait(60)
        create(*arguments)
        raise OSError("the answer was lost")

    monkeypatch.setattr(tracking.run, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(MlflowClient, "create_run", lose_the_answer)
    settings = TrackingParams(uri=uri)
    with (
        pytest.raises(KeyboardInterrupt),
        tracking.stage_run(settings, stage="train", experiment="a", root=tmp_path, params={"steps": 1}),
    ):
        assert asked.wait(60)
        interrupted.set()
        raise KeyboardInterrupt
    monkeypatch.undo()
    assert tracking.sync(settings) == (1, 0)
    (logged,) = runs(uri)
    assert (logged.info.status, logged.data.params) == ("KILLED", {"steps": "1"})
    assert waiting(tmp_path) == []


def test_a_stage_that_is_interrupted_before_its_run_is_created_leaves_nothing(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracking.run, "_system_tags", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log(uri)
    assert waiting(tmp_path) == []


def test_a_killed_training_keeps_its_curve_though_mlflow_was_down(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record ends in the middle of a line, as after a kill or on a full disk."""
    from mlflow import MlflowClient

    file = tmp_path / "tracking" / "mlflow-pending" / "killed.jsonl"
    tags = {"stage": "train", "experiment": "a", "root": "runs/dvc", "latest": "false"}
    begin = {"server": uri, "project": "lutra", "name": "a/train", "time": 1000, "tags": tags}
    killed = journal.RunRecord(file)
    killed.add("create", **begin)
    for step in range(3):
        killed.add("metrics", entries=[["loss", 1.0 / (step + 1), 1000 + step, step]])
    killed.close()
    file.write_bytes(file.read_bytes() + b'{"kind": "metrics", "content": {"entr')
    assert journal.unsent(file.parent) == 1
    assert tracking.sync(TrackingParams(uri=uri)) == (1, 0)
    assert waiting(tmp_path) == []
    (logged,) = runs(uri)
    assert (logged.info.status, logged.info.start_time) == ("KILLED", 1000)
    history = MlflowClient(tracking_uri=uri).get_metric_history(logged.info.run_id, "loss")
    assert [(point.step, point.timestamp) for point in history] == [(step, 1000 + step) for step in range(3)]
