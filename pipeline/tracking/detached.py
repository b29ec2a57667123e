"""The process that sends what short stages recorded, so that they neither import MLflow, which takes seconds, nor wait.

A stage starts it at its end and leaves it behind; one at a time works for a server. It stays some seconds for the
stages that follow, so that a pipeline of many short stages imports MLflow once. If it is killed, the records wait.
"""

import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline
from pipeline.tracking import store
from pipeline.tracking.journal import Stuck

if TYPE_CHECKING:
    from types import FrameType

    from filelock import BaseFileLock

    from pipeline.tracking.sending import Sender

LINGER_SECONDS = 10.0  # after the last record
POLL_SECONDS = 0.2
TURN_SECONDS = 5.0  # for the lock, which a stage that asks for a process holds for a moment
STUCK_SECONDS = 600  # for MLflow to take what waits, which may be large files


def start(uri: str, project: str) -> bool:
    """Start a process that outlives this one and sends what waits; return whether that is possible here.

    It is not possible in a job of SLURM, which kills the processes that a job leaves behind, or in a copy of the
    project where DVC runs a queued experiment, because DVC removes the copy with its files.

    Args:
        uri: MLflow's address.
        project: MLflow's experiment.
    """
    from filelock import Timeout

    if "SLURM_JOB_ID" in os.environ or store.MAIN_PROJECT != pipeline.PROJECT:
        return False
    try:
        with _lock(uri, 0.0):
            pass
        _launch(uri, project)
    except Timeout:
        return True  # it is at work, and looks once more before it ends
    except (OSError, NotImplementedError):  # no memory for it, or no locks in this file system
        return False
    return True


def _launch(uri: str, project: str) -> None:
    with contextlib.nullcontext() if _stays_open(2) else _messages(uri).open("ab") as messages:
        sender = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,  # the address may hold a password, which arguments would show to everybody
            stdout=subprocess.DEVNULL,
            stderr=messages,
            start_new_session=True,  # Ctrl-C and the end of the terminal are not for it
        )
    assert sender.stdin
    with sender.stdin as order:
        order.write(json.dumps([uri, project]).encode())
    sender.returncode = 0  # nobody waits for it; Python should not warn about that


def show_messages(uri: str) -> None:
    """Print what such a process had to report while nobody listened."""
    path = _messages(uri)
    if path.is_file() and path.stat().st_size:
        print(path.read_text(errors="replace"), end="", file=sys.stderr, flush=True)
        os.truncate(path, 0)


def send(uri: str, project: str) -> None:
    """Send the waiting records, and those that arrive soon after; report what MLflow does not take."""
    from filelock import Timeout

    from pipeline.tracking.sending import BUSY_SECONDS, Sender

    lock = _lock(uri, TURN_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        return  # another one is at work
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(STUCK_SECONDS)
    try:
        sender = Sender(uri)
        sender.experiment(project)
        last = time.monotonic()
        while time.monotonic() - last < LINGER_SECONDS:
            if _sent(sender, uri, 0.0):
                last = time.monotonic()
            time.sleep(POLL_SECONDS)
        lock.release()
        _sent(sender, uri, BUSY_SECONDS)  # from a stage that found the lock taken at the last moment
    except Exception as error:
        store.report(store.failed(uri, store.first_line(error)))
    finally:
        signal.alarm(0)
        lock.release()


def _sent(sender: "Sender", uri: str, seconds: float) -> int:
    signal.alarm(STUCK_SECONDS)
    try:
        return sender.send_waiting([store.pending(uri)], seconds)
    except Stuck as error:
        store.report(str(error))
        return 0


def _lock(uri: str, timeout: float) -> "BaseFileLock":
    from filelock import FileLock

    server = hashlib.sha256(store.without_password(uri).encode()).hexdigest()[:8]
    return FileLock(store.home(uri) / f"mlflow-sender-{server}.lock", timeout=timeout)


def _messages(uri: str) -> Path:
    return store.home(uri) / "mlflow-sender.log"


def _stays_open(descriptor: int) -> bool:
    """Return whether a process may keep this open: who reads from a pipe waits until everybody has closed it."""
    return os.isatty(descriptor) or stat.S_ISREG(os.fstat(descriptor).st_mode)


def _give_up(number: int, frame: "FrameType | None") -> None:
    raise OSError(f"no answer within {STUCK_SECONDS} s")


if __name__ == "__main__":
    send(*json.load(sys.stdin))
