"""Tracking: what is logged, who is the latest, and that nothing it does can hurt a stage."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import PROJECT, tracking
from pipeline.params import TrackingParams
from tests.unit.pipeline.runs import wait_until_sent

CHILD = """
import sys
from pathlib import Path
from pipeline import tracking
from pipeline.params import TrackingParams
with tracking.stage_run(
    TrackingParams(uri=sys.argv[1]), stage="train", experiment="a", root=Path("runs/dvc"), params={}
) as run:
    run.metrics({"loss": 1.0}, step=1)
"""


AT_ONCE = f"""
import os, sys
from pipeline.tracking import store
store.set_environment()
import mlflow.store.tracking.sqlalchemy_store, mlflow.tracking
for _ in range(3):
    if os.fork() == 0:
        exec({CHILD!r})
        sys.exit()
sys.exit(any(os.wait()[1] for _ in range(3)))
"""


def log(
    uri: str,
    stage: str = "train",
    experiment: str = "a",
    root: str = "runs/dvc",
    project: str = "lutra",
    **params: Any,
) -> None:
    settings = TrackingParams(uri=uri, experiment=project)
    with tracking.stage_run(settings, stage=stage, experiment=experiment, root=Path(root), params=params) as run:
        run.metrics({"loss": 0.5}, step=3)


def runs(uri: str, query: str = "") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("lutra")
    assert found is not None
    return list(client.search_runs([found.experiment_id], query))


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_stage_logs_parameters_metrics_artifacts_and_tags(uri: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    (tmp_path / "metrics.json").write_text("{}")
    with tracking.stage_run(
        TrackingParams(uri=uri),
        stage="evaluate",
        experiment="a",
        root=PROJECT / "runs/dvc",
        params={"train.steps": 7},
        settings={"train": {"steps": 7}},
    ) as run:
        run.note("Protocol: this.")
        for step in range(2500):  # more than fit in one request
            run.metrics({"loss": 1.0 / (step + 1)}, step=step)
        run.artifact(tmp_path / "metrics.json")
        run.artifact(tmp_path / "metrics.json", "again")
        run.image(tmp_path / "a.png", "sheets/a é")
    (logged,) = runs(uri)
    assert logged.info.status == "FINISHED"
    assert logged.data.params == {"train.steps": "7"}
    assert logged.data.metrics == {"loss": 1.0 / 2500}
    tags = {key: logged.data.tags[key] for key in ("experiment", "stage", "root", "latest")}
    assert tags == {"experiment": "a", "stage": "evaluate", "root": "runs/dvc", "latest": "true"}
    stored = Path(logged.info.artifact_uri.removeprefix("file://"))
    assert stored.is_relative_to(tmp_path / "tracking")
    files = {str(path.relative_to(stored)) for path in stored.rglob("*.*")}
    images = {path for path in files if path.startswith("images/sheets~a _+step+0+")}
    assert files - images == {"metrics.json", "again/metrics.json", "params.json"}
    assert {path.rpartition(".")[2] for path in images} == {"png", "webp"}  # as sent, and small
    assert json.loads((stored / "params.json").read_text()) == {"train": {"steps": 7}}
    assert logged.data.tags["mlflow.note.content"] == "Protocol: this."
    assert logged.data.tags["mlflow.source.name"] == "python -m pipeline evaluate"
    assert logged.data.tags["mlflow.loggedImages"] == "True"
    assert list((tmp_path / "tracking" / "mlflow-pending").iterdir()) == []


def test_the_newest_run_takes_latest_from_the_one_it_supersedes(uri: str) -> None:
    log(uri, steps=1)
    log(uri, experiment="b", steps=1)
    log(uri, stage="evaluate", steps=1)
    log(uri, root="runs/snakemake", steps=1)
    log(uri, steps=2)
    latest = runs(uri, "tags.latest = 'true' and tags.stage = 'train' and tags.root = 'runs/dvc'")
    found = {run.data.tags["experiment"]: run.data.params["steps"] for run in latest}
    assert len(latest) == 2
    assert found == {"a": "2", "b": "1"}
    assert len(runs(uri)) == 5


def test_a_root_with_quotes_gets_a_latest_run(uri: str) -> None:
    for steps in ("1", "2"):
        with tracking.stage_run(
            TrackingParams(uri=uri), stage="train", experiment="a", root=Path('it\'s a "root"'), params={"steps": steps}
        ):
            pass
    (latest,) = runs(uri, "tags.latest = 'true'")
    assert latest.data.params == {"steps": "2"}


def test_a_run_that_failed_is_marked_and_does_not_become_the_latest(uri: str) -> None:
    log(uri, steps=1)
    for error, status in ((ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        with (
            pytest.raises(error),
            tracking.stage_run(
                TrackingParams(uri=uri), stage="train", experiment="a", root=Path("runs/dvc"), params={}
            ) as run,
        ):
            run.metrics({"loss": 2.0})
            raise error
        (marked,) = runs(uri, f"attributes.status = '{status}'")
        assert marked.data.metrics == {"loss": 2.0}
    (latest,) = runs(uri, "tags.latest = 'true'")
    assert latest.data.params == {"steps": "1"}


def test_processes_may_start_at_once_on_a_fresh_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/fresh/mlflow.db"
    command, home = [sys.executable, "-c", AT_ONCE, uri], os.environ | {"HOME": "/nowhere"}
    done = subprocess.run(command, cwd=PROJECT, env=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(runs(uri)) == 3
    assert len(runs(uri, "tags.latest = 'true'")) == 1


def test_stages_that_begin_in_the_same_millisecond_have_runs_of_their_own(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.journal, "now", lambda: 1000)
    log(uri, steps=1)
    log(uri, steps=2)
    found = {run.data.params["steps"]: run.data.tags["latest"] for run in runs(uri)}
    assert found == {"1": "false", "2": "true"}


def test_an_unreachable_server_is_said_once_and_quickly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking.store, "MAIN_PROJECT", tmp_path)
    begin = time.monotonic()
    log(f"http://127.0.0.1:{closed_port()}")
    assert time.monotonic() - begin < 30  # MLflow's own settings keep trying for minutes
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("tracking: incomplete: MLflow at http://127.0.0.1:")
    assert len(list((tmp_path / "runs" / "mlflow-pending").glob("*.jsonl"))) == 1


def test_what_cannot_be_kept_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking.store, "MAIN_PROJECT", tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mlflow-pending").write_text("a file in its place")
    log(f"http://127.0.0.1:{closed_port()}")
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("tracking: incomplete: ") and "waits" not in said
    assert said.endswith("it is lost unless MLflow answers before the stage ends")


def test_a_database_that_goes_away_loses_no_outputs(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking.run, "FLUSH_SECONDS", 0.01)
    with tracking.stage_run(TrackingParams(uri=uri), stage="train", experiment="a", root=tmp_path, params={}) as run:
        wait_until_sent(run)
        (tmp_path / "tracking" / "mlflow.db").write_bytes(b"")
        run.metrics({"loss": 1.0})
        (tmp_path / "output").write_text("kept")
    assert (tmp_path / "output").read_text() == "kept"
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("tracking: incomplete: ")


def test_an_output_that_is_not_there_is_named(uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with tracking.stage_run(TrackingParams(uri=uri), stage="train", experiment="a", root=tmp_path, params={}) as run:
        run.artifact(tmp_path / "absent")
    said = capfd.readouterr().err
    assert said == f"tracking: incomplete: [Errno 2] No such file or directory: '{tmp_path}/absent'\n"
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_a_stage_starts_without_mlflow_and_torch() -> None:
    code = "import sys, pipeline.tracking; print({'mlflow', 'torch', 'pandas', 'sqlalchemy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_stage_does_not_wait_for_a_server_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end does not wait either for a server that takes nothing; the run waits for the next stage."""
    monkeypatch.setattr(tracking.store, "MAIN_PROJECT", tmp_path)
    monkeypatch.setattr(tracking.run, "SILENT_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        log(f"http://127.0.0.1:{silent.getsockname()[1]}")
        (record,) = (tmp_path / "runs" / "mlflow-pending").glob("*.jsonl")
        kinds = [json.loads(line)["kind"] for line in record.read_text().splitlines()]
        assert kinds == ["create", "params", "metrics", "end"]


def test_a_process_that_ends_while_mlflow_is_imported_ends_cleanly(tmp_path: Path) -> None:
    code = CHILD.replace("with tracking", "tracking.run.TOTAL_SECONDS = 0.0\nwith tracking")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run([sys.executable, "-c", code, uri], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "no answer within 0 s" in line
    assert tracking.sync(TrackingParams(uri=uri)) == (1, 0)
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_disabled_tracking_writes_nothing_and_loads_nothing(tmp_path: Path) -> None:
    code = CHILD.replace("uri=sys.argv[1]", "enabled=False, uri=sys.argv[1]") + "\nsys.exit('mlflow' in sys.modules)"
    database = tmp_path / "mlflow.db"
    done = subprocess.run([sys.executable, "-c", code, f"sqlite:///{database}"], cwd=PROJECT, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_parameter_goes_before_the_environment_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.tracking_uri(TrackingParams()) == f"sqlite:///{PROJECT}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking.tracking_uri(TrackingParams()) == "http://127.0.0.1:1"
    assert tracking.tracking_uri(TrackingParams(uri="sqlite:///here.db")) == "sqlite:///here.db"
