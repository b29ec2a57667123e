"""The record of a run: a file of everything that a stage logs, which can be sent to MLflow again at any time.

Every line is an event as JSON, with the time at which it happened; files are recorded by path and SHA-256. A stage only
appends, so the record of a killed stage is complete up to that moment. A record lies in `mlflow-pending` until MLflow
has all of it, locked while its process lives. Then it is removed; the newest finished one of each stage, experiment and
root moves to `mlflow-logged` instead, in case MLflow loses the run.
"""

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

COMPARED = ("stage", "experiment", "root")
"""Tags of a run; of the runs that agree in them, the newest counts."""
IDENTITY = "record"
"""A tag of a run that no other run has: two may agree in all other tags and begin in the same millisecond."""
_PROGRESS = ("run", "tried")


class Event(NamedTuple):
    """Something to send to MLflow (a method of `sending.Sender`), or the outcome: "run" with its id, or "tried"."""

    kind: str
    content: dict[str, Any]


class Stuck(ValueError):
    """A record that cannot be read or sent; the message names the file."""


class RunRecord:
    """The events of a run.

    todo: the events that MLflow has not taken yet.
    latest: whether MLflow shows the run as the newest of its stage, experiment and root.
    fault: why the file lacks the last events; empty if it has all.
    """

    def __init__(self, path: Path, events: tuple[Event, ...] = ()) -> None:
        self.path, self.events, self.latest, self.fault = path, list(events), False, ""
        self.todo = deque(event for event in events if event.kind not in _PROGRESS)
        self._lock: contextlib.ExitStack | None = None

    @property
    def begin(self) -> dict[str, Any]:
        """The content of the first event: `server`, `project` (MLflow's experiment), `time`, `tags` and `name`."""
        return self.events[0].content

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; empty until MLflow has created it."""
        return next((event.content["id"] for event in reversed(self.events) if event.kind == "run"), "")

    @property
    def tries(self) -> int:
        """The number of times that MLflow did not take everything."""
        return sum(event.kind == "tried" for event in self.events)

    @property
    def ended(self) -> bool:
        """Whether the record tells how the run ended."""
        return any(event.kind == "end" for event in self.events)

    @property
    def compared(self) -> dict[str, str]:
        """Stage, experiment and root."""
        return {name: self.begin["tags"][name] for name in COMPARED}

    @property
    def identity(self) -> dict[str, str]:
        """The tags by which MLflow's run of this record is found; records of earlier versions have no `IDENTITY`."""
        tags = self.begin["tags"]
        return self.compared | ({IDENTITY: tags[IDENTITY]} if IDENTITY in tags else {})

    def add(self, kind: str, **content: Any) -> None:
        """Append an event, here and in the file; after an error the file is left as it is."""
        event = Event(kind, content)
        self.events.append(event)
        if kind not in _PROGRESS:
            self.todo.append(event)
        if self.fault:
            return
        try:
            if self._lock is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.ExitStack() as stack:
                    stack.enter_context(_lock(self.path))
                    self._lock = stack.pop_all()
            with self.path.open("ab", buffering=0) as file:  # one write, also if another thread appends
                file.write(json.dumps(event._asdict()).encode() + b"\n")
        except (OSError, NotImplementedError) as error:  # the latter on a file system without locks
            self.fault = f"{self.path}: {_reason(error)}"

    def close(self) -> None:
        """Move or remove the file if MLflow has everything; otherwise leave it to whoever can send it."""
        held, self._lock = self._lock, None
        if held is None:
            return
        if self.ended and not self.todo:
            if self.latest:
                self._logged.parent.mkdir(exist_ok=True)
                os.replace(self.path, self._logged)
            elif self.path != self._logged:
                self.path.unlink(missing_ok=True)
            _lock_path(self.path).unlink(missing_ok=True)
        held.close()

    @property
    def _logged(self) -> Path:
        root = hashlib.sha256(self.compared["root"].encode()).hexdigest()[:8]
        name = f"{Path(self.compared['experiment']).name}-{self.compared['stage']}-{root}.jsonl"
        return self.path.parent.with_name("mlflow-logged") / name


def new_record(folder: Path, name: str) -> RunRecord:
    """Return an empty record; its file appears with the first event."""
    return RunRecord(folder / f"{now()}-{name}-{uuid.uuid4().hex[:6]}.jsonl")


def files(folder: Path) -> list[Path]:
    """Return the records in a folder, oldest first; some may belong to stages that still run."""
    return sorted(path for path in folder.glob("*") if path.suffix in (".jsonl", ".json"))  # earlier versions: .json


def unsent(folder: Path) -> int:
    """Return how many runs wait: not those of running stages that MLflow has created. Raises Stuck."""
    found = 0
    for path in files(folder):
        with opened(path) as free, contextlib.suppress(FileNotFoundError):  # it may end meanwhile
            found += free is not None or not _read(path).run_id
    return found


@contextlib.contextmanager
def opened(path: Path, seconds: float = 0.0) -> Iterator[RunRecord | None]:
    """Open a record for this process alone; None while another process has it, or when it is gone.

    A run whose process died ended as KILLED, when the file was last changed. Raises Stuck.

    Args:
        path: the record's file.
        seconds: how long to wait while another process sends the record of a stage that has ended.
    """
    from filelock import Timeout

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(path, seconds if seconds and _read(path).ended else 0.0))
        except (Timeout, FileNotFoundError):
            yield None
            return
        except (OSError, NotImplementedError) as error:
            raise Stuck(f"{path}: {_reason(error)}") from None
        if not path.is_file():
            _lock_path(path).unlink(missing_ok=True)
            yield None
            return
        record, changed = _read(path), int(path.stat().st_mtime * 1000)
        record._lock = stack
        if not record.ended:
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a line that the kill cut off
            record.add("end", status="KILLED", time=changed)
        yield record
        record.close()


def now() -> int:
    """Return the milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def _read(path: Path) -> RunRecord:
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # a line that a kill cut off has no end
        record = RunRecord(path, tuple(Event(**json.loads(line)) for line in lines))
        if record.events[0].kind != "create" or not record.begin["server"] or not record._logged:
            raise ValueError
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Stuck(f"{path}: {_reason(error)}") from None
    except (ValueError, TypeError, LookupError):
        raise Stuck(f"{path}: damaged, expected a run that waits to be sent; remove it to lose it") from None
    return record


def _reason(error: Exception) -> str:
    """Return what went wrong without the path, which the text of an OSError repeats."""
    return getattr(error, "strerror", None) or str(error)


def _lock(path: Path, timeout: float = 0.0) -> "contextlib.AbstractContextManager[object]":
    from filelock import FileLock

    return FileLock(_lock_path(path), timeout=timeout)


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")
