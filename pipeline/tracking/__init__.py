"""Logging to MLflow; the only package that imports it.

Every run carries the tags `experiment`, `stage`, `root` and `latest`: of the runs that agree in the first three, the
newest finished one has `latest = "true"`. A stage records what it logs in a file (`journal`). A thread sends it to
MLflow (`run`, `sending`), or after a short stage another process (`detached`). Tracking is a convenience: when it
fails, a stage reports that once on stderr, and continues. The next stage, or `sync`, sends what MLflow has not taken.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import PROJECT
from pipeline.tracking import journal, store
from pipeline.tracking.run import Run, Tracked
from pipeline.tracking.store import tracking_uri
from pipeline.tracking.views import serve

if TYPE_CHECKING:
    from pipeline.params import TrackingParams

__all__ = ["Run", "serve", "stage_run", "sync", "tracking_uri"]


@contextlib.contextmanager
def stage_run(
    tracking: "TrackingParams",
    *,
    stage: str,
    experiment: str,
    root: Path,
    params: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    live: bool = True,
) -> Iterator[Run]:
    """Log one stage: its parameters, everything that the body logs to the run, and how the body ended.

    Never raises because of MLflow; whatever the body raises passes through, and marks the run FAILED (KILLED
    when interrupted).

    Args:
        tracking: where to log.
        stage: name of the stage.
        experiment: name of the experiment, or of the task.
        root: folder where the stage writes.
        params: the parameters by which runs are compared.
        settings: all parameters, nested, kept as the file params.json.
        live: send while the body works, and wait at its end; otherwise another process sends the record afterwards.
    """
    if not tracking.enabled:
        yield Run()
        return
    tags = {"stage": stage, "experiment": experiment, "root": _relative(root)}
    run, status = Tracked(tracking, tags, params, settings, live), "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)


def sync(tracking: "TrackingParams") -> tuple[int, int]:
    """Send the runs that MLflow lacks; return how many went through, and how many still wait, for any server.

    Raises OSError when MLflow does not answer; Stuck, a ValueError, after the others were sent, for a record that is
    damaged or whose run MLflow refuses.
    """
    from pipeline.tracking.detached import show_messages
    from pipeline.tracking.sending import BUSY_SECONDS, Sender

    uri = tracking_uri(tracking)
    show_messages(uri)
    try:
        sender = Sender(uri)
        sender.experiment(tracking.experiment)  # follows a folder that was moved
        sent = sender.send_waiting([store.pending(uri), store.logged(uri)], BUSY_SECONDS)
    except journal.Stuck:
        raise
    except Exception as error:
        raise OSError(f"MLflow at {store.without_password(uri)} failed ({store.first_line(error)})") from None
    return sent, journal.unsent(store.pending(uri))


def _relative(root: Path) -> str:
    absolute = root.absolute()
    return str(absolute.relative_to(PROJECT) if absolute.is_relative_to(PROJECT) else absolute)
