"""The place where runs are kept: the address of MLflow, a client for it, and a lock for the processes of a machine."""

import logging
import os
import re
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pipeline
from lutra.terminal import printable

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow import MlflowClient

    from pipeline.params import TrackingParams


def main_project(project: Path) -> Path:
    """Return the project that a checkout belongs to: DVC runs queued experiments in copies under .dvc/tmp/exps."""
    for place in project.parents:
        if place.parts[-3:] == (".dvc", "tmp", "exps"):
            return place.parents[2]
    return project


MAIN_PROJECT = main_project(pipeline.PROJECT)
SQLITE = "sqlite:///"
WAITS = "waits for the next stage, or for `python -m pipeline track sync`"
LOCK_SECONDS = 180.0  # a fresh database takes about two seconds to create, on a busy machine a minute

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own defaults keep a stage waiting for many minutes when the server does not answer
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # a server may ask a client to wait for minutes
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with the password that the address may hold
}
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow's database that hold addresses of files."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # or MLflow's page asks whether it is about prompts


def tracking_uri(tracking: "TrackingParams") -> str:
    """Return `tracking.uri` of params.yaml, else $MLFLOW_TRACKING_URI, else the address of runs/mlflow.db here."""
    default = f"{SQLITE}{MAIN_PROJECT / 'runs' / 'mlflow.db'}"
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or default


def without_password(uri: str) -> str:
    """Return the address without the password that it may hold, for messages and files."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def is_server(uri: str) -> bool:
    """Return whether this is the address of a server."""
    return uri.startswith(("http://", "https://"))


def set_environment() -> None:
    """Set what MLflow reads from the environment, where the user has not.

    A stage calls this before it starts a thread: while threads read the environment, nothing may change it.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)


def connect(uri: str) -> "MlflowClient":
    """Return a client for an address; a fresh database is created. No server is asked anything yet."""
    set_environment()
    from mlflow import MlflowClient  # takes seconds, and reads the environment

    if uri.startswith(SQLITE):
        _check_database(uri)
    for noisy in ("mlflow", "alembic", "urllib3.connectionpool"):  # stack traces and retries: we report one line
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with lock(uri):  # processes that migrate a fresh database at the same time crash
        return MlflowClient(tracking_uri=uri)


def experiment_id(client: "MlflowClient", uri: str, project: str) -> str:
    """Return the id of the MLflow experiment `project`, which is created when missing.

    This takes the lock: of processes that create one experiment at the same time, all but one fail.
    """
    with lock(uri):
        found = client.get_experiment_by_name(project)
        if found is not None:
            if uri.startswith(SQLITE):
                _follow_move(uri, str(found.artifact_location))
            return str(found.experiment_id)
        location = artifacts(uri).as_uri() if uri.startswith(SQLITE) else None
        return str(client.create_experiment(project, artifact_location=location, tags=_KIND))


def _check_database(uri: str) -> None:
    """Raise OSError if a database file cannot be opened: MLflow would silently try for minutes."""
    path = Path(uri.removeprefix(SQLITE)).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=5)) as database:
            database.execute("PRAGMA schema_version")
    except (sqlite3.Error, OSError) as error:
        raise OSError(f"{path}: cannot be opened as a database ({error})") from None


def _follow_move(uri: str, recorded: str) -> None:
    """Let a database that was moved or copied with its folder find the files next to it again.

    MLflow records whole paths of files. If the database names another folder `mlruns` than the existing one next to it,
    this changes every address that begins with the other folder.
    """
    here = artifacts(uri).as_uri()
    if recorded == here or not recorded.endswith(f"/{artifacts(uri).name}") or not artifacts(uri).is_dir():
        return
    with closing(sqlite3.connect(Path(uri.removeprefix(SQLITE)).absolute(), timeout=60)) as database, database:
        for table, column in _ADDRESSES:
            known = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            if column in known:
                changed = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                database.execute(changed, (f"{here}/", len(recorded) + 2, len(recorded) + 1, f"{recorded}/"))
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (here, recorded))
    report(f"the runs' files were recorded in {recorded}: now in {here}")


def lock(uri: str) -> "BaseFileLock":
    """Return a lock that one process of this machine holds at a time, to write what depends on what it reads.

    It cannot be nested.
    """
    from filelock import FileLock

    home(uri).mkdir(parents=True, exist_ok=True)
    return FileLock(home(uri) / "mlflow.lock", timeout=LOCK_SECONDS)


def artifacts(uri: str) -> Path:
    """Return the folder that holds the files of the runs in a database."""
    return home(uri) / "mlruns"


def pending(uri: str) -> Path:
    """Return the folder of the records that MLflow has not taken all of."""
    return home(uri) / "mlflow-pending"


def logged(uri: str) -> Path:
    """Return the folder of the records that MLflow has taken all of."""
    return home(uri) / "mlflow-logged"


def home(uri: str) -> Path:
    """Return the folder of a database file; runs/ for anything else."""
    return Path(uri.removeprefix(SQLITE)).absolute().parent if uri.startswith(SQLITE) else MAIN_PROJECT / "runs"


def first_line(error: Exception) -> str:
    """Return what went wrong: one line, shortened, without the password that an address in it may hold."""
    return re.sub(r"//[^/\s]*@", "//", (str(error).splitlines() or [type(error).__name__])[0])[:200]


def failed(uri: str, reason: str, then: str = WAITS) -> str:
    """Return a message: MLflow failed, for this reason, and this is what happens to the records."""
    return f"incomplete: MLflow at {without_password(uri)} failed ({reason}); what is missing {then}"


def report(message: str) -> None:
    """Print a message about tracking on stderr, if that still exists: a process may outlive its terminal."""
    with suppress(OSError):
        print(f"tracking: {printable(message)}", file=sys.stderr, flush=True)
