"""Operations of a journal, carried out by MLflow's client."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking import registry, store, views
from pipeline.tracking.journal import Journal, Operation, Stuck, sha256

if TYPE_CHECKING:
    from mlflow.entities import Metric

TRIES = 3  # of an operation that a server which answers does not take
_PARAMS_A_BATCH = 100  # MLflow's limits
_LONGEST_PARAM = 6000
# What trying again does not change: the server has no such function, the run was deleted, a name is not allowed
_FINAL = (
    "ENDPOINT_NOT_FOUND",
    "FEATURE_DISABLED",
    "INVALID_PARAMETER_VALUE",
    "NOT_IMPLEMENTED",
    "RESOURCE_DOES_NOT_EXIST",
)


class Sender:
    """A connection to MLflow that takes journals."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = store.connect(uri)
        self._experiments: dict[str, str] = {}
        self._said: set[str] = set()

    def send(self, journal: Journal) -> None:
        """Send what waits. What was sent leaves the journal, and what the server refused for good.

        An operation that fails while the server answers goes to the end, to be tried with what follows later.

        Raises whatever MLflow raises when it does not answer, or refuses to create the run; everything from there on
        stays.
        """
        self._experiment(journal.project)
        for _ in range(len(journal.operations)):
            operation = journal.operations[0]
            try:
                getattr(self, f"_{operation['kind']}")(journal, operation)
            except Exception as error:
                if operation["kind"] == "create" or not self.answers():
                    raise
                operation["tries"] += 1
                final = getattr(error, "error_code", "") in _FINAL or operation["tries"] >= TRIES
                self._say(operation["kind"], "left out" if final else "will be tried again", error)
                if not final:
                    journal.operations.append(operation)
            journal.operations.popleft()

    def answers(self) -> bool:
        """Whether MLflow answers at all."""
        try:
            self._client.search_experiments(max_results=1)
        except Exception:
            return False
        return True

    def _say(self, kind: str, then: str, error: Exception) -> None:
        if kind not in self._said:
            self._said.add(kind)
            store.say(f"{kind} {then}: MLflow says {store.first_line(error)}")

    def _experiment(self, project: str) -> str:
        if project not in self._experiments:
            self._experiments[project] = store.experiment_id(self._client, self._uri, project)
        return self._experiments[project]

    def _create(self, journal: Journal, operation: Operation) -> None:
        """Create the run; where an answer never came, or the process that waited for it died, find it."""
        experiment, time, tags = self._experiment(journal.project), operation["time"], operation["tags"]
        if operation["tries"]:
            asked = self._client.search_runs([experiment], f"attributes.start_time = {time}")
            journal.run_id = next((run.info.run_id for run in asked if tags.items() <= run.data.tags.items()), "")
        operation["tries"] += 1
        if not journal.run_id:
            with contextlib.suppress(Stuck):  # said when all is sent
                journal.keep()
            journal.run_id = str(self._client.create_run(experiment, time, tags, operation["name"]).info.run_id)

    def _params(self, journal: Journal, operation: Operation) -> None:
        from mlflow.entities import Param

        entries = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in operation["params"].items()]
        for batch in _batches(entries, _PARAMS_A_BATCH):
            self._client.log_batch(journal.run_id, params=batch)

    def _metrics(self, journal: Journal, operation: Operation) -> None:
        self._client.log_batch(journal.run_id, metrics=_metrics(operation["entries"]))

    def _text(self, journal: Journal, operation: Operation) -> None:
        self._client.log_text(journal.run_id, operation["text"], operation["file"])

    def _artifact(self, journal: Journal, operation: Operation) -> None:
        if _unchanged(operation):
            self._client.log_artifact(journal.run_id, operation["path"], operation["folder"])

    def _image(self, journal: Journal, operation: Operation) -> None:
        from PIL import Image

        if not _unchanged(operation):
            return
        key = re.sub(r"[^A-Za-z0-9_\-./ ]", "_", operation["key"])  # what MLflow allows
        with Image.open(operation["path"]) as image:
            self._client.log_image(journal.run_id, image, key=key, timestamp=operation["time"], synchronous=True)

    def _model(self, journal: Journal, operation: Operation) -> None:
        if not _unchanged(operation):
            return
        experiment = self._experiment(journal.project)
        with store.lock(self._uri):
            model_id = registry.register(self._client, experiment, journal.run_id, operation)
        self._client.log_batch(journal.run_id, metrics=_metrics(operation["entries"], model_id))
        name, names = operation["name"], [entry[0] for entry in operation["entries"]]
        self._client.set_tag(journal.run_id, "model", name)
        self._client.set_experiment_tag(experiment, *views.tag(name, operation["tags"]["scored"], names))

    def _end(self, journal: Journal, operation: Operation) -> None:
        self._client.set_terminated(journal.run_id, operation["status"], operation["time"])

    def _latest(self, journal: Journal, operation: Operation) -> None:
        tags = operation["tags"]
        experiment = self._experiment(journal.project)
        with store.lock(self._uri):
            mine = self._client.get_run(journal.run_id)
            # A root may hold quotes, which a filter has no way to write, so roots are compared here.
            found = self._client.search_runs([experiment], f"tags.stage = '{tags['stage']}' and tags.latest = 'true'")
            superseded = [run for run in found if tags.items() <= run.data.tags.items()]
            if any(run.info.start_time > mine.info.start_time for run in superseded):
                return  # sent late, after a newer one
            for run in superseded:
                self._client.set_tag(run.info.run_id, "latest", "false")
            self._client.set_tag(journal.run_id, "latest", "true")


def _metrics(entries: Sequence[Sequence[Any]], model_id: str | None = None) -> list["Metric"]:
    from mlflow.entities import Metric

    return [Metric(key, value, when, step, model_id=model_id) for key, value, when, step in entries]


def _unchanged(operation: Operation) -> bool:
    """Whether the file is still the one that the stage wrote; says so if not."""
    path = Path(operation["path"])
    if path.is_file() and sha256(path) == operation["sha256"]:
        return True
    store.say(f"{path} left out: it is not what the stage wrote any more")
    return False


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
