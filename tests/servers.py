"""Servers of MLflow on this machine, for one test each."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.server import constants
from werkzeug.serving import WSGIRequestHandler, make_server

START_SECONDS = 180  # some where nothing else runs


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class OneRequest(WSGIRequestHandler):
    """Answers one request a connection: none that is open outlives its server."""

    protocol_version = "HTTP/1.0"


@contextmanager
def mlflow_server(database: Path, port: int) -> Iterator[Callable[[], None]]:
    """MLflow's server in a thread, over a database that exists, with its files next to it; what stops it early."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(constants.BACKEND_STORE_URI_ENV_VAR, f"sqlite:///{database}")
        patch.setenv(constants.ARTIFACT_ROOT_ENV_VAR, "mlflow-artifacts:/")
        patch.setenv(constants.ARTIFACTS_DESTINATION_ENV_VAR, str(database.parent / "files"))
        patch.setenv(constants.SERVE_ARTIFACTS_ENV_VAR, "true")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a module that MLflow imports when the server is first asked
            from mlflow.server import app, fastapi_app, handlers  # noqa: F401

        for store in ("_tracking_store", "_model_registry_store", "_artifact_repo"):  # kept from a server before
            patch.setattr(handlers, store, None)
        patch.setattr("mlflow.server.handlers.utils.set_tracking_uri", lambda _: None)  # this process is no server
        server = make_server("127.0.0.1", port, app, threaded=True, request_handler=OneRequest)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def end() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        try:
            yield end
        finally:
            end()


@contextmanager
def mlflow(arguments: list[str], port: int, ready: str, folder: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of MLflow's that serves 127.0.0.1:port, from when it answers there; the test fails if it does not."""
    command = ["mlflow", *arguments, "--host", "127.0.0.1"]
    with serving(command, port, ready, folder, folder / f"mlflow-{arguments[0]}.log", **env) as process:
        yield process


@contextmanager
def serving(
    command: list[str], port: int, ready: str, folder: Path, log: Path, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m COMMAND` in a folder, which writes to `log`; otherwise as `mlflow`."""
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by its name
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": tools}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=os.environ | quiet | env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}/{ready}", log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and the workers that it started, which are its process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end, status = time.monotonic() + START_SECONDS, None
    while status is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
        status = process.poll()
    said = "no answer" if status is None else f"exit status {status}"
    pytest.fail(f"{address}: {said}; the last it wrote: {log.read_text(errors='replace')[-2000:]}")
