"""A run as a list of operations, and the file that keeps those which MLflow has not taken yet.

The file is there as long as the run is not over in MLflow, and locked as long as its process lives: one that is not
locked is of a process that died, or waits to be sent.

Everything in it is plain data with its own time, so that a run that is sent days later reads as if it had been
sent at once. Files are kept by path and SHA-256: only what a stage wrote is ever sent in its name.
"""

import contextlib
import hashlib
import json
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lutra.files import write_whole

METRICS_AT_ONCE = 1000  # MLflow's limit for one request

Operation = dict[str, Any]
"""Its `kind`, the `tries` that failed (of `create`: that began), and what `sending` needs for that kind."""


class Stuck(ValueError):
    """Of one waiting run's file, which is named: damaged, cannot be read or written, or refused by MLflow."""


class Journal:
    """What is to be sent, oldest first.

    server: the address, without password.
    project: MLflow's experiment.
    run_id: MLflow's, once the run was created there.
    ended: whether it was said how the run ended.
    path: the file, which exists from when MLflow is asked for the run until its end was sent.
    """

    def __init__(self, folder: Path, server: str, project: str, name: str) -> None:
        self.server, self.project, self.run_id, self.ended = server, project, "", False
        self.operations: deque[Operation] = deque()
        self.path = folder / f"{now()}-{name}-{uuid.uuid4().hex[:6]}.json"
        self._lock: contextlib.ExitStack | None = None

    def add(self, kind: str, **fields: Any) -> None:
        """Append an operation."""
        self.operations.append({"kind": kind, "tries": 0, **fields})
        self.ended |= kind == "end"

    def add_metrics(self, values: Mapping[str, float], step: int, when: int) -> None:
        """Append metrics, to the last operation while there is room in it."""
        last = self.operations[-1] if self.operations else None
        if last is None or last["kind"] != "metrics" or len(last["entries"]) + len(values) > METRICS_AT_ONCE:
            self.add("metrics", entries=[])
        self.operations[-1]["entries"] += [[key, float(value), when, step] for key, value in values.items()]

    def keep(self) -> None:
        """Write the file; its lock says, as long as this process lives, that no other may send it.

        Raises Stuck when it cannot be written or locked.
        """
        fields = ("server", "project", "run_id", "ended")
        content = {field: getattr(self, field) for field in fields} | {"operations": list(self.operations)}
        try:
            if self._lock is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.ExitStack() as stack:
                    stack.enter_context(_lock(self.path))
                    self._lock = stack.pop_all()
            write_whole(self.path, json.dumps(content, indent=1) + "\n")
        except (OSError, NotImplementedError) as error:  # the latter of a file system without locks
            raise Stuck(f"{self.path}: {_reason(error)}") from None

    def settle(self) -> None:
        """Write the file while there is something to say to MLflow, and remove it afterwards. Raises Stuck."""
        if self.operations or not self.ended:
            self.keep()
        else:
            self.discard()

    def discard(self) -> None:
        """Remove the file, if there is one."""
        if self._lock is not None:
            self.path.unlink(missing_ok=True)
            _lock_of(self.path).unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Leave the file, if there is one, to whoever can send it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def waiting(folder: Path) -> list[Path]:
    """The files of runs that are not over in MLflow, oldest first; some may belong to stages that still run."""
    return sorted(folder.glob("*.json"))


def unsent(folder: Path) -> int:
    """How many runs wait: all but those of stages that still run and have nothing to send. Raises Stuck."""
    found = 0
    for path in waiting(folder):
        with opened(path) as free, contextlib.suppress(FileNotFoundError):  # it may end meanwhile
            found += free is not None or bool(_read(path).operations)
    return found


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Journal | None]:
    """The journal in a file, for this process alone; None while another has it, or when it is gone.

    A run whose process died before it could say how it ended ends as KILLED, when the file was last written.

    Raises Stuck for a file that is damaged, or that this user may not read.
    """
    from filelock import Timeout

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(path))
        except Timeout:
            yield None
            return
        except (OSError, NotImplementedError) as error:
            raise Stuck(f"{path}: {_reason(error)}") from None
        if not path.is_file():
            _lock_of(path).unlink(missing_ok=True)
            yield None
            return
        journal = _read(path)
        journal._lock = stack
        if not journal.ended:
            journal.add("end", status="KILLED", time=int(path.stat().st_mtime * 1000))
        yield journal


def sha256(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def _read(path: Path) -> Journal:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        journal = Journal(path.parent, content["server"], content["project"], path.stem)
        journal.run_id, journal.ended, journal.path = content["run_id"], content["ended"], path
        journal.operations = deque(dict(operation) for operation in content["operations"])
        assert all(operation["kind"] and operation["tries"] >= 0 for operation in journal.operations)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Stuck(f"{path}: {_reason(error)}") from None
    except (ValueError, TypeError, LookupError, AssertionError):
        raise Stuck(f"{path}: damaged, expected a run that waits to be sent; remove it to lose it") from None
    return journal


def _reason(error: Exception) -> str:
    """Without the path that an OSError says too."""
    return getattr(error, "strerror", None) or str(error)


def _lock(path: Path) -> "contextlib.AbstractContextManager[object]":
    from filelock import FileLock

    return FileLock(_lock_of(path), timeout=0)


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")
