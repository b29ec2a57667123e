"""The training loop that networks and tables share: batches, schedule, validation, checkpoints, curve."""

from __future__ import annotations

import csv
import io
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch.optim import Optimizer

from lutra.evaluation.protocols import Protocol
from lutra.files import write_whole
from lutra.reference.interpreter import LutModel
from lutra.reference.units import LEVELS, Table
from pipeline.data.packed import PackedImages, PatchSampler, interleaved
from pipeline.params import FitParams, TrackingParams
from pipeline.running import checkpoint, progress
from pipeline.running.checkpoint import Checkpoint

Log = Callable[[dict[str, float], int], None]
Row = dict[str, float]

SAME_REQUEST_SECONDS = 2.0


def processes(settings: FitParams, key: str) -> Accelerator:
    """The processes that train together: those that pipeline/running/launch.py started, or this one.

    Raises:
        ValueError: there are not as many as the parameters under `key` say, such as under an `accelerate launch` of
            the user's own.
    """
    accelerator = Accelerator(mixed_precision="bf16" if settings.precision == "bf16" else "no")
    if accelerator.num_processes != settings.ranks:
        found = f"found {accelerator.num_processes} processes, expected {settings.ranks}"
        raise ValueError(f"{key}.num_processes: {found}; start the stage without `accelerate launch`")
    return accelerator


def tracked(tracking: TrackingParams, accelerator: Accelerator) -> TrackingParams:
    """Where this process logs: nowhere, if it is not the main one."""
    return tracking if accelerator.is_main_process else TrackingParams(enabled=False)


def fit(
    model: LutModel,
    settings: FitParams,
    data: Path,
    protocol: Protocol,
    resume: Path,
    fingerprint: str,
    log: Log,
    accelerator: Accelerator | None = None,
    key: str = "settings",
) -> list[Row]:
    """Train a model's parameters and leave in it the state that scored best on the validation images.

    With `settings.average` that is a state of the parameters' running average, which is what is validated.

    The state it starts from is scored too, so the result never scores below it. A run that was stopped
    (Ctrl-C, SIGTERM, or a crash) goes on from its last checkpoint and ends exactly where it would have.

    Args:
        model: what to train; parameters that do not require a gradient stay as they are.
        settings: steps, batch, rates and intervals of the stage.
        data: the prepared folder, with `train` and `validate`.
        protocol: of the task; its main measure decides which state is the best.
        resume: where the checkpoint is kept while the training lasts.
        fingerprint: of everything the result depends on, but the settings of the machine.
        log: called with metrics and the step they belong to.
        accelerator: of `processes`; None for this process alone. All get the same result, and the same as one would
            from the same batches, but for the order of sums.
        key: of the settings in params.yaml, for errors.

    Returns:
        The curve: one row per validation.
    """
    accelerator = accelerator or processes(settings, "settings")
    if accelerator.num_processes > 1:
        _say(accelerator, f"{accelerator.num_processes} processes, {accelerator.device.type}")
    images = PackedImages(data / "train")
    sampler = _sampler(images, settings, key) if settings.steps else None
    validation = PackedImages(data / "validate")
    if flat := progress.flat(validation):
        _say(accelerator, flat)
    optimizer = torch.optim.Adam(_groups(model, settings.learning_rate), fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    prepared, optimizer = accelerator.prepare(model, optimizer)

    point, validation_took = _begin(model, optimizer, settings, validation, protocol, resume, fingerprint, accelerator)
    if not point.history:
        _record(point, {"step": 0, "val_psnr": point.best}, log, accelerator, settings.steps)

    since, counted = time.monotonic(), point.step
    pace = progress.Pace(point.step, settings.steps, validate_every=settings.validate_every, validation=validation_took)
    first = point.step + 1
    several, shown = accelerator.num_processes > 1, accelerator.is_main_process
    with _stop_requests(several) as stopping, progress.bar(settings.steps, point, shown) as update:
        for step in range(point.step, settings.steps):
            factor = cosine(step / settings.steps, settings.final_learning_rate / settings.learning_rate)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            assert sampler is not None
            degraded, target = sampler.batch_at(step, accelerator.process_index, accelerator.num_processes)
            loss = _step(accelerator, prepared, optimizer, degraded, target, settings.accumulate)
            # Young averages forget their start sooner.
            past = min(settings.average, (step + 1) / (step + 10))
            for name, tensor in point.average.items():
                tensor.lerp_(model.get_parameter(name).detach(), 1 - past)
            point.loss_sum, point.loss_count, point.step = point.loss_sum + loss, point.loss_count + 1, step + 1
            if point.step == first:
                pace.started(first)
            if (estimate := pace.first_estimate(point.step)) and not sys.stderr.isatty():
                _say(accelerator, estimate)
            last = point.step == settings.steps
            if last or point.step % settings.validate_every == 0:
                with checkpoint.averaged(model, point.average), pace.validating():
                    score = validate(model, validation, protocol)
                    if score > point.best:
                        point.best, point.best_state = score, checkpoint.copy_state(model)
                speed = (point.step - counted) / (time.monotonic() - since)
                row = {"step": point.step, "loss": point.loss_sum / point.loss_count, "val_psnr": score}
                _record(point, row, log, accelerator, settings.steps, speed, pace.left(point.step))
                point.loss_sum, point.loss_count = 0.0, 0
                since, counted = time.monotonic(), point.step
            update(point, loss)
            if last:
                break
            stop = _any(accelerator, stopping())
            if stop or point.step % settings.checkpoint_every == 0:
                _save(accelerator, resume, point, model, optimizer)
            if stop:
                raise KeyboardInterrupt
    model.load_state_dict(point.best_state)
    return point.history


def _begin(
    model: LutModel,
    optimizer: Optimizer,
    settings: FitParams,
    validation: PackedImages,
    protocol: Protocol,
    resume: Path,
    fingerprint: str,
    accelerator: Accelerator,
) -> tuple[Checkpoint, float | None]:
    """Return where the training begins, at its checkpoint or at step 0, and the seconds that a validation took."""
    point = checkpoint.load(resume, fingerprint, model)
    if accelerator.is_main_process and (found := checkpoint.set_aside(resume, fingerprint, model)):
        _say(accelerator, found if point else f"{found}; starting from step 0")
    if point is None:
        begin, state = time.monotonic(), checkpoint.copy_state(model)
        score, took = validate(model, validation, protocol), time.monotonic() - begin
        point = Checkpoint(fingerprint, 0, state, state, optimizer.state_dict(), score, [])
        point.average = checkpoint.copy_trained(model) if settings.average else {}
        return point, took
    model.load_state_dict(point.state)
    point.average = {name: tensor.to(accelerator.device) for name, tensor in point.average.items()}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": point.optimizer["state"], "param_groups": groups})
    _say(accelerator, f"resuming at step {point.step} of {settings.steps}")
    return point, None


def _sampler(images: PackedImages, settings: FitParams, key: str) -> PatchSampler:
    try:
        return PatchSampler(images, settings.patch, settings.batch, settings.seed, torch.get_num_threads())
    except ValueError as error:
        raise ValueError(f"{key}.patch: {error}") from None


def validate(model: LutModel, images: PackedImages, protocol: Protocol) -> float:
    """Return the mean of the protocol's main measure, a PSNR in dB, over the restored images that rank."""
    pairs = ((interleaved(images.input(index)), interleaved(images.target(index))) for index in images.ranking)
    return float(np.mean([protocol.rank(model.restore_image(degraded), target) for degraded, target in pairs]))


def write_curve(path: Path, rows: list[Row]) -> None:
    """Write the curve as CSV, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["step", "loss", "val_psnr"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def _groups(model: LutModel, rate: float) -> list[dict[str, Any]]:
    """Tables learn in levels, everything else in units of the full scale: the rate means the same for both."""
    functions = [unit.function for unit in model.lut_units() if isinstance(unit.function, Table)]
    tables = {id(parameter) for function in functions for parameter in function.parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in tables], "lr": rate * LEVELS},
        {"params": [p for p in trained if id(p) not in tables], "lr": rate},
    ]
    return [group for group in groups if group["params"]]


def cosine(progress: float, floor: float) -> float:
    """The share of the first rate that is left at a progress of 0..1, down to `floor`."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def _step(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: Optimizer,
    degraded: NDArray[np.uint8],
    target: NDArray[np.uint8],
    accumulate: int,
) -> float:
    """One optimiser step on one batch, in `accumulate` parts of equal size; returns the mean squared error."""
    optimizer.zero_grad()
    total = 0.0
    for part, clean in zip(np.split(degraded, accumulate), np.split(target, accumulate), strict=True):
        x = torch.from_numpy(part).to(accelerator.device, torch.float32)
        y = torch.from_numpy(clean).to(accelerator.device, torch.float32)
        loss = torch.nn.functional.mse_loss(model(x) / 255, y / 255) / accumulate
        accelerator.backward(loss)
        total += float(accelerator.reduce(loss.detach(), "mean"))
    optimizer.step()
    return total


def _save(accelerator: Accelerator, path: Path, point: Checkpoint, model: LutModel, optimizer: Optimizer) -> None:
    if accelerator.is_main_process:
        point.state, point.optimizer = model.state_dict(), optimizer.state_dict()
        checkpoint.save(path, point)


def _record(
    point: Checkpoint,
    row: Row,
    log: Log,
    accelerator: Accelerator,
    steps: int,
    speed: float | None = None,
    left: float | None = None,
) -> None:
    point.history.append(row)
    metrics = {name: value for name, value in row.items() if name != "step"}
    if speed is not None:
        metrics["steps_per_second"] = speed
    if accelerator.is_main_process:
        log(metrics, int(row["step"]))
    if not sys.stderr.isatty():  # a log file has no use for a bar
        text = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        text += f", {progress.duration(left)} left" if left else ""
        _say(accelerator, f"step {int(row['step'])}/{steps}: {text}")


def _say(accelerator: Accelerator, text: str) -> None:
    if accelerator.is_main_process:
        print(text, file=sys.stderr, flush=True)


def _any(accelerator: Accelerator, mine: bool) -> bool:
    """Whether it is so in any process: a signal reaches them at different steps, and all must stop at the same one."""
    if accelerator.num_processes == 1:
        return mine
    return bool(accelerator.reduce(torch.tensor(float(mine), device=accelerator.device), "sum"))


@contextmanager
def _stop_requests(launched: bool = False) -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end the training after the step in hand; a second one, a while later, at once.

    Signals within a moment are one request: a scheduler signals every process of a job, and a launcher hands on to
    its processes what they got already. A process that was `launched` stops too when its launcher is gone.
    """
    requested: list[float] = []
    launcher = os.getppid()

    def request(number: int, frame: FrameType | None) -> None:
        requested.append(time.monotonic())
        if requested[-1] - requested[0] > SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(requested) or (launched and os.getppid() != launcher)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
