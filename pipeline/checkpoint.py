"""Checkpoints of a training: written whole, resumed exactly, and only by the run they belong to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from lutra.files import write_whole

State = dict[str, Tensor]


@dataclass
class Checkpoint:
    """Where a training stands after `step` optimiser steps.

    fingerprint: of everything the result depends on; a checkpoint of another run is not resumed.
    history: the rows of the curve so far. best: the validation score of `best_state`.
    loss_sum, loss_count: of the steps since the last row.
    average: the running average of the parameters, empty for none.
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
        "groups": checkpoint.optimizer["param_groups"],
    }
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, serialise(plain, {"checkpoint": json.dumps(meta)}))


def load(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`; None if there is none, or if it is damaged or another run's."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            meta: Mapping[str, Any] = json.loads((file.metadata() or {}).get("checkpoint", "{}"))
            if meta.get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, json.JSONDecodeError):
        return None
    slots: dict[int, State] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".", 2)
            slots.setdefault(int(index), {})[slot] = tensor
    return Checkpoint(
        fingerprint=fingerprint,
        step=meta["step"],
        state=_part(tensors, "state."),
        best_state=_part(tensors, "best."),
        optimizer={"state": slots, "param_groups": meta["groups"]},
        best=meta["best"],
        history=list(meta["history"]),
        loss_sum=meta["loss"][0],
        loss_count=meta["loss"][1],
        average=_part(tensors, "average."),
    )


def remove(path: Path) -> None:
    """Remove the checkpoint's folder once the training's result is written."""
    shutil.rmtree(path.parent, ignore_errors=True)


def copy_state(module: torch.nn.Module) -> State:
    """A copy of a module's parameters on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def _part(tensors: State, prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
