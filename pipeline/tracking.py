"""Logging to MLflow; the only module that imports it.

Every run carries the tags `experiment`, `stage`, `root` and `latest`: of the runs that agree in the first
three, the newest one that finished has `latest = "true"`, taken from the one it supersedes. Tracking is a
convenience: when it fails, a stage says so once, on stderr, and goes on.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import provenance

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from pipeline.params import TrackingParams

PROJECT = Path(__file__).resolve().parent.parent
SQLITE = "sqlite:///"
FLUSH_SECONDS = 5.0  # metrics are sent in batches, so that logging costs nothing beside a training step
RETRY_SECONDS = 60.0  # after a failure: a server that is down must not slow training
LOCK_SECONDS = 60.0  # a fresh database takes about two seconds to create

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own defaults keep a stage waiting for many minutes when the server does not answer
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
_METRICS_A_BATCH = 1000  # MLflow's limits for one request
_PARAMS_A_BATCH = 100
_LONGEST_PARAM = 6000


class Run:
    """What a stage logs to; this one goes nowhere (tracking disabled or unreachable)."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log `values` at `step`; they are sent in batches."""

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of the file, or of all files in the folder, `path` under the run's `folder`."""


@contextlib.contextmanager
def stage_run(
    tracking: "TrackingParams", *, stage: str, experiment: str, root: Path, params: Mapping[str, Any]
) -> Iterator[Run]:
    """Log one stage: its parameters now, what the body hands to the run, and how the body ended.

    Never raises because of MLflow; whatever the body raises passes through, and marks the run FAILED (KILLED
    when interrupted). `params` may be nested; its keys are joined with dots.
    """
    if not tracking.enabled:
        yield Run()
        return
    uri = tracking_uri(tracking)
    tags = {"stage": stage, "experiment": experiment, "root": _relative(root)}
    run: _MlflowRun | None = None
    try:
        run = _MlflowRun(uri, tracking.experiment, tags, flatten(params))
    except Exception as error:
        _say(f"not tracked: MLflow at {uri} failed ({_first_line(error)})")
    status = "FAILED"
    try:
        yield run or Run()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if run is not None:
            run.finish(status)


def tracking_uri(tracking: "TrackingParams") -> str:
    """Where to log: `tracking.uri` of params.yaml, else $MLFLOW_TRACKING_URI, else runs/mlflow.db here."""
    default = f"{SQLITE}{PROJECT / 'runs' / 'mlflow.db'}"
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or default


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined with dots: {"train": {"steps": 9}} becomes {"train.steps": 9}."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def serve(tracking: "TrackingParams", port: int) -> None:
    """Show the runs in MLflow's pages on this machine; does not return until interrupted."""
    uri = tracking_uri(tracking)
    if uri.startswith(("http://", "https://")):
        _say(f"the runs are on a server: open {uri}")
        return
    _connect(uri, tracking.experiment)
    _say(f"open http://127.0.0.1:{port} (Ctrl-C to stop)")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # background jobs of features we do not use
    server = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", str(_artifacts(uri))]
    os.execv(sys.executable, [*server, "--backend-store-uri", uri, *artifacts])


class _MlflowRun(Run):
    def __init__(self, uri: str, project: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> None:
        self._tags = dict(tags)
        self._uri = uri
        self._client, self._experiment_id = _connect(uri, project)
        self._pending: list[Metric] = []
        self._next_flush = time.monotonic() + FLUSH_SECONDS
        self._said = False
        name = f"{tags['experiment']}/{tags['stage']}"
        created = self._client.create_run(
            self._experiment_id, tags={**self._tags, "latest": "false", **_git_tags()}, run_name=name
        )
        self._id: str = created.info.run_id
        self._log_params(params)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [Metric(key, float(value), now, step) for key, value in values.items()]
        if time.monotonic() >= self._next_flush:
            self._attempt(self._flush)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        self._attempt(lambda: log(self._id, str(path), folder))

    def finish(self, status: str) -> None:
        self._attempt(self._flush)
        self._attempt(lambda: self._client.set_terminated(self._id, status))
        if status == "FINISHED":
            self._attempt(self._take_latest)

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in params.items()]
        for batch in _batches(entries, _PARAMS_A_BATCH):
            self._client.log_batch(self._id, params=batch)

    def _flush(self) -> None:
        while self._pending:
            batch = self._pending[:_METRICS_A_BATCH]
            self._client.log_batch(self._id, metrics=batch)
            del self._pending[: len(batch)]  # only now: what could not be sent is tried again later
        self._next_flush = time.monotonic() + FLUSH_SECONDS

    def _take_latest(self) -> None:
        same = " and ".join(f"tags.`{key}` = '{value}'" for key, value in self._tags.items())
        with _lock(self._uri):
            superseded = self._client.search_runs([self._experiment_id], f"{same} and tags.latest = 'true'")
            for run in superseded:
                self._client.set_tag(run.info.run_id, "latest", "false")
            self._client.set_tag(self._id, "latest", "true")

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            self._next_flush = time.monotonic() + RETRY_SECONDS
            if not self._said:
                self._said = True
                _say(f"tracking incomplete: MLflow at {self._uri} failed ({_first_line(error)})")


def _connect(uri: str, project: str) -> tuple["MlflowClient", str]:
    """A client, and the id of the MLflow experiment `project`, which is created when missing.

    Under a lock: processes that migrate a fresh database at once crash, and of those that create one
    experiment at once all but one fail.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient  # here, because it takes seconds and reads the environment

    for noisy in ("mlflow", "alembic", "urllib3.connectionpool"):  # stack traces, retries: we say it in a line
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with _lock(uri):
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(project)
        if found is not None:
            return client, str(found.experiment_id)
        location = _artifacts(uri).as_uri() if uri.startswith(SQLITE) else None
        return client, str(client.create_experiment(project, artifact_location=location))


def _lock(uri: str) -> "BaseFileLock":
    from filelock import FileLock

    home = _home(uri)
    home.mkdir(parents=True, exist_ok=True)
    return FileLock(home / "mlflow.lock", timeout=LOCK_SECONDS)


def _artifacts(uri: str) -> Path:
    return _home(uri) / "mlruns"


def _home(uri: str) -> Path:
    """The folder of a database file; runs/ for anything else."""
    return Path(uri.removeprefix(SQLITE)).absolute().parent if uri.startswith(SQLITE) else PROJECT / "runs"


def _git_tags() -> dict[str, str]:
    found = provenance.commit()
    return {"mlflow.source.git.commit": found[0], "dirty": str(found[1]).lower()} if found else {}


def _relative(root: Path) -> str:
    absolute = root.absolute()
    return str(absolute.relative_to(PROJECT) if absolute.is_relative_to(PROJECT) else absolute)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _say(message: str) -> None:
    print(f"tracking: {message}", file=sys.stderr, flush=True)
