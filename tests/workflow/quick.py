"""A `python` that starts at once, for tests in which starting a stage is not what is tested.

A server imports what every stage imports from elsewhere (torch, MLflow, matplotlib) and forks a process for each call
of the `python` in its folder. The process then runs the project's own code, in the caller's folder, with its
environment, input and outputs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
IMPORTED = ("accelerate", "matplotlib.pyplot", "mlflow.tracking", "mlflow.pyfunc", "PIL.Image", "torch", "typer.main")
CLIENT = """#!{python} -ISB
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    order = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps(order).encode() + b"\\n")
    status = int(server.makefile().readline() or 1)
sys.exit(status)
"""


@contextlib.contextmanager
def python(folder: Path) -> Iterator[Path]:
    """Serve a `python` in a new folder, and yield the folder, which belongs at the front of PATH."""
    folder.mkdir()
    address = str(folder / "socket")
    program = folder / "python"
    program.write_text(CLIENT.format(python=sys.executable, address=address))
    program.chmod(0o755)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "tests.workflow.quick", address]
    with subprocess.Popen(command, cwd=SOURCE, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield folder
        process.terminate()


def _serve(address: str) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _answer(client)
            client.close()


def _answer(client: socket.socket) -> None:
    """Run the order that a client sends in a child of its own, and send its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
    order = json.loads(client.makefile().readline())
    child = os.fork()
    if child == 0:
        client.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115
        os._exit(_run(order["arguments"], Path(order["folder"]), order["environment"]))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    client.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
    os._exit(0)


def _run(arguments: list[str], folder: Path, environment: dict[str, str]) -> int:
    """Do what `python -m MODULE ARGUMENTS` does, without the modules of this checkout."""
    option, module, *rest = arguments
    assert option == "-m"
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if "PYTHONWARNINGS" in environment:
        warnings.simplefilter(environment["PYTHONWARNINGS"])  # type: ignore[arg-type]
    sys.path[:] = [str(folder), *(place for place in sys.path if place not in ("", str(SOURCE)))]
    sys.argv = [module, *rest]
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
    _serve(sys.argv[1])
