"""`python -m pipeline bench-start`: the seconds of each stage's start, part by part."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lutra.evaluation import bench
from lutra.terminal import TextTable
from pipeline import PROJECT
from pipeline.declaration import STAGES

PARTS = ("interpreter", "command line", "parameters", "checks", "torch", "stage", "MLflow")
"""The parts in their order. A thread of the stage imports MLflow later, or another process."""
TRAINS = ("train", "finetune")

_PROGRAM = """
import json, sys, time
stage, params, torch, begun = sys.argv[1], sys.argv[2], sys.argv[3] == "1", float(sys.argv[4])
marks = [time.time() - begun]
def part(work):
    start = time.time()
    work()
    marks.append(time.time() - start)
def imported(*names):
    for name in names:
        __import__(name)
part(lambda: imported("pipeline.__main__"))
def load():
    from pathlib import Path
    from pipeline.params import load
    load(Path(params))
part(load)
part(lambda: imported("pipeline.running.guard", "pipeline.running.needs", "pipeline.running.job"))
part(lambda: imported("torch") if torch else None)
part(lambda: imported(f"pipeline.stages.{stage}"))
loaded = "torch" in sys.modules
part(lambda: imported("mlflow.tracking"))
print(json.dumps([marks, loaded]))
"""


def run(params: Path, rounds: int = 3, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure in new processes; the least of some rounds counts for each part.

    Args:
        params: the file of parameters that is loaded.
        rounds: how often each stage is started.
        report: told what is being measured.

    Returns:
        "stages": by name the seconds of `PARTS`; "machine".

    Raises:
        ValueError: a stage imports torch and need not.
    """
    found: dict[str, dict[str, float]] = {}
    for stage in STAGES:
        report(f"{stage.name}: {rounds} starts")
        trains = stage.name in TRAINS
        taken = [_start(stage.name, params, trains) for _ in range(rounds)]
        if any(loaded for _, loaded in taken) and not trains:
            raise ValueError(f"{stage.name}: found torch after its imports, expected it only where a network runs")
        least = (min(seconds) for seconds in zip(*(marks for marks, _ in taken), strict=True))
        found[stage.name] = {part: round(seconds, 3) for part, seconds in zip(PARTS, least, strict=True)}
    return {"stages": found, "machine": bench.machine()}


def start_table(record: dict[str, Any]) -> TextTable:
    """Return the record as a table for people."""
    machine = record["machine"]["processor"]
    caption = f"seconds; the total leaves out MLflow, which a thread or another process imports; {machine}"
    shown = TextTable("", caption=caption)
    for heading in (*PARTS[:-1], "total", PARTS[-1]):
        shown.add_column(heading, justify="right")
    for stage, seconds in record["stages"].items():
        total = sum(seconds[part] for part in PARTS[:-1])
        values = [*(seconds[part] for part in PARTS[:-1]), total, seconds[PARTS[-1]]]
        shown.add_row(stage, *(f"{value:.2f}" for value in values))
    return shown


def _start(stage: str, params: Path, trains: bool) -> tuple[list[float], bool]:
    command = [sys.executable, "-c", _PROGRAM, stage, str(params.resolve()), "1" if trains else "0", str(time.time())]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    marks, loaded = json.loads(done.stdout)
    return marks, loaded
