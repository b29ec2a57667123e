"""A process that has imported everything forks one for each stage it is told to run, which then starts at once.

Run as a program it reads lines of JSON, runs `python -m pipeline ARGUMENTS` for each, and answers with the exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.workflow import jobs

SOURCE = Path(__file__).resolve().parents[2]


@dataclass
class Stages:
    """Starts stages through such a process."""

    asks: IO[str]
    answers: IO[str]
    log: Path

    def run(
        self,
        arguments: Sequence[str],
        *,
        kill_after: float | None = None,
        file_limit: int | None = None,
        anyway: bool = False,
    ) -> tuple[int, str, float]:
        """Run `python -m pipeline ARGUMENTS`.

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
            "arguments": list(arguments),
            "log": str(self.log),
            "kill_after": kill_after,
            "file_limit": file_limit,
            "anyway": anyway,
        }
        self.asks.write(json.dumps(order) + "\n")
        self.asks.flush()
        status = int(self.answers.readline())
        return status, self.log.read_text(), time.monotonic() - begin


@contextmanager
def stages(log: Path) -> Iterator[Stages]:
    """Such a process while the block lasts; what a stage prints goes to `log`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(log.parent)}
    command = [sys.executable, "-m", "tests.workflow.warm"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=SOURCE, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Stages(process.stdin, process.stdout, log)
        process.stdin.close()


@dataclass(frozen=True)
class Built:
    """A folder in which every stage of `jobs` ran to the end once."""

    folder: Path
    stages: Stages
    durations: dict[str, float]
    """Seconds that each took, by the job's name."""

    @property
    def params(self) -> Path:
        return self.folder / "params.yaml"

    @property
    def root(self) -> Path:
        return self.folder / "whole"


@contextmanager
def built(folder: Path) -> Iterator[Built]:
    """The images and parameters made, every stage run."""
    jobs.make(folder)
    with stages(folder / "log") as started:
        made = Built(folder, started, {})
        for job in jobs.every():
            status, said, made.durations[job.name] = started.run(job.arguments(made.root, made.params))
            assert status == 0, said
        yield made


def _serve() -> None:
    for name in ("prepare", "train", "export", "finetune", "evaluate", "report"):
        importlib.import_module(f"pipeline.stages.{name}")
    importlib.import_module("pipeline.running.guard")
    from pipeline.__main__ import app

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            descriptor = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            if order["file_limit"] is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"],) * 2)
            if order["anyway"]:
                os.environ["LUTRA_TRY_ANYWAY"] = "1"
            status = 1
            try:
                app(order["arguments"], prog_name="python -m pipeline")
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stderr.flush()
                os._exit(status)
        if order["kill_after"] is not None:
            descriptor = os.pidfd_open(child)
            ended, _, _ = select.select([descriptor], [], [], order["kill_after"])
            os.close(descriptor)
            if not ended:
                os.kill(child, signal.SIGKILL)  # its number is no other's until we wait for it
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
