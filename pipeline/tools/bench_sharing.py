"""`python -m pipeline bench-training --busy N`: training steps on a machine that does other work too."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

from lutra.evaluation import bench
from lutra.limits import threads
from lutra.terminal import TextTable

SECONDS = 1.5
"""Seconds of a turn; the mean step of the best turn counts."""
TURNS = 3


def run(names: list[str], busy: int, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure finetuning steps next to other processes, each as a ratio to the same without, in turns.

    Args:
        names: keys of `bench_training.FAMILIES`.
        busy: how many processes only loop.
        report: told what is being measured.

    Returns:
        "families": by name the seconds of a step alone and with the busy processes (`busy_ratio`), and those of a step
        on one thread, alone and with a second such training (`pair_ratio`, of the slower one); "busy"; "machine".
    """
    found = {}
    for name in names:
        report(f"{name}: alone, with {busy} busy processes, and two trainings side by side")
        found[name] = _measured(name, busy)
    return {"busy": busy, "threads": threads(), "families": found, "machine": bench.machine()}


def sharing_table(record: dict[str, Any]) -> TextTable:
    """Return the record as a table for people."""
    caption = f"milliseconds a finetuning step; threads: {record['threads']}; {record['machine']['processor']}"
    shown = TextTable("", caption=caption)
    for heading in ("alone", f"{record['busy']} busy", "ratio", "one thread", "two such", "ratio "):
        shown.add_column(heading, justify="right")
    for name, row in record["families"].items():
        times = [f"{1000 * row[key]:.1f}" for key in ("seconds", "busy_seconds", "one_thread_seconds", "pair_seconds")]
        shown.add_row(name, *times[:2], f"{row['busy_ratio']:.2f}", *times[2:], f"{row['pair_ratio']:.2f}")
    return shown


def _measured(name: str, busy: int) -> dict[str, float]:
    with ExitStack() as stack:
        whole = stack.enter_context(_training(name, threads()))
        first, second = (stack.enter_context(_training(name, 1)) for _ in range(2))
        best: dict[str, float] = {}
        for _ in range(TURNS):
            turn = {"seconds": max(_together(whole)), "one_thread_seconds": max(_together(first))}
            with _busy(busy):
                turn["busy_seconds"] = max(_together(whole))
            turn["pair_seconds"] = max(_together(first, second))
            best = {key: min(value, best.get(key, value)) for key, value in turn.items()}
    best["busy_ratio"] = best["busy_seconds"] / best["seconds"]
    best["pair_ratio"] = best["pair_seconds"] / best["one_thread_seconds"]
    return {key: round(value, 5) for key, value in best.items()}


def _together(*trainings: Connection) -> list[float]:
    """Let trainings run at the same time; return the mean seconds of each one's steps."""
    for training in trainings:
        training.send(SECONDS)
    return [float(training.recv()) for training in trainings]


@contextmanager
def _training(name: str, count: int) -> Iterator[Connection]:
    """Start a process that trains on `count` threads, for as long as it is told, and replies with the mean step."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.tools.bench_training"])  # imports torch once for all trainings
    mine, its = context.Pipe()
    process = context.Process(target=_train, args=(its, name, count), daemon=True)
    process.start()
    its.close()
    try:
        mine.recv()  # ready
        yield mine
    finally:
        mine.close()
        process.join()


def _train(orders: Connection, name: str, count: int) -> None:
    import torch

    from pipeline.tools import bench_training

    torch.set_num_threads(count)
    step = bench_training.finetuning_step(name)
    step()
    orders.send("ready")
    while True:
        try:
            seconds = orders.recv()
        except EOFError:
            return
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            step()
            steps += 1
        orders.send((time.perf_counter() - start) / steps)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep `count` processors busy with processes that only loop."""
    code = "print(flush=True)\nwhile True: pass"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # it runs
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()
