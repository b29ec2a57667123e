"""Checkpoints of a training: written whole, resumed exactly, and only by the run they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor
from torch.nn import Module

from lutra.files import write_whole

State = dict[str, Tensor]
DAMAGED = "damaged"
"""The end of the name of a damaged checkpoint that was set aside, in place of another run's fingerprint."""


@dataclass
class Checkpoint:
    """The state of a training after `step` optimiser steps.

    fingerprint: a hash of everything the result depends on; a checkpoint of another run is not resumed.
    optimizer: its `state`; the settings are those of the run that resumes.
    history: the rows of the curve so far. best: the validation score of `best_state`.
    loss_sum, loss_count: sum and number of the losses since the last row.
    average: the running average of the parameters; empty if there is none.
    """

    fingerprint: str
    step: int
    state: State
    best_state: State
    optimizer: dict[str, Any]
    best: float
    history: list[dict[str, float]]
    loss_sum: float = 0.0
    loss_count: int = 0
    average: State = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """The .safetensors file that a run keeps its checkpoint in, and the fingerprint of all that its result depends on.

    The checkpoint of a run with another fingerprint is never resumed.
    """

    path: Path
    fingerprint: str


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint to a temporary name, then rename it."""
    tensors = {f"state.{name}": tensor for name, tensor in checkpoint.state.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in checkpoint.best_state.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in checkpoint.average.items()}
    for index, slots in checkpoint.optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{slot}": tensor for slot, tensor in slots.items()}
    meta = {
        "fingerprint": checkpoint.fingerprint,
        "step": checkpoint.step,
        "best": checkpoint.best,
        "history": checkpoint.history,
        "loss": [checkpoint.loss_sum, checkpoint.loss_count],
        "tensors": sorted(tensors),
    }
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, serialise(plain, {"checkpoint": json.dumps(meta)}))


class _Row(BaseModel):
    """A row of the curve."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")

    step: int
    val_psnr: float
    loss: float | None = None


class _Meta(BaseModel):
    """The facts about itself that a checkpoint holds."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    fingerprint: str
    step: Annotated[int, Field(ge=0)]
    best: float
    history: Annotated[list[_Row], Field(min_length=1)]
    loss: tuple[float, int]
    tensors: list[str]


def load(kept: Kept, model: Module | None = None) -> Checkpoint | None:
    """Load the run's checkpoint: the one at `kept.path`, or the one that another run has set aside.

    Args:
        kept: the run's.
        model: what is trained; a checkpoint that does not fit it counts as damaged.

    Returns:
        None if there is none, or if it is damaged.
    """
    for place in (kept.path, _aside(kept.path, kept.fingerprint)):
        try:
            found = _read(place)
            if found.fingerprint == kept.fingerprint:
                if model is not None:
                    _check(found, model)
                return found
        except (OSError, ValueError):
            continue
    return None


def set_aside(kept: Kept, model: Module) -> str | None:
    """Rename a checkpoint that is of no use to a run, so that the run does not write over it.

    A later run with its fingerprint resumes from it (`load`).

    Args:
        kept: the run's.
        model: what is trained.

    Returns:
        What was found and where it is now, in words; None if there is none, or if it is the run's own.
    """
    path = kept.path
    if not path.is_file():
        return None
    try:
        found = _read(path)
        if found.fingerprint == kept.fingerprint:
            _check(found, model)
            return None
        aside, what = _aside(path, found.fingerprint), f"of step {found.step} of other parameters, images or code"
    except (OSError, ValueError):
        aside, what = _aside(path, DAMAGED), "that is damaged"
    os.replace(path, aside)
    return f"found a checkpoint {what}, kept as {aside}"


def remove(kept: Kept) -> None:
    """Remove the run's checkpoint, a damaged one, and the folder if it is then empty, after the result is written."""
    for place in (kept.path, _aside(kept.path, kept.fingerprint), _aside(kept.path, DAMAGED)):
        place.unlink(missing_ok=True)
    with suppress(OSError):  # other runs' checkpoints are kept there, or there never was one
        kept.path.parent.rmdir()


def _aside(path: Path, fingerprint: str) -> Path:
    name = "".join(letter for letter in fingerprint if letter.isalnum())[:16]
    return path.with_stem(f"{path.stem}-{name}")


def _read(path: Path) -> Checkpoint:
    """Read a checkpoint; OSError or ValueError if it is not there or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            meta = _Meta.model_validate_json((file.metadata() or {}).get("checkpoint", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise ValueError(f"{path}: {error}, expected a checkpoint") from None
    if meta.tensors != sorted(tensors):
        raise ValueError(f"{path}: found other tensors, expected {len(meta.tensors)} that it names")
    slots: dict[int, State] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".", 2)
            slots.setdefault(int(index), {})[slot] = tensor
    return Checkpoint(
        fingerprint=meta.fingerprint,
        step=meta.step,
        state=_part(tensors, "state."),
        best_state=_part(tensors, "best."),
        optimizer={"state": slots},
        best=meta.best,
        history=[row.model_dump(exclude_none=True) for row in meta.history],
        loss_sum=meta.loss[0],
        loss_count=meta.loss[1],
        average=_part(tensors, "average."),
    )


def _check(point: Checkpoint, model: Module) -> None:
    """Raise ValueError if a checkpoint lacks a tensor of the model or its optimiser, or has one of another shape."""
    whole = _shapes(model.state_dict())
    trained = {name: parameter.shape for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not _shapes(point.state) == _shapes(point.best_state) == whole or _shapes(point.average) not in ({}, trained):
        raise ValueError("found other tensors, expected those of the model")
    slots = point.optimizer["state"]
    if slots.keys() != set(range(len(trained))) or any("step" not in slot for slot in slots.values()):
        raise ValueError("found another optimiser's state, expected Adam's of the model")
    for moment in ("exp_avg", "exp_avg_sq"):  # in the optimiser's order, which is not the model's
        found = [slot[moment].shape if moment in slot else torch.Size() for slot in slots.values()]
        if sorted(found) != sorted(trained.values()):
            raise ValueError("found another optimiser's state, expected Adam's of the model")


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def copy_state(module: Module) -> State:
    """Return a copy of a module's parameters on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def copy_trained(module: Module) -> State:
    """Return copies of the parameters that are trained."""
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


@contextmanager
def averaged(module: Module, average: State) -> Iterator[None]:
    """Give the module the averaged parameters within the block; an empty average changes nothing."""
    kept = {name: module.get_parameter(name).data for name in average}
    for name, tensor in average.items():
        module.get_parameter(name).data = tensor
    try:
        yield
    finally:
        for name, tensor in kept.items():
            module.get_parameter(name).data = tensor


def _part(tensors: State, prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
