"""The common part of the stages train and finetune: processes, progress, checkpoint, outputs."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from accelerate import Accelerator

from lutra.files import all_at_once, write_whole
from lutra.model import artifact
from lutra.reference.convert import to_artifact
from lutra.reference.interpreter import LutModel
from lutra.training import checkpoint, fitting, sampler
from lutra.training.checkpoint import Checkpoint, Kept
from lutra.training.fitting import CurveRow, Settings, Watcher
from pipeline import tracking
from pipeline.data import packed
from pipeline.data.packed import PackedImages
from pipeline.params import FitParams, TrackingParams, TrainParams
from pipeline.reporting import logged
from pipeline.running import progress, provenance
from pipeline.running.job import Job
from pipeline.running.stopping import stop_requests

Log = Callable[[dict[str, float], int], None]


def run(
    job: Job,
    settings: FitParams,
    start: Callable[[Kept, tracking.Run], LutModel],
    finish: Callable[[LutModel], LutModel],
) -> None:
    """Train a model and write it, with the curve, to the job's outputs.

    Args:
        job: a run of the stage train or finetune, whose outputs are the model and "curve".
        settings: the stage's section of the experiment.
        start: returns the model to train; gets the checkpoint's place and the tracked run.
        finish: returns the model to write, from the trained one on the CPU.
    """
    origin, processes = job.origin(), joined(settings, job.key)
    kept = Kept(job.checkpoint, provenance.fingerprint_of(origin["inputs"]))
    with tracking.stage_run(
        job.params.tracking if processes.is_main_process else TrackingParams(enabled=False),
        stage=job.stage.name,
        experiment=job.name,
        root=job.root,
        **logged.run_settings(job.params, job.name, processes.num_processes),
        live=takes_long(settings),
    ) as log:
        if processes.is_main_process:
            packed.verify(job.inputs["data"], "train", "validate")
        model = start(kept, log)
        curve = _fit(job, settings, model, kept, log.metrics, processes)
        if not processes.is_main_process:
            return
        curve_path = job.outputs["curve"]
        (path,) = (output for output in job.outputs.values() if output != curve_path)
        with all_at_once():
            labels = job.task_params.labels
            artifact.save(path, to_artifact(finish(model.cpu()), **labels, provenance=origin))
            write_curve(curve_path, curve)
        checkpoint.remove(kept)
        log.artifact(path, "model")
        log.artifact(curve_path, "curves")


def takes_long(settings: FitParams) -> bool:
    """Return whether there are steps to make or equations to solve, so that MLflow should show them meanwhile."""
    return settings.steps > 0 or (isinstance(settings, TrainParams) and settings.init == "least_squares")


def joined(settings: FitParams, key: str) -> Accelerator:
    """Return the processes that train together: those that pipeline/running/launch.py started, or this one.

    Raises:
        ValueError: their number is not the one that the parameters under `key` ask for, such as under an
            `accelerate launch` of the user's own.
    """
    accelerator = Accelerator(mixed_precision="bf16" if settings.precision == "bf16" else "no")
    if accelerator.num_processes != settings.ranks:
        found = f"found {accelerator.num_processes} processes, expected {settings.ranks}"
        raise ValueError(f"{key}.num_processes: {found}; start the stage without `accelerate launch`")
    return accelerator


def _fit(
    job: Job, settings: FitParams, model: LutModel, kept: Kept, log: Log, processes: Accelerator
) -> list[CurveRow]:
    """Train a model on the job's prepared images and return the curve.

    A run that was stopped (Ctrl-C, SIGTERM, or a crash) resumes from its last checkpoint.
    """
    train, held_out = (PackedImages(job.inputs["data"] / part) for part in ("train", "validate"))
    if settings.steps:
        try:
            sampler.check_sizes(train, settings.patch)
        except ValueError as error:
            raise ValueError(f"{job.key}.patch: {error}") from None
    chosen, score = Settings(**settings.settings()), job.task_params.protocol().rank
    with Told(settings, log, processes) as watcher:
        return fitting.fit(model, train, held_out, chosen, score=score, watcher=watcher, kept=kept)


def write_curve(path: Path, rows: list[CurveRow]) -> None:
    """Write the curve as CSV, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["step", "loss", "val_psnr"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


class Told(Watcher):
    """Reports a training to the user and MLflow, in the main process, and takes requests to stop, in every process."""

    def __init__(self, settings: FitParams, log: Log, processes: Accelerator) -> None:
        self._settings, self._log = settings, log
        self._main, self._several = processes.is_main_process, processes.num_processes > 1
        self._validation: float | None = None
        self._began = self._since = time.monotonic()
        self._counted = 0
        if self._several:
            self.note(f"{processes.num_processes} processes, {processes.device.type}")

    def __enter__(self) -> Told:
        self._open = ExitStack()
        self._stopping = self._open.enter_context(stop_requests(self._several))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def note(self, text: str) -> None:
        """Print it."""
        if self._main:
            print(text, file=sys.stderr, flush=True)

    def began(self, point: Checkpoint) -> None:
        """Start the clock and the bar."""
        steps, every = self._settings.steps, self._settings.validate_every
        self._first = point.step + 1
        self._since, self._counted = time.monotonic(), point.step
        self._pace = progress.Pace(point.step, steps, validate_every=every, validation=self._validation)
        self._update = self._open.enter_context(progress.bar(steps, point, self._main))

    def stepped(self, point: Checkpoint, loss: float) -> None:
        """Move the bar; in a log file, state once how long the rest takes."""
        if point.step == self._first:
            self._pace.started(self._first)
        if (estimate := self._pace.first_estimate(point.step)) and not sys.stderr.isatty():
            self.note(estimate)
        self._update(point, loss)

    def validating(self) -> None:
        """Measure the time of the validation separately from the steps."""
        self._began = time.monotonic()

    def validated(self, point: Checkpoint) -> None:
        """Log the curve's new row, with the speed."""
        self._validation = time.monotonic() - self._began
        metrics = {name: value for name, value in point.history[-1].items() if name != "step"}
        left = None
        if point.step:
            self._pace.validated(self._validation)
            metrics["steps_per_second"] = (point.step - self._counted) / (time.monotonic() - self._since)
            left = self._pace.left(point.step)
        if self._main:
            self._log(metrics, point.step)
        if not sys.stderr.isatty():  # a log file has no use for a bar
            text = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            text += f", {progress.duration(left)} left" if left else ""
            self.note(f"step {point.step}/{self._settings.steps}: {text}")
        self._since, self._counted = time.monotonic(), point.step

    def stopped(self) -> bool:
        """Return whether a request to stop came."""
        return self._stopping()
