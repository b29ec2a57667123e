"""A run of a stage: recorded as the stage works, and sent to MLflow by a thread, or afterwards by another process.

A stage itself neither waits for MLflow nor imports it, and the record has everything. At its end, a stage with a thread
waits while something gets through, and leaves the rest to the next stage; a short stage leaves all to a process.
"""

import contextlib
import getpass
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lutra.files import sha256_of
from pipeline.running import provenance
from pipeline.tracking import journal as recording
from pipeline.tracking import store
from pipeline.tracking.journal import Stuck

if TYPE_CHECKING:
    from pipeline.params import TrackingParams

FLUSH_SECONDS = 5.0  # between two requests of a running stage
RETRY_SECONDS = 60.0  # after a failure
TOTAL_SECONDS = 120.0  # that the end of a stage waits for MLflow at most,
SILENT_SECONDS = 20.0  # for a server that takes nothing,
FAILED_SECONDS = 3.0  # and for one that has failed before


class Run:
    """The log of a stage; this class discards everything (tracking disabled)."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log `values` at `step`."""
        self._add("metrics", entries=_entries(values, step))

    def note(self, text: str) -> None:
        """Set the run's description."""
        self._add("note", text=text)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of the file `path` under the run's `folder`; it must not change before the stage ends."""
        self._add_file("artifact", path, folder=folder)

    def image(self, path: Path, key: str) -> None:
        """Show the image file `path` among the run's images; MLflow compares those of one `key` between runs."""
        self._add_file("image", path, key=key, time=recording.now())

    def model(self, path: Path, name: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Log the model file `path` and make it a version of the registered model `name`.

        `tags` are those of the version; `registry.register` lists the required ones. `metrics` are logged for both the
        run and the model.
        """
        entries = _entries(metrics, 0)  # one time for both, or the run would have every metric twice
        self._add("metrics", entries=entries)
        self._add_file("model", path, name=name, tags=dict(tags), entries=entries)

    def _add(self, kind: str, **content: Any) -> None:
        pass

    def _add_file(self, kind: str, path: Path, **content: Any) -> None:
        pass


class Tracked(Run):
    """A run that is recorded, and sent: from a thread while the stage works if `live`, otherwise after its end."""

    def __init__(
        self,
        tracking: "TrackingParams",
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        settings: Mapping[str, Any] | None,
        live: bool,
    ) -> None:
        """Record the run and its parameters; begin to send them if it is live. `tags` are `journal.COMPARED`."""
        self._uri, self._live, self._reported = store.tracking_uri(tracking), live, False
        self._record = recording.new_record(
            store.pending(self._uri), f"{Path(tags['experiment']).name}-{tags['stage']}"
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, name="tracking", daemon=True)
        begin = {"project": tracking.experiment, "name": f"{tags['experiment']}/{tags['stage']}"}
        own = {"latest": "false", recording.IDENTITY: self._record.path.stem, **_system_tags(tags["stage"])}
        self._add(
            "create", server=store.without_password(self._uri), **begin, time=recording.now(), tags={**tags, **own}
        )
        self._add("params", params={key: str(value) for key, value in params.items()})
        if settings is not None:
            self._add("text", file="params.json", text=json.dumps(settings, indent=2) + "\n")
        store.set_environment()
        if live:
            self._thread.start()

    def finish(self, status: str) -> None:
        """Record how the stage ended, and have the rest sent: by another process, or by the thread in limited time."""
        from pipeline.tracking import detached  # imported late: Python also runs it, as `-m`

        self._add("end", status=status, time=recording.now())
        if self._live or self._record.fault or not detached.start(self._uri, self._record.begin["project"]):
            self._over.set()
            if not self._thread.ident:
                self._thread.start()
            self._wait()
        if self._record.fault:
            self._report(f"incomplete: {self._record.fault}")
        self._attempt(self._record.close)
        self._attempt(lambda: detached.show_messages(self._uri))

    def _wait(self) -> None:
        """Wait for the thread while MLflow takes something; report records that are left behind."""
        begin, left = time.monotonic(), -1
        silent = FAILED_SECONDS if self._reported else SILENT_SECONDS if store.is_server(self._uri) else TOTAL_SECONDS
        while self._thread.is_alive():
            waited = time.monotonic() - begin
            if waited >= TOTAL_SECONDS or left == len(self._record.todo):
                if self._record.todo:  # otherwise only earlier runs are left
                    self._failed(f"no answer within {waited:.0f} s")
                return
            left = len(self._record.todo)
            self._thread.join(min(silent, TOTAL_SECONDS - waited))

    def _send(self) -> None:
        """Send the record every few seconds until the stage is over; the first and the last time, earlier ones too.

        MLflow is not imported while the stage starts, which has enough to import then.
        """
        sender, pause, over = None, FLUSH_SECONDS, False
        while not over:
            over = self._over.wait(pause)
            try:
                from pipeline.tracking import sending  # imports MLflow, which takes seconds

                pause, first, sender = FLUSH_SECONDS, sender is None, sender or sending.Sender(self._uri)
                sender.send(self._record)
                if over:
                    self._attempt(self._record.close)  # two stages that end must not wait for each other's record
                if first or over:
                    sender.send_waiting([store.pending(self._uri)], sending.BUSY_SECONDS if over else 0.0)
            except Stuck as error:
                store.report(str(error))
            except Exception as error:
                self._failed(store.first_line(error))
                pause, over = RETRY_SECONDS, self._over.is_set()

    def _failed(self, reason: str) -> None:
        fault = self._record.fault
        lost = f"cannot be kept ({fault}): it is lost unless MLflow answers before the stage ends"
        self._report(store.failed(self._uri, reason, lost if fault else store.WAITS))

    def _add(self, kind: str, **content: Any) -> None:
        self._record.add(kind, **content)

    def _add_file(self, kind: str, path: Path, **content: Any) -> None:
        self._attempt(lambda: self._add(kind, path=str(path.absolute()), sha256=sha256_of(path), **content))

    def _attempt(self, action: Callable[[], None]) -> None:
        """Run the action; report an error instead of raising it."""
        try:
            action()
        except Exception as error:
            self._report(f"incomplete: {store.first_line(error)}")

    def _report(self, reason: str) -> None:
        if not self._reported:
            self._reported = True
            store.report(reason)


def _system_tags(stage: str) -> dict[str, str]:
    """Return MLflow's own tags: who ran what, from which commit."""
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"python -m pipeline {stage}"}
    with contextlib.suppress(OSError, KeyError):  # a user without a name
        tags["mlflow.user"] = getpass.getuser()
    if found := provenance.commit():
        tags |= {"mlflow.source.git.commit": found[0], "dirty": str(found[1]).lower()}
    return tags


def _entries(values: Mapping[str, float], step: int) -> list[list[Any]]:
    when = recording.now()
    return [[key, float(value), when, step] for key, value in values.items()]
