"""A `python` and a `dvc` that start at once, for tests in which starting a process is not what is tested.

A server imports what stages, DVC and Snakemake import from elsewhere, and forks a process for each call of a program in
its folder. The process runs the project's own code, in the caller's folder, with its environment, input and outputs.
A second server, forked from the first, has imported and hashed this checkout's stages too, for tests that run those
alone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2]
IMPORTED = (
    *("accelerate.commands.launch", "filelock", "jinja2", "psutil", "pydantic", "rich.progress", "ruamel.yaml"),
    *("matplotlib.backends.backend_agg", "matplotlib.pyplot", "PIL.ImageFont", "PIL.ImageOps", "PIL.TiffImagePlugin"),
    *("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "mlflow.tracking", "safetensors.numpy", "torch"),
    *("torch._dynamo", "torch.distributed.run", "torch.distributed.tensor"),  # the processes of a training need them
    *("dvc.cli.parser", "dvc.render.match", "dvc.repo.index", "dvc.repo.plots", "dvc.repo.reproduce", "dvc.repo.stage"),
    *("dvc.repo.experiments.queue.celery", "dvc.repo.experiments.show", "dvc.utils.strictyaml", "dvc_data.index"),
    *("dulwich.worktree", "networkx", "platformdirs.unix", "typer.main"),
    *("snakemake.cli", "snakemake.report.html_reporter", "snakemake.storage", "docutils.core", "jsonschema", "yte"),
)
"""What takes long to import; the rest is imported when it is needed."""
OWN = (
    *(f"pipeline.stages.{stage}" for stage in ("prepare", "train", "export", "finetune", "evaluate", "report")),
    "pipeline.running.guard",
    "pipeline.__main__",
)
CLIENT = """#!{python} -ISB
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    order = {{"program": sys.argv[0], "arguments": {before!r} + sys.argv[1:], "folder": os.getcwd(),
              "environment": dict(os.environ)}}
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps(order).encode() + b"\\n")
    status = int(server.makefile().readline() or 1)
sys.exit(status if status >= 0 else 128 - status)
"""


@dataclass(frozen=True)
class Warm:
    """The servers while they run."""

    folder: Path
    """The folder of the programs, which belongs at the front of PATH."""

    def stage(
        self,
        arguments: Sequence[str],
        *,
        kill_after: float | None = None,
        file_limit: int | None = None,
        anyway: bool = False,
    ) -> tuple[int, str, float]:
        """Run `python -m pipeline ARGUMENTS` in this checkout.

        Args:
            arguments: of the command.
            kill_after: seconds until it gets SIGKILL, if it is still there.
            file_limit: bytes beyond which no file may grow.
            anyway: start it where its estimated needs do not fit, too.

        Returns:
            The exit status, negative for a signal; what it printed; the seconds it took.
        """
        begin = time.monotonic()
        order = {
            "program": sys.executable,
            "arguments": ["-m", "pipeline", *arguments],
            "folder": str(SOURCE),
            "environment": _environment(self.folder) | ({"LUTRA_TRY_ANYWAY": "1"} if anyway else {}),
            "kill_after": kill_after,
            "file_limit": file_limit,
        }
        log = self.folder / "log"
        with socket.socket(socket.AF_UNIX) as server, log.open("wb") as output:
            server.connect(_address(self.folder, own=True))
            socket.send_fds(server, [b"."], [0, output.fileno(), output.fileno()])
            server.sendall(json.dumps(order).encode() + b"\n")
            status = int(server.makefile().readline())
        return status, log.read_text(), time.monotonic() - begin


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Warm]:
    """Start the servers, with their programs in a new folder, and end them after the block."""
    folder.mkdir()
    for name, before in (("python", []), ("dvc", ["-m", "dvc"])):
        program = folder / name
        program.write_text(CLIENT.format(python=sys.executable, address=_address(folder, own=False), before=before))
        program.chmod(0o755)
    command, environment = [sys.executable, "-m", "tests.workflow.warm", str(folder)], _environment(folder)
    with subprocess.Popen(
        command, cwd=SOURCE, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "ready\n"
            yield Warm(folder)
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # both servers, and what they still run


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}


def _address(folder: Path, own: bool) -> str:
    return str(folder / ("socket-own" if own else "socket"))


def _serve(folder: Path) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening = {own: socket.socket(socket.AF_UNIX) for own in (False, True)}
    for own, server in listening.items():
        server.bind(_address(folder, own))
        server.listen()
    print("ready", flush=True)
    gc.freeze()
    if own := os.fork() == 0:
        for name in OWN:
            importlib.import_module(name)
        declaration = importlib.import_module("pipeline.declaration")
        del sys.modules["pipeline.__main__"]  # it will be run as a program
        for stage in declaration.STAGES:
            declaration.content_hash(stage.modules)  # which every stage asks for: it keeps what it has parsed
        gc.freeze()
    listening.pop(not own).close()
    while True:
        client, _ = listening[own].accept()
        if os.fork() == 0:
            listening[own].close()
            _answer(client)
        client.close()


def _answer(client: socket.socket) -> None:
    """Run the order that a client sends in a child, and send its exit status: that of subprocess."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
    order = json.loads(client.makefile().readline())
    child = os.fork()
    if child == 0:
        client.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        for descriptor in descriptors:
            os.close(descriptor)
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115
        os._exit(_run(order))
    if order.get("kill_after") is not None:
        descriptor = os.pidfd_open(child)
        if not select.select([descriptor], [], [], order["kill_after"])[0]:
            os.kill(child, signal.SIGKILL)  # its number is no other's until we wait for it
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    client.sendall(f"{status}\n".encode())
    os._exit(0)


def _run(order: Mapping[str, Any]) -> int:
    """Do what `python -m MODULE ARGUMENTS` does, without the modules of this checkout unless it runs there."""
    *options, _, module = order["arguments"][: order["arguments"].index("-m") + 2]
    assert set(options) <= {"-u"}, order["arguments"]
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if "PYTHONWARNINGS" in os.environ:
        warnings.simplefilter(os.environ["PYTHONWARNINGS"])  # type: ignore[arg-type]
    if order.get("file_limit") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"],) * 2)
    sys.executable = order["program"]
    sys.path[:] = [order["folder"], *(place for place in sys.path if place not in ("", str(SOURCE)))]
    sys.argv = [module, *order["arguments"][len(options) + 2 :]]
    status: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return status if isinstance(status, int) else 0 if status is None else 1


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
