"""The share of the machine that this process may use: processors, control groups, and how waiting threads give way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables that choose how OpenMP's threads wait: of every implementation, of GCC's, and of LLVM's and Intel's."""


def wait_passively() -> None:
    """Make OpenMP's threads sleep while they wait, where torch is not loaded yet and the user has not chosen.

    By default they spin: one that has lost its processor to another program is then waited for by burning the others.
    OpenMP reads the variable when it is loaded, and torch loads it: call this before torch is imported.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def processors() -> int:
    """Return how many processors this process may use: those of its affinity, or fewer by quota.

    The quota of its control groups (a container's, a scheduler's) is read once.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _quota() or allowed)


def threads(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many threads this process was given: OMP_NUM_THREADS, or one for each processor it may use."""
    given = environment.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, int(given)) if given.isdigit() else processors()


def limit_threads() -> int:
    """Let OpenMP, and so torch, use the threads that this process was given; return how many.

    OMP_NUM_THREADS tells how many (Snakemake sets it to a rule's threads); without it they are one for each processor
    that the process may use, and never more than that. Call this before torch is imported.
    """
    allowed = min(threads(), processors())
    os.environ["OMP_NUM_THREADS"] = str(allowed)
    return allowed


def processor_quota(groups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int | None:
    """Return the processors that this process's control groups grant by quota, rounded up; None without a quota."""
    found = []
    for folder, version in control_groups("cpu", groups, membership):
        try:
            if version == 2:
                time, period = (folder / "cpu.max").read_text().split()
            else:
                time, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(time) > 0 and int(period) > 0:
                found.append(-(-int(time) // int(period)))
        except (OSError, ValueError):  # no such file, or "max" where there is no quota
            continue
    return min(found, default=None)


def control_groups(
    controller: str, groups: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> Iterator[tuple[Path, int]]:
    """Yield the folder of each control group around this process, with the version (1 or 2) of its files' names."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, place in (line for line in lines if len(line) == 3):
        if controllers == "":  # version 2: one hierarchy
            home, version = groups, 2
        elif controller in controllers.split(","):
            home, version = groups / controller, 1
        else:
            continue
        folder = home / place.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(home):
                yield group, version


@cache
def _quota() -> int | None:
    return processor_quota()
