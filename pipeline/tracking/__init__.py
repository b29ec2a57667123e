"""Logging to MLflow; the only package that imports it.

Every run carries the tags `experiment`, `stage`, `root` and `latest`: of the runs that agree in the first
three, the newest one that finished has `latest = "true"`, taken from the one it supersedes. Tracking is a
convenience: when it fails, a stage says so once, on stderr, and goes on; what MLflow has not taken waits in a file,
for the next stage or `sync`. So does the end of a run whose process is killed.
"""

import contextlib
import getpass
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import PROJECT
from pipeline.running import provenance
from pipeline.tracking import journal, store, views
from pipeline.tracking.journal import Journal, Stuck
from pipeline.tracking.store import tracking_uri

if TYPE_CHECKING:
    from pipeline.params import TrackingParams
    from pipeline.tracking.sending import Sender

__all__ = ["Run", "serve", "stage_run", "sync", "tracking_uri"]

FLUSH_SECONDS = 5.0  # metrics are sent in batches, so that logging costs nothing beside a training step
TOTAL_SECONDS = 120.0  # of a stage that may go by with sending; what is missing then waits for the next stage
RETRY_SECONDS = 60.0  # after a failure: a server that is down must not slow training


class Run:
    """What a stage logs to; this one goes nowhere (tracking disabled)."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log `values` at `step`; they are sent in batches."""

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of the file `path` under the run's `folder`; it must stay as it is until the stage ends."""

    def image(self, path: Path, key: str) -> None:
        """Show the image file `path` among the run's images; those of one `key` stand side by side."""

    def model(self, path: Path, name: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Log the model file `path` and make it a version of the registered model `name`.

        `tags` are the version's; `registry.register` says which it needs. `metrics` are logged for run and model.
        """


@contextlib.contextmanager
def stage_run(
    tracking: "TrackingParams",
    *,
    stage: str,
    experiment: str,
    root: Path,
    params: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    note: str = "",
) -> Iterator[Run]:
    """Log one stage: its parameters now, what the body hands to the run, and how the body ended.

    Never raises because of MLflow; whatever the body raises passes through, and marks the run FAILED (KILLED
    when interrupted).

    Args:
        tracking: where to.
        stage: its name.
        experiment: its name, or the task's.
        root: where the stage writes.
        params: those that runs are compared by.
        settings: all parameters, nested, kept as the file params.json.
        note: the run's description.
    """
    if not tracking.enabled:
        yield Run()
        return
    tags = {"stage": stage, "experiment": experiment, "root": _relative(root)}
    run = _Tracked(tracking_uri(tracking), tracking.experiment, tags, note)
    status = "FAILED"
    try:
        run.begin(params, settings)
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)


def sync(tracking: "TrackingParams") -> tuple[int, int]:
    """Send the runs that wait for this server: how many went through, and how many still wait, for any server.

    Raises whatever MLflow raises when it does not answer; Stuck, a ValueError, after the others were sent, for a file
    that is damaged or whose run MLflow refuses.
    """
    from pipeline.tracking.sending import Sender

    uri = tracking_uri(tracking)
    store.experiment_id(store.connect(uri), uri, tracking.experiment)  # follows a folder that was moved
    folder = store.pending(uri)
    sent = _send_waiting(Sender(uri), uri) if journal.waiting(folder) else 0
    return sent, journal.unsent(folder)


def serve(tracking: "TrackingParams", port: int) -> None:
    """Show the runs in MLflow's pages on this machine; does not return until interrupted."""
    uri = tracking_uri(tracking)
    if store.is_server(uri):
        store.say(f"the runs are on a server: open {store.shown(uri)}")
        return
    _check_port(port)
    client, page = store.connect(uri), f"http://127.0.0.1:{port}"
    experiment = store.experiment_id(client, uri, tracking.experiment)
    store.say(f"open {page} (Ctrl-C to stop)")
    for name, address in views.addresses(page, experiment, client.get_experiment(experiment).tags).items():
        store.say(f"{name} compared: {address}")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # background jobs of features we do not use
    server = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", str(store.artifacts(uri))]
    os.execv(sys.executable, [*server, "--backend-store-uri", uri, *artifacts])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(f"port {port}: cannot be used ({error.strerror}), expected a free one: --port") from None


class _Tracked(Run):
    """A run whose operations are sent now and then; what cannot be sent is kept."""

    def __init__(self, uri: str, project: str, tags: Mapping[str, str], note: str) -> None:
        self._uri, self._tags, self._note = uri, dict(tags), note
        name = f"{Path(tags['experiment']).name}-{tags['stage']}"
        self._journal = Journal(store.pending(uri), store.shown(uri), project, name)
        self._sender: Sender | None = None
        self._next = 0.0
        self._left = TOTAL_SECONDS
        self._said = False

    def begin(self, params: Mapping[str, Any], settings: Mapping[str, Any] | None) -> None:
        """Create the run, and send what earlier ones left."""
        tags = {**self._tags, "latest": "false", **_system_tags(self._tags["stage"])}
        if self._note:
            tags["mlflow.note.content"] = self._note
        name = f"{self._tags['experiment']}/{self._tags['stage']}"
        self._journal.add("create", time=journal.now(), tags=tags, name=name)
        self._journal.add("params", params={key: str(value) for key, value in params.items()})
        if settings is not None:
            self._journal.add("text", file="params.json", text=json.dumps(settings, indent=2) + "\n")
        self._send()
        if not self._journal.operations and self._sender:
            sender = self._sender
            try:
                self._within(lambda: _send_waiting(sender, self._uri))
            except Stuck as error:
                store.say(str(error))
            except Exception as error:
                self._say(self._failed(error))

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        self._journal.add_metrics(values, step, journal.now())
        if time.monotonic() >= self._next:
            self._send()

    def artifact(self, path: Path, folder: str | None = None) -> None:
        self._add_file("artifact", path, folder=folder)

    def image(self, path: Path, key: str) -> None:
        self._add_file("image", path, key=key, time=journal.now())

    def model(self, path: Path, name: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        when = journal.now()  # one time for both, or the run would have every metric twice
        self._journal.add_metrics(metrics, 0, when)
        entries = [[key, value, when, 0] for key, value in metrics.items()]
        self._add_file("model", path, name=name, tags={**self._tags, **tags}, entries=entries)

    def finish(self, status: str) -> None:
        """Say how the stage ended, and send all that is left."""
        if not self._journal.operations and not self._journal.run_id:
            return  # interrupted before it began
        self._journal.add("end", status=status, time=journal.now())
        if status == "FINISHED":
            self._journal.add("latest", tags=self._tags)
        self._attempt(self._journal.keep)  # a kill from here on changes nothing
        self._send()
        self._attempt(self._journal.release)

    def _add_file(self, kind: str, path: Path, **fields: Any) -> None:
        def add() -> None:
            self._journal.add(kind, path=str(path.absolute()), sha256=journal.sha256(path), **fields)

        self._attempt(add)

    def _send(self) -> None:
        if self._left <= 0:
            return
        begin = time.monotonic()
        try:
            self._within(self._send_now)
            self._next = time.monotonic() + FLUSH_SECONDS
        except Exception as error:
            self._next = time.monotonic() + RETRY_SECONDS
            self._say(f"{self._failed(error)}; {self._kept()}")
            self._left -= time.monotonic() - begin
        self._attempt(self._journal.settle)

    def _send_now(self) -> None:
        if self._sender is None:
            from pipeline.tracking.sending import Sender

            self._sender = Sender(self._uri)
        self._sender.send(self._journal)

    def _within(self, action: Callable[[], object]) -> None:
        """Run the action in a thread of its own; TimeoutError, and it is left alone, when the stage's time is up."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                action()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self._left)
        if thread.is_alive():
            self._left = 0.0
            raise TimeoutError(f"no answer within {TOTAL_SECONDS:.0f} s")
        if raised:
            raise raised[0]

    def _kept(self) -> str:
        """Keep what MLflow has not taken, and say where it is."""
        try:
            self._journal.settle()
        except Exception as error:
            kept = f"what is missing cannot be kept ({store.first_line(error)})"
            return f"{kept}: it is lost unless MLflow answers before the stage ends"
        return "what is missing waits for the next stage, or for `python -m pipeline track sync`"

    def _attempt(self, action: Callable[[], None]) -> None:
        """What this machine's files may fail."""
        try:
            action()
        except Exception as error:
            self._say(store.first_line(error))

    def _failed(self, error: Exception) -> str:
        return f"MLflow at {store.shown(self._uri)} failed ({store.first_line(error)})"

    def _say(self, reason: str) -> None:
        if not self._said:
            self._said = True
            store.say(f"incomplete: {reason}")


def _send_waiting(sender: "Sender", uri: str) -> int:
    """Send the runs that wait for that server and belong to no living process; how many went through.

    Raises whatever MLflow raises when it does not answer, at once; the first Stuck when the others were sent.
    """
    sent, stuck = 0, []
    for path in journal.waiting(store.pending(uri)):
        try:
            sent += _send_file(sender, path, store.shown(uri))
        except Stuck as error:
            stuck.append(error)
    if sent:
        store.say(f"sent {sent} {'run' if sent == 1 else 'runs'} that had waited")
    if stuck:
        raise stuck[0]
    return sent


def _send_file(sender: "Sender", path: Path, server: str) -> bool:
    """Send what one file holds; whether it was for that server, and all went through."""
    with journal.opened(path) as waiting:
        if waiting is None or waiting.server != server:
            return False
        try:
            sender.send(waiting)
        except Exception as error:
            if not sender.answers():
                raise
            raise Stuck(f"{path}: MLflow refuses it ({store.first_line(error)}); remove it to lose that run") from None
        finally:
            waiting.settle()
        return not waiting.operations


def _system_tags(stage: str) -> dict[str, str]:
    """MLflow's own: who ran what, of which commit."""
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"python -m pipeline {stage}"}
    with contextlib.suppress(OSError, KeyError):  # a user without a name
        tags["mlflow.user"] = getpass.getuser()
    if found := provenance.commit():
        tags |= {"mlflow.source.git.commit": found[0], "dirty": str(found[1]).lower()}
    return tags


def _relative(root: Path) -> str:
    absolute = root.absolute()
    return str(absolute.relative_to(PROJECT) if absolute.is_relative_to(PROJECT) else absolute)
