"""What MLflow has not taken waits in a file, and reads afterwards as if it had been sent at once."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import PROJECT, tracking
from pipeline.params import TrackingParams
from pipeline.tracking import journal, sending, store
from tests.servers import free_port, mlflow_server
from tests.unit.pipeline.runs import wait_until_failed, wait_until_sent

CHILD = """
import sys
from pathlib import Path
from pipeline import tracking
from pipeline.params import TrackingParams
from tests.unit.pipeline.runs import wait_until_sent
tracking.run.FLUSH_SECONDS = 0.01
with tracking.stage_run(
    TrackingParams(uri=sys.argv[1]), stage="train", experiment="living", root=Path("runs/dvc"), params={"steps": 1}
) as run:
    run.metrics({"loss": 0.5}, step=1)
    wait_until_sent(run)
    print("running", flush=True)
    sys.stdin.read()
"""


@contextmanager
def running(uri: str) -> Iterator[subprocess.Popen[str]]:
    """A process within a stage, which ends when its input does; killed at the end of the block if it still lives."""
    command = [sys.executable, "-c", CHILD, uri]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes MLflow unreachable, or reachable again."""
    connect = store.connect

    def fail(uri: str) -> None:
        raise OSError("nobody there")

    return lambda is_down: monkeypatch.setattr(store, "connect", fail if is_down else connect)


def log(uri: str, files: tuple[Path, ...] = (), **params: Any) -> None:
    settings = TrackingParams(uri=uri)
    with tracking.stage_run(settings, stage="train", experiment="a", root=Path("runs/dvc"), params=params) as run:
        run.metrics({"loss": 0.5}, step=3)
        for file in files:
            run.artifact(file)


def runs(uri: str, query: str = "") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("lutra")
    assert found is not None
    return list(client.search_runs([found.experiment_id], query))


def waiting(folder: Path) -> list[Path]:
    return sorted(folder.rglob("mlflow-pending/*"))


def test_a_server_that_stops_in_the_middle_of_a_run_gets_the_rest_when_it_is_back(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(store, "PROJECT", tmp_path)
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


def test_a_stage_that_is_interrupted_while_its_run_is_created_does_not_stay_running(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whose run is created twice, because the answer to the first request was lost, is one run."""
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
    killed = journal.Record(file)
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


def everything(uri: str) -> dict[str, Any]:
    """What MLflow shows of its only run, its files, and the registered models."""
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


def test_what_a_server_refuses_does_not_keep_back_the_rest(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tracking.stage_run(
        TrackingParams(uri=uri), stage="train", experiment="a", root=tmp_path, params={"not allowed?!": 1}
    ) as run:
        run.metrics({"loss": 0.5})
    (logged,) = runs(uri)
    assert (logged.info.status, logged.data.params, logged.data.metrics) == ("FINISHED", {}, {"loss": 0.5})
    assert capfd.readouterr().err.startswith("tracking: params left out: MLflow says ")
    assert waiting(tmp_path) == []


def test_a_run_that_cannot_be_sent_does_not_keep_back_later_ones(
    uri: str, tmp_path: Path, down: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create = MlflowClient.create_run

    def refuse(self: MlflowClient, experiment: str, time: int, tags: dict[str, str], name: str) -> Any:
        if tags["experiment"] == "refused":
            raise ValueError("no such run here")
        return create(self, experiment, time, tags, name)

    monkeypatch.setattr(MlflowClient, "create_run", refuse)
    down(True)
    for steps in range(4):
        log(uri, steps=steps)
    down(False)
    damaged, _, refused, _ = (path for path in waiting(tmp_path) if path.suffix == ".jsonl")
    damaged.write_text("{")
    refused.write_text(refused.read_text().replace('"experiment": "a"', '"experiment": "refused"'))
    with pytest.raises(ValueError, match=rf"^{damaged}: damaged, "):
        tracking.sync(TrackingParams(uri=uri))
    assert {run.data.params["steps"] for run in runs(uri)} == {"1", "3"}
    damaged.unlink()
    with pytest.raises(ValueError, match=rf"^{refused}: MLflow refuses it \(no such run here\)"):
        tracking.sync(TrackingParams(uri=uri))
    assert refused in waiting(tmp_path)


def test_a_stage_names_a_damaged_file_and_logs_all_the_same(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tracking" / "mlflow-pending" / "damaged.json"
    file.parent.mkdir()
    file.write_text("{")
    log(uri)
    expected = f"tracking: {file}: damaged, expected a run that waits to be sent; remove it to lose it\n"
    assert capfd.readouterr().err == expected
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_a_folder_that_cannot_be_written_is_named_and_the_run_sent(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tracking" / "mlflow-pending").write_text("a file in its place")
    log(uri)
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith(f"tracking: incomplete: {tmp_path}/tracking/mlflow-pending/")
    assert said.endswith(".jsonl: File exists")
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_a_server_that_is_away_is_not_asked_for_every_run(
    uri: str, down: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[journal.Record] = []

    def fail(self: sending.Sender, record: journal.Record) -> None:
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


def test_what_fails_while_the_server_answers_is_tried_three_times(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fail(self: sending.Sender, record: journal.Record, **_: Any) -> None:
        tried.append(record.tries)
        raise OSError("the files' disk is full")

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sending.Sender, "_artifact", fail)
    log(uri, (tmp_path / "file",))
    assert tried == [0]  # a stage tries once
    for _ in range(3):
        tracking.sync(TrackingParams(uri=uri))
    assert tried == [0, 1, 2]
    (logged,) = runs(uri)
    assert (logged.info.status, logged.data.tags["latest"]) == ("FINISHED", "true")


def test_a_password_in_the_address_is_neither_said_nor_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "PROJECT", tmp_path)
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


@pytest.mark.parametrize(
    "content", ["", '{"server": "a", "project": "b", "run_id": "", "ended": true, "operations": [{}]}']
)
def test_a_damaged_file_is_named_by_the_command(uri: str, tmp_path: Path, content: str) -> None:
    file = tmp_path / "tracking" / "mlflow-pending" / "damaged.json"
    file.parent.mkdir()
    file.write_text(content)
    (tmp_path / "params.yaml").write_text(
        f'data: {{train: a, evaluate: [b], validate: 1}}\ntasks: {{}}\ntracking: {{uri: "{uri}"}}\nexperiments: {{}}\n'
    )
    command = [sys.executable, "-m", "pipeline", "track", "sync", "--params", str(tmp_path / "params.yaml")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: {file}: damaged, expected a run that waits to be sent; remove it to lose it\n"


def test_the_command_reports_a_server_that_is_down_in_one_line(tmp_path: Path) -> None:
    address = f"http://me:secret@127.0.0.1:{free_port()}"
    head = "data: {train: a, evaluate: [b], validate: 1}\ntasks: {}\nexperiments: {}\n"
    (tmp_path / "params.yaml").write_text(f'{head}tracking: {{uri: "{address}"}}\n')
    command = [sys.executable, "-m", "pipeline", "track", "sync", "--params", str(tmp_path / "params.yaml")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: MLflow at {address.replace('me:secret@', '')} failed (")
    assert "secret" not in line
