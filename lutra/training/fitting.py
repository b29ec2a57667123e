"""The training loop that networks and tables share: batches, schedule, validation, checkpoints, curve."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from lutra.imaging.metrics import psnr
from lutra.reference.interpreter import LutModel
from lutra.training import checkpoint
from lutra.training.checkpoint import Checkpoint, Kept
from lutra.training.optimiser import optimiser_of
from lutra.training.pairs import Image, Images, interleaved
from lutra.training.sampler import PatchSampler

CurveRow = dict[str, float]
"""A row of the curve: `step`, `val_psnr` and, after step 0, `loss`."""

Score = Callable[[Image, Image], float]
"""Scores a restored image against its target: a PSNR in dB, such as a protocol's `rank`."""


@dataclass(frozen=True)
class Settings:
    """Settings of a training; the defaults finetune tables.

    steps: of the optimiser. batch: patches in a step, over all processes.
    patch: side of a patch of the input, in pixels.
    learning_rate, final_learning_rate: of Adam, at the start and at the end of a cosine; 1 is the full range 0..255.
    average: weight of the past in the running average of the parameters, which is validated in their place; 0: none.
    precision: of a network's arithmetic.
    accumulate: parts that a batch is computed in, to take less memory.
    validate_every, checkpoint_every: in steps. seed: of the patches.
    """

    steps: int = 2000
    batch: int = 32
    patch: int = 48
    learning_rate: float = 0.02
    final_learning_rate: float = 0.0005
    average: float = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"
    accumulate: int = 1
    validate_every: int = 50
    checkpoint_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"steps: found {self.steps}, expected 0 or more")
        for name in ("batch", "patch", "accumulate", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected at least 1")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate: found {self.accumulate}, expected a divisor of the batch of {self.batch}")
        if not 0 < self.final_learning_rate <= self.learning_rate:
            found = f"found {self.final_learning_rate:g} after {self.learning_rate:g}"
            raise ValueError(f"final_learning_rate: {found}, expected more than 0 and at most the first rate")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: found {self.average:g}, expected 0 or more and less than 1")


class Watcher:
    """The calls that `fit` makes while it trains, in every process; a subclass overrides those it needs."""

    def note(self, text: str) -> None:
        """Take a note for the user, about a checkpoint that was found or images that do not rank states."""

    def began(self, point: Checkpoint) -> None:
        """Take the point that the training starts from; its history holds the rows so far."""

    def stepped(self, point: Checkpoint, loss: float) -> None:
        """Take the point after a step, and the mean squared error of the step's batch, 1 being the full range."""

    def validating(self) -> None:
        """Learn that a validation begins; `validated` follows."""

    def validated(self, point: Checkpoint) -> None:
        """Take the point after a validation; its history ends with the new row."""

    def stopped(self) -> bool:
        """Return whether the training has to stop after this step; it then keeps a checkpoint."""
        return False


def fit(
    model: LutModel,
    train: Images,
    held_out: Images,
    settings: Settings = Settings(),
    *,
    score: Score = psnr,
    watcher: Watcher | None = None,
    kept: Kept | None = None,
) -> list[CurveRow]:
    """Train a model's parameters and leave in it the state that scored best on the held-out images.

    With `settings.average`, the states are those of the parameters' running average. The state that training starts
    from is scored too, so the result never scores below it. A run that was stopped resumes from its last checkpoint and
    ends exactly where it would have. Under `accelerate launch` all processes train together: they all get one
    result, which equals that of a single process on the same batches, except for the order of sums.

    Args:
        model: what to train; parameters that do not require a gradient stay as they are.
        train: where the patches come from.
        held_out: the images that decide which state is the best.
        settings: steps, batch, rates and intervals.
        score: ranks a restored image, (H, W) or (H, W, C).
        watcher: told what happens; may ask the training to stop.
        kept: the checkpoint's file during the training, and the run's fingerprint; None: no checkpoints.

    Returns:
        The curve: one row per validation.

    Raises:
        ValueError: an image is smaller than a patch or is not in colour where the model needs it, or the processes
            cannot share the batch.
        KeyboardInterrupt: the watcher asked to stop; a checkpoint is kept.
    """
    watcher = watcher or Watcher()
    run = _Run(model, train, settings)
    if flat := _flat(held_out):
        watcher.note(flat)

    def measured() -> float:
        return validate(model, held_out, score)

    point = run.resumed(kept, watcher) if kept else None
    point = point or run.first(kept.fingerprint if kept else "", measured, watcher)
    watcher.began(point)
    while point.step < settings.steps:
        watcher.stepped(point, run.step(point))
        last = point.step == settings.steps
        if last or point.step % settings.validate_every == 0:
            watcher.validating()
            _validate(point, model, measured)
            watcher.validated(point)
        stop = not last and run.any(watcher.stopped())
        if kept and not last and (stop or point.step % settings.checkpoint_every == 0):
            run.save(kept, point)
        if stop:
            raise KeyboardInterrupt
    model.load_state_dict(point.best_state)
    return point.history


def _validate(point: Checkpoint, model: LutModel, measured: Callable[[], float]) -> None:
    """Add a row to the point's curve, and keep the averaged state if it scores best."""
    with checkpoint.averaged(model, point.average):
        value = measured()
        if value > point.best:
            point.best, point.best_state = value, checkpoint.copy_state(model)
    point.history.append({"step": point.step, "loss": point.loss_sum / point.loss_count, "val_psnr": value})
    point.loss_sum, point.loss_count = 0.0, 0


class _Run:
    """A model with its optimiser and its patches, in one process of one or several."""

    def __init__(self, model: LutModel, train: Images, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.accelerator = Accelerator(mixed_precision="bf16" if settings.precision == "bf16" else "no")
        threads = torch.get_num_threads()
        if settings.steps:
            colours = model.description.colours
            self.sampler = PatchSampler(train, settings.patch, settings.batch, settings.seed, threads, colours)
        optimizer = optimiser_of(model, settings.learning_rate)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        # Asked whether it may move the model, accelerate imports half of torch
        self.prepared, self.optimizer = self.accelerator.prepare(model, optimizer, device_placement=[True, True])

    def first(self, fingerprint: str, measured: Callable[[], float], watcher: Watcher) -> Checkpoint:
        """Return the point of a training that begins, with the first row of its curve."""
        state = checkpoint.copy_state(self.model)
        watcher.validating()
        value = measured()
        history: list[CurveRow] = [{"step": 0, "val_psnr": value}]
        point = Checkpoint(fingerprint, 0, state, state, self.optimizer.state_dict(), value, history)
        point.average = checkpoint.copy_trained(self.model) if self.settings.average else {}
        watcher.validated(point)
        return point

    def resumed(self, kept: Kept, watcher: Watcher) -> Checkpoint | None:
        """Return the point of the run's checkpoint, with model and optimiser as they were there; None for none."""
        point = checkpoint.load(kept, self.model)
        if self.accelerator.is_main_process and (found := checkpoint.set_aside(kept, self.model)):
            watcher.note(found if point else f"{found}; starting from step 0")
        if point is None:
            return None
        self.model.load_state_dict(point.state)
        point.average = {name: tensor.to(self.accelerator.device) for name, tensor in point.average.items()}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": point.optimizer["state"], "param_groups": groups})
        watcher.note(f"resuming at step {point.step} of {self.settings.steps}")
        return point

    def step(self, point: Checkpoint) -> float:
        """Make the point's next step and return the mean squared error of its batch."""
        settings, step = self.settings, point.step
        factor = cosine(step / settings.steps, settings.final_learning_rate / settings.learning_rate)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        loss = self._optimise(*self.sampler.batch_at(step, rank, world))
        past = min(settings.average, (step + 1) / (step + 10))  # a young average forgets its start faster
        for name, tensor in point.average.items():
            tensor.lerp_(self.model.get_parameter(name).detach(), 1 - past)
        point.loss_sum, point.loss_count, point.step = point.loss_sum + loss, point.loss_count + 1, step + 1
        return loss

    def _optimise(self, degraded: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
        """Make one optimiser step on a batch, in parts of equal size; return the mean squared error."""
        self.optimizer.zero_grad()
        parts, total = self.settings.accumulate, 0.0
        device = self.accelerator.device
        for part, clean in zip(np.split(degraded, parts), np.split(target, parts), strict=True):
            x = torch.from_numpy(part).to(device, torch.float32)
            y = torch.from_numpy(clean).to(device, torch.float32)
            loss = torch.nn.functional.mse_loss(self.prepared(x) / 255, y / 255) / parts
            self.accelerator.backward(loss)
            total += float(self.accelerator.reduce(loss.detach(), "mean"))
        self.optimizer.step()
        return total

    def any(self, mine: bool) -> bool:
        """Return whether it is true in any process: all stop at one step, though a signal reaches them at several."""
        if self.accelerator.num_processes == 1:
            return mine
        return bool(self.accelerator.reduce(torch.tensor(float(mine), device=self.accelerator.device), "sum"))

    def save(self, kept: Kept, point: Checkpoint) -> None:
        """Write the point as a checkpoint, in the main process."""
        if self.accelerator.is_main_process:
            point.state, point.optimizer = self.model.state_dict(), self.optimizer.state_dict()
            checkpoint.save(kept.path, point)


def validate(model: LutModel, images: Images, score: Score = psnr) -> float:
    """Return the mean score over the restored images that rank (`Images.ranking`)."""
    pairs = ((interleaved(images.input(index)), interleaved(images.target(index))) for index in images.ranking)
    return float(np.mean([score(model.restore_image(degraded), target) for degraded, target in pairs]))


def cosine(progress: float, floor: float) -> float:
    """Return the factor of the first rate at a progress of 0..1: a cosine from 1 down to `floor`."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def _flat(images: Images, most_named: int = 5) -> str | None:
    """Return a note about held-out images that are flat and so do not rank states; None if there are none."""
    ranking = set(images.ranking)
    names = [name for index, name in enumerate(images.names) if index not in ranking]
    if not names:
        return None
    verb = "is flat and ranks" if len(names) == 1 else "are flat and rank"
    more = f" and {len(names) - most_named} more" if len(names) > most_named else ""
    return f"{len(names)} of {len(images)} held-out images {verb} no state: {', '.join(names[:most_named])}{more}"
