"""Short stages leave their records to a process that outlives them, which sends them like any other."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import pipeline
from pipeline import PROJECT, tracking
from pipeline.params import TrackingParams
from pipeline.tracking import detached, journal, sending, store
from tests.servers import free_port

SHORT = """
import sys
from pathlib import Path
from pipeline import tracking
from pipeline.params import TrackingParams
settings, root = TrackingParams(uri=sys.argv[1]), Path("runs/dvc")
with tracking.stage_run(
    settings, stage="export", experiment=sys.argv[2], root=root, params={}, live=False
) as run:
    run.metrics({"table_bytes": 9})
sys.exit("mlflow" in sys.modules)
"""
SECONDS = 120  # some where nothing else runs


def log(uri: str, live: bool = False, params: dict[str, Any] | None = None) -> None:
    settings, root = TrackingParams(uri=uri), Path("runs/dvc")
    with tracking.stage_run(settings, stage="export", experiment="a", root=root, params=params or {}, live=live) as run:
        run.metrics({"table_bytes": 9})


def runs(uri: str) -> list[Any]:
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("lutra")
    return list(client.search_runs([found.experiment_id])) if found else []


def waiting(uri: str) -> list[Path]:
    return sorted(store.pending(uri).glob("*.jsonl"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The orders that stages would leave to a process: MLflow's address and experiment."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(detached, "_launch", lambda *order: found.append(order))
    return found


def test_short_stages_end_without_mlflow_and_a_process_sends_their_runs(tmp_path: Path) -> None:
    """Their database is new, and their output a pipe, which nobody keeps open."""
    uri = f"sqlite:///{tmp_path}/fresh/mlflow.db"
    commands = [[sys.executable, "-c", SHORT, uri, name] for name in ("a", "b", "c")]
    begun = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for command in commands]
    assert [stage.communicate()[1] for stage in begun] == [""] * 3
    assert [stage.returncode for stage in begun] == [0] * 3
    ends = time.monotonic() + SECONDS
    while waiting(uri):
        assert time.monotonic() < ends
        time.sleep(0.1)
    found = {run.data.tags["experiment"]: (run.info.status, run.data.tags["latest"]) for run in runs(uri)}
    assert found == dict.fromkeys("abc", ("FINISHED", "true"))
    with detached._lock(uri, SECONDS):  # it leaves
        assert (tmp_path / "fresh" / "mlflow-sender.log").read_text() == ""


def test_the_next_stage_sends_what_a_killed_process_has_not(uri: str, started: list[tuple[str, str]]) -> None:
    log(uri, params={"steps": 1})
    assert len(started) == len(waiting(uri)) == 1
    assert runs(uri) == []
    log(uri, live=True, params={"steps": 2})
    assert waiting(uri) == []
    assert {run.data.params["steps"] for run in runs(uri)} == {"1", "2"}


def test_the_process_reports_what_mlflow_refuses_and_the_next_stage_shows_it(
    uri: str, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detached, "LINGER_SECONDS", 0.5)
    for _ in range(2):
        log(uri, params={"not allowed?!": 1})
    assert capfd.readouterr().err == ""
    detached.send(*started[0])
    assert [(run.info.status, run.data.metrics) for run in runs(uri)] == [("FINISHED", {"table_bytes": 9})] * 2
    said = capfd.readouterr().err
    assert [line.startswith("tracking: params left out: MLflow says ") for line in said.splitlines()] == [True] * 2
    (store.home(uri) / "mlflow-sender.log").write_text(said)  # stderr of the process, where the stage's was a pipe
    for expected in (said, ""):
        log(uri)
        assert capfd.readouterr().err == expected


def test_a_server_that_is_away_is_reported_in_one_line_and_the_run_waits(
    tmp_path: Path, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "home", lambda _: tmp_path)
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    log(uri)
    (order,) = started
    detached.send(*order)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"tracking: incomplete: MLflow at {store.without_password(uri)} failed (")
    assert line.endswith("; what is missing waits for the next stage, or for `python -m pipeline track sync`")
    assert len(waiting(uri)) == 1
    assert "secret" not in waiting(uri)[0].read_text() + line


def test_no_second_process_is_started_while_one_is_at_work(
    uri: str, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "TURN_SECONDS", 0.1)
    with detached._lock(uri, 0.0):
        log(uri)
        assert started == []
        detached.send(uri, "lutra")  # finds the lock taken
        assert len(waiting(uri)) == 1
    log(uri)
    assert len(started) == 1


@pytest.mark.parametrize("place", ["a job of SLURM", "an experiment in DVC's queue", "a folder that cannot be written"])
def test_a_stage_waits_where_no_process_can_send_for_it(
    uri: str, started: list[tuple[str, str]], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "SLURM" in place:
        monkeypatch.setenv("SLURM_JOB_ID", "7")
    elif "DVC" in place:
        monkeypatch.setattr(pipeline, "PROJECT", PROJECT / ".dvc" / "tmp" / "exps" / "tmp1")
    else:
        store.pending(uri).write_text("a file in its place")
    log(uri)
    assert started == []
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_sync_waits_for_a_record_that_another_process_sends(uri: str, started: list[tuple[str, str]]) -> None:
    log(uri)
    (path,) = waiting(uri)
    taken = threading.Event()

    def another() -> None:
        with journal.opened(path) as record:
            assert record is not None
            taken.set()
            time.sleep(0.5)
            record.todo.clear()

    thread = threading.Thread(target=another)
    thread.start()
    assert taken.wait(SECONDS)
    assert tracking.sync(TrackingParams(uri=uri)) == (0, 0)
    thread.join()


def test_the_process_sends_what_comes_while_it_stays(
    uri: str, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep

    def another_stage(seconds: float) -> None:
        sleep(seconds)
        if len(started) == 1:
            log(uri, params={"steps": 2})
            started.append((uri, "left to the process at work"))

    log(uri, params={"steps": 1})
    monkeypatch.setattr(detached, "LINGER_SECONDS", 0.5)
    monkeypatch.setattr(time, "sleep", another_stage)
    detached.send(*started[0])
    assert {run.data.params["steps"] for run in runs(uri)} == {"1", "2"}
    assert waiting(uri) == []


def test_a_server_that_never_ends_its_answer_does_not_hold_the_process(
    uri: str, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detached, "STUCK_SECONDS", 1)
    monkeypatch.setattr(sending.Sender, "send", lambda *_: time.sleep(SECONDS))
    monkeypatch.setattr(sending.Sender, "answers", lambda _: False)
    log(uri)
    detached.send(*started[0])
    assert "failed (no answer within 1 s)" in capfd.readouterr().err
    assert len(waiting(uri)) == 1


def test_a_store_that_somebody_holds_is_reported(
    uri: str, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    log(uri)
    with store.lock(uri):
        detached.send(*started[0])
    assert f"failed (The file lock '{store.home(uri)}/mlflow.lock' could not be acquired.)" in capfd.readouterr().err
