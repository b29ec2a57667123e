"""Stages that log, in this process or another, and what MLflow and the folder of waiting runs hold afterwards."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import PROJECT, tracking
from pipeline.params import TrackingParams

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
