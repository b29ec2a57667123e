"""Send records to MLflow with its client."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lutra.files import sha256_of
from pipeline.tracking import journal as recording
from pipeline.tracking import registry, store, views
from pipeline.tracking.journal import Event, RunRecord, Stuck

if TYPE_CHECKING:
    from mlflow.entities import Metric

BUSY_SECONDS = 60.0  # for a record that another process is sending
TRIES = 3  # for what a server refuses while it answers
_LONGEST_PARAM = 6000  # MLflow's limit
# Errors that another attempt does not change: no such function, a deleted run, a name that is not allowed
_FINAL = (
    "ENDPOINT_NOT_FOUND",
    "FEATURE_DISABLED",
    "INVALID_PARAMETER_VALUE",
    "NOT_IMPLEMENTED",
    "RESOURCE_DOES_NOT_EXIST",
)


class Sender:
    """A connection to MLflow that takes records. What it has taken already may be sent again and changes nothing."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = store.connect(uri)
        self._experiments: dict[str, str] = {}
        self._reported: set[tuple[Path, str]] = set()
        self._seen: set[Path] = set()

    def send(self, record: RunRecord) -> None:
        """Send the events that are still to send. An event that MLflow refuses is left out, or tried again later.

        Raises whatever MLflow raises when it does not answer, or refuses to create the run.
        """
        self._seen.add(record.path)
        self.experiment(record.begin["project"])
        again = []
        try:
            for count, event in _joined(list(record.todo)):
                try:
                    getattr(self, f"_{event.kind}")(record, **event.content)
                except Exception as error:
                    if event.kind == "create" or not self.answers():
                        raise
                    final = getattr(error, "error_code", "") in _FINAL or record.tries + 1 >= TRIES
                    self._report(record.path, event.kind, "left out" if final else "will be tried again", error)
                    again += [] if final else [event]
                for _ in range(count):
                    record.todo.popleft()
        finally:
            if again:
                record.add("tried")
                record.todo.extend(again)

    def send_waiting(self, folders: Sequence[Path], seconds: float = 0.0) -> int:
        """Send the records in `folders` for this server whose process has ended; return how many went through.

        A record that MLflow once had is sent again if MLflow has lost its run. No record is tried twice.
        `seconds` is how long to wait for each that another process is sending.

        Raises whatever MLflow raises when it does not answer, at once; the first Stuck after the others were sent.
        """
        sent, stuck = 0, []
        for path in (path for folder in folders for path in recording.files(folder) if path not in self._seen):
            try:
                sent += self._send_file(path, seconds)
            except Stuck as error:
                self._seen.add(path)
                stuck.append(error)
        if stuck:
            raise stuck[0]
        return sent

    def answers(self) -> bool:
        """Return whether MLflow answers at all."""
        try:
            self._client.search_experiments(max_results=1)
        except Exception:
            return False
        return True

    def experiment(self, project: str) -> str:
        """Return the id of MLflow's experiment `project`, which is created when missing."""
        if project not in self._experiments:
            self._experiments[project] = store.experiment_id(self._client, self._uri, project)
        return self._experiments[project]

    def _send_file(self, path: Path, seconds: float) -> bool:
        with recording.opened(path, seconds) as record:
            if record is None:
                return False
            self._seen.add(path)
            if record.begin["server"] != store.without_password(self._uri):
                return False
            try:
                if path.parent == store.logged(self._uri):
                    if self._holds(record.run_id):
                        record.todo.clear()
                        return False
                    record.add("run", id="")
                self.send(record)
            except Exception as error:
                if not self.answers():
                    raise
                refused = f"{path}: MLflow refuses it ({store.first_line(error)}); remove it to lose that run"
                raise Stuck(refused) from None
            return not record.todo

    def _holds(self, run_id: str) -> bool:
        """Return whether MLflow has the run; one that a user deleted counts until `mlflow gc` removes it."""
        try:
            self._client.get_run(run_id)
        except Exception as error:
            if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _report(self, path: Path, kind: str, then: str, error: Exception) -> None:
        if (path, kind) not in self._reported:
            self._reported.add((path, kind))
            store.report(f"{kind} {then}: MLflow says {store.first_line(error)}")

    def _create(self, record: RunRecord, time: int, tags: dict[str, str], name: str, **_: Any) -> None:
        """Create the run, or find it where the answer to an earlier request was lost."""
        if record.run_id:
            return
        experiment = self.experiment(record.begin["project"])
        found = self._client.search_runs([experiment], f"attributes.start_time = {time}")
        mine = (run for run in found if record.identity.items() <= run.data.tags.items())
        run = next(mine, None) or self._client.create_run(experiment, time, tags, name)
        record.add("run", id=str(run.info.run_id))

    def _params(self, record: RunRecord, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, value[:_LONGEST_PARAM]) for key, value in params.items()]
        self._client.log_batch(record.run_id, params=entries)

    def _metrics(self, record: RunRecord, entries: Sequence[Sequence[Any]]) -> None:
        self._client.log_batch(record.run_id, metrics=_metrics(entries))

    def _text(self, record: RunRecord, file: str, text: str) -> None:
        self._client.log_text(record.run_id, text, file)

    def _note(self, record: RunRecord, text: str) -> None:
        self._client.set_tag(record.run_id, "mlflow.note.content", text)

    def _artifact(self, record: RunRecord, path: str, sha256: str, folder: str | None) -> None:
        if _unchanged(path, sha256):
            self._client.log_artifact(record.run_id, path, folder)

    def _image(self, record: RunRecord, path: str, sha256: str, key: str, time: int) -> None:
        from PIL import Image

        key = re.sub(r"[^A-Za-z0-9_\-./ ]", "_", key)  # what MLflow allows
        known = (file.path for file in self._client.list_artifacts(record.run_id, "images"))
        if any(f"{key.replace('/', '~')}+step+0+timestamp+{time}+" in name for name in known):
            return  # MLflow names every image differently, also one that is sent again
        if _unchanged(path, sha256):
            with Image.open(path) as image:
                self._client.log_image(record.run_id, image, key=key, timestamp=time, synchronous=True)

    def _model(self, record: RunRecord, *, entries: Sequence[Sequence[Any]], **model: Any) -> None:
        if not _unchanged(model["path"], model["sha256"]):
            return
        experiment = self.experiment(record.begin["project"])
        model["tags"] = {**record.compared, **model["tags"]}
        with store.lock(self._uri):
            model_id = registry.register(self._client, experiment, record.run_id, model)
        self._client.log_batch(record.run_id, metrics=_metrics(entries, model_id))
        self._client.set_tag(record.run_id, "model", model["name"])
        view = views.tag(model["name"], model["tags"]["scored"], [entry[0] for entry in entries])
        self._client.set_experiment_tag(experiment, *view)

    def _end(self, record: RunRecord, status: str, time: int) -> None:
        self._client.set_terminated(record.run_id, status, time)
        if status == "FINISHED":
            record.latest = self._becomes_latest(record)

    def _becomes_latest(self, record: RunRecord) -> bool:
        """Take the tag `latest` from the run that this one supersedes; False if a newer run has it."""
        tags = record.compared
        with store.lock(self._uri):
            # A root may hold quotes, which a filter has no way to write, so roots are compared here
            query = f"tags.stage = '{tags['stage']}' and tags.latest = 'true'"
            found = self._client.search_runs([self.experiment(record.begin["project"])], query)
            superseded = [run for run in found if tags.items() <= run.data.tags.items()]
            if any(run.info.start_time > record.begin["time"] for run in superseded):
                return False
            for run in superseded:
                self._client.set_tag(run.info.run_id, "latest", "false")
            self._client.set_tag(record.run_id, "latest", "true")
        return True


def _joined(events: Sequence[Event]) -> Iterator[tuple[int, Event]]:
    """Yield events with their count: metrics in a row are joined to one, for few requests."""
    for kind, group in groupby(events, key=lambda event: event.kind):
        same = list(group)
        if kind == "metrics":
            yield len(same), Event(kind, {"entries": [entry for event in same for entry in event.content["entries"]]})
        else:
            yield from ((1, event) for event in same)


def _metrics(entries: Sequence[Sequence[Any]], model_id: str | None = None) -> list["Metric"]:
    from mlflow.entities import Metric

    return [Metric(key, value, when, step, model_id=model_id) for key, value, when, step in entries]


def _unchanged(path: str, sha256: str) -> bool:
    """Return whether a file is still the one that the stage wrote; report it if not."""
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        if sha256_of(Path(path)) == sha256:
            return True
    store.report(f"{path} left out: it is not what the stage wrote any more")
    return False
