"""Run a stage once at a time for each target, clear what a killed run left, and report a full disk in one line."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from rich.filesize import decimal

from lutra.files import leftovers
from pipeline import declaration

LOCKS = ".locks"
"""Folder under a root that holds a lock for every stage and target; no stage declares it."""
HELD = "LUTRA_LOCKS_HELD"
"""Environment variable that tells a stage's child processes which locks their parent holds."""

_FULL = {
    errno.ENOSPC: "no space left on its disk",
    errno.EDQUOT: "its disk quota used up",
    errno.EFBIG: "a file as large as files may get here (ulimit -f)",
}


@contextmanager
def exclusive(
    name: str, root: Path, *, task: str, experiment: str | None = None, several: bool = False
) -> Iterator[None]:
    """Run the block while no other process runs this stage for this target and root.

    The lock is the kernel's (flock): it ends with the process, however that ends. Of several processes that train
    together, rank 0 takes it, and of several nodes the first. A child of the process that holds the lock needs none.

    Args:
        name: the stage.
        root: holds the outputs of all stages.
        task, experiment: what the stage is run for.
        several: whether it runs on several processes, which may be on several nodes.

    Raises:
        ValueError: another process runs it; names the process and when it started.
        OSError: the disk is full; names the folder and the room that is left.
    """
    stage = declaration.find(name)
    target = {"task": task} if experiment is None else {"task": task, "experiment": experiment}
    label = target[stage.per]
    path = (root / LOCKS / f"{name}-{label}.lock").absolute()
    held = os.environ.get(HELD, "").split(os.pathsep)
    places = ("RANK", *(("NODE_RANK", "SLURM_NODEID") if several else ()))
    follows = any(os.environ.get(name, "0") != "0" for name in places)
    if follows or str(path) in held:
        with _telling_of_a_full_disk(stage, root, target):
            yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(path), path.with_suffix(".json")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = f"found it running already{_by_whom(holder)}"
        raise ValueError(f"{name} of {label} into {root}: {found}, expected one run at a time") from None
    try:
        _sign(holder)
        os.environ[HELD] = os.pathsep.join(filter(None, [*held, str(path)]))
        with _telling_of_a_full_disk(stage, root, target):
            clear(stage, root, target)
            yield
    finally:
        os.environ[HELD] = os.pathsep.join(held)
        holder.unlink(missing_ok=True)
        lock.release()


def clear(stage: declaration.Stage, root: Path, target: dict[str, str]) -> None:
    """Remove the temporary files and folders that killed runs of a stage left next to its outputs and checkpoint.

    Call it only under the stage's lock: then no living process can own one, whatever number its name holds.
    """
    outputs = _outputs(stage, root, target)
    left = [path for output in outputs for path in leftovers(output)]
    if stage.per == "experiment":
        left += stage.checkpoint(root, target["experiment"]).parent.glob(".*.tmp")
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _outputs(stage: declaration.Stage, root: Path, target: dict[str, str]) -> list[Path]:
    return list(stage.paths(root, **target).outputs.values())


def _sign(holder: Path) -> None:
    """Record who holds a lock, in a separate file, because opening the lock's file may truncate it."""
    who = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
    }
    with suppress(OSError):  # a convenience; the stage itself reports a full disk
        holder.write_text(json.dumps(who))


def _by_whom(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f" (process {who['pid']} on {who['host']} since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # not signed yet
        return ""


@contextmanager
def _telling_of_a_full_disk(stage: declaration.Stage, root: Path, target: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        outputs = _outputs(stage, root, target)
        folder = outputs[0].parent if stage.name != "prepare" else outputs[0]
        free = decimal(shutil.disk_usage(root).free)
        kept = "; earlier outputs are kept" if all(output.exists() for output in outputs) else ""
        raise OSError(
            f"{folder}: found {_FULL[error.errno]} ({free} free), expected room for what {stage.name} writes{kept}"
        ) from error
