"""Where runs are kept: MLflow's address, a client for it, and the lock that the processes of a machine take."""

import logging
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

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


PROJECT = main_project(Path(__file__).resolve().parents[2])
SQLITE = "sqlite:///"
LOCK_SECONDS = 180.0  # a fresh database takes about two seconds to create, on a busy machine a minute

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own defaults keep a stage waiting for many minutes when the server does not answer
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # a server may ask for minutes
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
"""Where MLflow's database holds addresses of files: table and column."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # or MLflow's page asks whether it is about prompts


def tracking_uri(tracking: "TrackingParams") -> str:
    """Where to log: `tracking.uri` of params.yaml, else $MLFLOW_TRACKING_URI, else runs/mlflow.db here."""
    default = f"{SQLITE}{PROJECT / 'runs' / 'mlflow.db'}"
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or default


def shown(uri: str) -> str:
    """The address without the password that it may hold, for messages and files."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def is_server(uri: str) -> bool:
    """Whether it is the address of a server."""
    return uri.startswith(("http://", "https://"))


def connect(uri: str) -> "MlflowClient":
    """A client for that address; nothing is asked of it yet."""
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient  # here, because it takes seconds and reads the environment

    if uri.startswith(SQLITE):
        _check_database(uri)
    for noisy in ("mlflow", "alembic", "urllib3.connectionpool"):  # stack traces, retries: we say it in a line
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with lock(uri):  # a fresh database is migrated here
        return MlflowClient(tracking_uri=uri)


def experiment_id(client: "MlflowClient", uri: str, project: str) -> str:
    """The id of the MLflow experiment `project`, which is created when missing.

    Under a lock: processes that migrate a fresh database at once crash, and of those that create one
    experiment at once all but one fail.
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
    """Raise OSError where a database file cannot be opened: MLflow would try for minutes, without a word."""
    path = Path(uri.removeprefix(SQLITE)).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=5)) as database:
            database.execute("PRAGMA schema_version")
    except (sqlite3.Error, OSError) as error:
        raise OSError(f"{path}: cannot be opened as a database ({error})") from None


def _follow_move(uri: str, recorded: str) -> None:
    """Let a database that was moved or copied with its folder find the files next to it again.

    MLflow records addresses of files with the whole path. Where those of the experiment lie in another folder `mlruns`
    than the one next to the database, and that one exists, every address that begins so is changed.
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
    say(f"the runs' files were recorded in {recorded}: now in {here}")


def lock(uri: str) -> "BaseFileLock":
    """One process of this machine at a time, where what is read decides what is written; cannot be nested."""
    from filelock import FileLock

    home(uri).mkdir(parents=True, exist_ok=True)
    return FileLock(home(uri) / "mlflow.lock", timeout=LOCK_SECONDS)


def artifacts(uri: str) -> Path:
    """Where the files of runs in a database lie."""
    return home(uri) / "mlruns"


def pending(uri: str) -> Path:
    """Where runs wait that could not be sent."""
    return home(uri) / "mlflow-pending"


def home(uri: str) -> Path:
    """The folder of a database file; runs/ for anything else."""
    return Path(uri.removeprefix(SQLITE)).absolute().parent if uri.startswith(SQLITE) else PROJECT / "runs"


def first_line(error: Exception) -> str:
    """What went wrong, short enough for a line, and without the password that an address in it may hold."""
    return re.sub(r"//[^/\s]*@", "//", (str(error).splitlines() or [type(error).__name__])[0])[:200]


def say(message: str) -> None:
    """Tell the user, beside the stage's own output."""
    print(f"tracking: {printable(message)}", file=sys.stderr, flush=True)
