"""Servers of MLflow on this machine, for one test each."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 180  # some where nothing else runs


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def mlflow_server(database: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`mlflow server` over a database that exists, with its files beside it."""
    stores = ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(database.parent / "files")]
    with mlflow(["server", "--port", str(port), "--workers", "1", *stores], port, "health", database.parent) as process:
        yield process


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
