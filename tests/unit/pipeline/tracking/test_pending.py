"""What MLflow has not taken waits in a file, and reads afterwards as if it had been sent at once."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import tracking
from pipeline.declaration import PROJECT
from pipeline.params import TrackingParams
from pipeline.tracking import journal, sending, store
from tests.servers import free_port, mlflow_server, stop

CHILD = """
import sys
from pathlib import Path
from pipeline import tracking
from pipeline.params import TrackingParams
tracking.FLUSH_SECONDS = 0.0
with tracking.stage_run(
    TrackingParams(uri=sys.argv[1]), stage="train", experiment="living", root=Path("runs/dvc"), params={"steps": 1}
) as run:
    run.metrics({"loss": 0.5}, step=1)
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
    monkeypatch.setattr(tracking, "FLUSH_SECONDS", 0.0)
    database, port, output = tmp_path / "mlflow.db", free_port(), tmp_path / "curve.csv"
    shutil.copyfile(empty_database, database)
    uri = f"http://127.0.0.1:{port}"
    settings = TrackingParams(uri=uri)
    with mlflow_server(database, port) as server:
        with tracking.stage_run(settings, stage="train", experiment="a", root=tmp_path, params={"steps": 2}) as run:
            run.metrics({"loss": 0.5}, step=1)
            stop(server)
            run.metrics({"loss": 0.25}, step=2)
            output.write_text("step,loss\n")
            run.artifact(output)
        ended = journal.now()
    assert output.read_text() == "step,loss\n"
    assert len(capfd.readouterr().err.splitlines()) == 1
    (file, _lock) = waiting(tmp_path)
    assert [operation["kind"] for operation in json.loads(file.read_text())["operations"]] == [
        "metrics",
        "artifact",
        "end",
        "latest",
    ]
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
    uri: str, tmp_path: Path, down: Callable[[bool], None]
) -> None:
    down(True)
    settings = TrackingParams(uri=uri)
    with tracking.stage_run(settings, stage="train", experiment="a", root=tmp_path, params={}):
        (file, _lock) = waiting(tmp_path)
        down(False)
        assert tracking.sync(settings) == (0, 1)
        unfinished = file.read_text()
    assert waiting(tmp_path) == []  # sent when it ended
    file.write_text(unfinished)
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
    from mlflow import MlflowClient

    create = MlflowClient.create_run

    def interrupted(*arguments: Any) -> None:
        create(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "create_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log(uri, steps=1)
    (logged,) = runs(uri)
    assert (logged.info.status, logged.data.params) == ("KILLED", {"steps": "1"})
    assert waiting(tmp_path) == []


def test_a_stage_that_is_interrupted_before_its_run_is_created_leaves_nothing(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracking, "_system_tags", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log(uri)
    assert waiting(tmp_path) == []


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
    damaged, _, refused, _ = (path for path in waiting(tmp_path) if path.suffix == ".json")
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
    assert said.endswith(".json: File exists")
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_a_server_that_is_away_is_not_asked_for_every_run(
    uri: str, down: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[journal.Journal] = []

    def fail(self: sending.Sender, journal: journal.Journal) -> None:
        tried.append(journal)
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

    def fail(self: sending.Sender, _: journal.Journal, operation: journal.Operation) -> None:
        tried.append(operation["tries"])
        raise OSError("the files' disk is full")

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sending.Sender, "_artifact", fail)
    log(uri, (tmp_path / "file",))
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
    assert json.loads(file.read_text())["server"] == f"http://127.0.0.1:{port}"
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
