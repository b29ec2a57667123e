"""Records that MLflow has not taken wait in files, and read afterwards as if they had been sent at once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import tracking
from pipeline.__main__ import app
from pipeline.params import TrackingParams
from pipeline.tracking import journal, sending, store
from tests.servers import free_port, mlflow_server
from tests.unit.pipeline.runs import wait_until_sent
from tests.unit.pipeline.tracking.stages import log, running, runs, waiting


def test_a_server_that_stops_in_the_middle_of_a_run_gets_the_rest_when_it_is_back(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(store, "MAIN_PROJECT", tmp_path)
    monkeypatch.setattr(tracking.run, "FLUSH_SECONDS", 0.01)
    database, port, output = tmp_path / "mlflow.db", free_port(), tmp_path / "curve.csv"
    shutil.copyfile(empty_database, database)
    uri = f"http://127.0.0.1:{port}"
    settings = TrackingParams(uri=uri)
    with mlflow_server(database, port) as stop:
        with tracking.stage_run(settings, stage="train", experiment="a", root=tmp_path, params={"steps": 2}) as run:
            run.metrics({"loss": 0.5}, step=1)
            wait_until_sent(run)
            stop()
            run.metrics({"loss": 0.25}, step=2)
            output.write_text("step,loss\n")
            run.artifact(output)
        ended = journal.now()
    assert output.read_text() == "step,loss\n"
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert len(waiting(tmp_path)) == 2  # the record and its lock
    with mlflow_server(database, port):
        assert tracking.sync(settings) == (1, 0)
        assert waiting(tmp_path) == []
        (logged,) = runs(uri)
        assert (logged.info.status, logged.data.tags["latest"]) == ("FINISHED", "true")
        assert logged.info.end_time <= ended
        client = MlflowClient(tracking_uri=uri)
        history = client.get_metric_history(logged.info.run_id, "loss")
        assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
        assert all(point.timestamp <= ended for point in history)
        assert [file.path for file in client.list_artifacts(logged.info.run_id)] == ["curve.csv"]
        assert tracking.sync(settings) == (0, 0)


def test_the_next_stage_sends_what_waits(uri: str, tmp_path: Path, down: Callable[[bool], None]) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "changed").write_text("before")
    down(True)
    log(uri, (tmp_path / "kept", tmp_path / "changed"), steps=1)
    (tmp_path / "changed").write_text("after")
    down(False)
    assert len(waiting(tmp_path)) == 2  # the file and its lock
    log(uri, steps=2)
    assert waiting(tmp_path) == []
    late, newer = sorted(runs(uri), key=lambda run: str(run.data.params["steps"]))
    assert late.info.status == newer.info.status == "FINISHED"
    assert late.info.start_time < newer.info.start_time
    assert (late.data.tags["latest"], newer.data.tags["latest"]) == ("false", "true")
    assert late.data.metrics == {"loss": 0.5}
    assert [path.name for path in Path(late.info.artifact_uri.removeprefix("file://")).iterdir()] == ["kept"]


def test_a_run_that_is_sent_late_does_not_take_latest_from_a_newer_one(
    uri: str, tmp_path: Path, down: Callable[[bool], None]
) -> None:
    down(True)
    log(uri, steps=1)
    (file, _lock) = waiting(tmp_path)
    aside = shutil.move(file, tmp_path / "aside")
    down(False)
    log(uri, steps=2)
    shutil.move(aside, file)
    assert tracking.sync(TrackingParams(uri=uri)) == (1, 0)
    (latest,) = runs(uri, "tags.latest = 'true'")
    assert latest.data.params == {"steps": "2"}


def test_stages_that_run_at_once_leave_each_other_alone(uri: str, tmp_path: Path) -> None:
    settings = TrackingParams(uri=uri)
    with running(uri) as process:
        log(uri)
        assert tracking.sync(settings) == (0, 0)  # it runs, but nothing of it waits
        statuses = {run.data.tags["experiment"]: run.info.status for run in runs(uri)}
        assert statuses == {"living": "RUNNING", "a": "FINISHED"}
        assert len(waiting(tmp_path)) == 2  # the living one's file and lock
        assert process.communicate() == ("", "")
    assert [run.info.status for run in runs(uri)] == ["FINISHED"] * 2
    assert waiting(tmp_path) == []


def test_a_server_that_is_away_is_not_asked_for_every_run(
    uri: str, down: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[journal.RunRecord] = []

    def fail(self: sending.Sender, record: journal.RunRecord) -> None:
        tried.append(record)
        raise OSError("nobody there")

    down(True)
    for _ in range(3):
        log(uri)
    down(False)
    monkeypatch.setattr(sending.Sender, "send", fail)
    monkeypatch.setattr(sending.Sender, "answers", lambda _: False)
    with pytest.raises(OSError, match="nobody there"):
        tracking.sync(TrackingParams(uri=uri))
    assert len(tried) == 1


def test_a_password_in_the_address_is_neither_said_nor_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "MAIN_PROJECT", tmp_path)
    port = free_port()
    log(f"http://me:secret@127.0.0.1:{port}")
    (file, _lock) = waiting(tmp_path)
    assert json.loads(file.read_text().splitlines()[0])["content"]["server"] == f"http://127.0.0.1:{port}"
    assert "secret" not in file.read_text() + capfd.readouterr().err


def test_runs_for_another_server_wait_for_it(uri: str, tmp_path: Path, down: Callable[[bool], None]) -> None:
    down(True)
    log(uri)
    (file, _lock) = waiting(tmp_path)
    file.write_text(file.read_text().replace(uri, "http://elsewhere"))
    down(False)
    assert tracking.sync(TrackingParams(uri=uri)) == (0, 1)


def test_the_command_reports_a_server_that_is_down_in_one_line(tmp_path: Path) -> None:
    address = f"http://me:secret@127.0.0.1:{free_port()}"
    head = "data: {train: a, evaluate: [b], validate: 1}\ntasks: {}\nexperiments: {}\n"
    (tmp_path / "params.yaml").write_text(f'{head}tracking: {{uri: "{address}"}}\n')
    done = CliRunner().invoke(app, ["track", "sync", "--params", str(tmp_path / "params.yaml")])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: MLflow at {address.replace('me:secret@', '')} failed (")
    assert "secret" not in line
