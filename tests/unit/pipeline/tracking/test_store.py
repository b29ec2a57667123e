"""The place of the runs: a database that moved, one that cannot be opened, a server that keeps a stage waiting."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline import tracking
from pipeline.params import TrackingParams
from pipeline.tracking import store
from pipeline.tracking.sending import Sender


def logged(uri: str, experiment: str, file: Path) -> None:
    with tracking.stage_run(
        TrackingParams(uri=uri), stage="export", experiment=experiment, root=Path("runs/dvc"), params={}
    ) as run:
        run.artifact(file)


@pytest.mark.parametrize("way", [shutil.move, shutil.copytree])
def test_a_database_finds_its_files_where_its_folder_is_now(tmp_path: Path, way: object) -> None:
    file = tmp_path / "table.bin"
    file.write_bytes(b"table")
    old, new = tmp_path / "old", tmp_path / "new"
    logged(f"sqlite:///{old}/mlflow.db", "first", file)
    assert callable(way)
    way(old, new)
    before = sorted(path for path in old.rglob("*") if path.is_file())
    uri = f"sqlite:///{new}/mlflow.db"
    logged(uri, "second", file)
    client = MlflowClient(uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert len(runs) == 2
    for run in runs:
        assert run.info.artifact_uri.startswith(new.as_uri())
        found = client.download_artifacts(run.info.run_id, "table.bin", str(tmp_path))
        assert Path(found).read_bytes() == b"table"
    assert sorted(path for path in old.rglob("*") if path.is_file()) == before


def test_a_database_that_cannot_be_opened_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.db").mkdir()
    begin = time.monotonic()
    with tracking.stage_run(
        TrackingParams(uri=f"sqlite:///{tmp_path}/folder.db"), stage="train", experiment="a", root=tmp_path, params={}
    ):
        pass
    assert time.monotonic() - begin < 30  # MLflow itself tries for minutes
    assert "folder.db: cannot be opened as a database" in capsys.readouterr().err


def test_a_password_in_the_address_is_kept_from_mlflows_own_lines(tmp_path: Path) -> None:
    store.connect(f"sqlite:///{tmp_path}/mlflow.db")
    assert os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true"
    assert os.environ["MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"] == "false"


def test_a_server_that_never_ends_its_answer_does_not_hold_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking.run, "TOTAL_SECONDS", 0.3)
    monkeypatch.setattr(Sender, "send", lambda *_: time.sleep(20))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store.connect(uri)  # its migration is no part of what is measured
    begin = time.monotonic()
    with tracking.stage_run(TrackingParams(uri=uri), stage="train", experiment="a", root=tmp_path, params={}) as run:
        run.metrics({"loss": 1.0})
    assert time.monotonic() - begin < 15
    assert "no answer within 0 s" in capsys.readouterr().err
    monkeypatch.undo()
    assert tracking.sync(TrackingParams(uri=uri)) == (1, 0)


def test_a_queued_experiment_belongs_to_the_project_it_was_queued_in() -> None:
    project = Path("/home/ada/project")
    assert store.main_project(project / ".dvc" / "tmp" / "exps" / "tmp1") == project
    assert store.main_project(project) == project


def test_a_port_in_use_is_a_mistake(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port}: cannot be used"):
            tracking.serve(TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db"), port)
