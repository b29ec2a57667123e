"""What moves a model's parameters along their gradients: Adam for tables, Adam among mixed channels for vectors.

A layer's vectors mix channels with each other, so the loss is steep along some sums of channels and flat along others.
Adam, which scales every entry by itself, is slow there. `RotatedAdam` finds those sums and scales along them.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Scales, Vectors
from lutra.reference.units import LEVELS, Table
from lutra.training.multigrid import MultigridVectors

VECTORS = (0.9, 0.99)
"""Decay rates of the moments for vectors, whose gradients change faster than those of tables."""
FINE, DECAY = 0.3, 0.01
"""Share of the rate of a vector's own samples next to coarser grids, and their decay: else vectors get rough."""
EVERY = 10
"""Steps between two computations of the directions among channels."""

Grid = tuple[int, int, int]
"""The shape of a parameter as (inputs, outputs, samples)."""


class _Light(torch.optim.Optimizer):
    """torch's optimiser without the import of torch's compiler, which takes two seconds and is not used."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)


class Adam(_Light, torch.optim.Adam):
    """torch's Adam."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class RotatedAdam(_Light):
    """Adam along the eigenvectors of each layer's gradients among its inputs and among its outputs.

    This is SOAP (Vyas et al., "SOAP: Improving and stabilizing Shampoo using Adam", ICLR 2025, algorithm 3) for the two
    axes of channels. The axis of samples keeps its own entries. Moments are those of Adam, kept with the outputs last;
    the second is one along the eigenvectors. A parameter without channels is moved by Adam as it is.

    Args:
        groups: dictionaries of `params`, `lr`, and `grids`, the shape of each parameter or None. Optional are `betas`
            and `weight_decay`, which is decoupled from the gradient, as in AdamW.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        """Keep the groups."""
        super().__init__(groups, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient: those of one shape together."""
        for group in self.param_groups:
            alike: dict[tuple[Grid | None, torch.Size, int], list[Tensor]] = {}
            for parameter, grid in zip(group["params"], group["grids"], strict=True):
                if parameter.grad is not None:
                    slots = self.state[parameter]
                    if not slots:
                        slots |= _no_slots(parameter, grid)
                    slots["step"] += 1
                    alike.setdefault((grid, parameter.shape, int(slots["step"])), []).append(parameter)
            for (grid, _, steps), parameters in alike.items():
                self._move(parameters, grid, steps, group)

    def _move(self, parameters: list[Tensor], grid: Grid | None, steps: int, group: dict[str, Any]) -> None:
        """Make the step of that number, the first being 1, with parameters of one shape."""
        first, second = group["betas"]
        slots = [self.state[parameter] for parameter in parameters]
        now = {name: torch.stack([one[name] for one in slots]) for name in slots[0] if name != "step"}
        gradient = torch.stack([parameter.grad for parameter in parameters if parameter.grad is not None])
        if grid:  # channels last: both are then turned by one product of matrices
            gradient = gradient.view(-1, *grid).transpose(2, 3).contiguous()
        mean = direction = now["exp_avg"].view(gradient.shape).lerp_(gradient, 1 - first)
        if grid:
            for side, flat in (("inputs", gradient.flatten(2)), ("outputs", gradient.flatten(1, 2).mT)):
                now[f"{side}_product"].lerp_(flat @ flat.mT, 1 - second)
                if steps % EVERY == 1:
                    now[f"{side}_basis"] = torch.linalg.eigh(now[f"{side}_product"]).eigenvectors
            inputs, outputs = now["inputs_basis"], now["outputs_basis"]
            gradient, direction = _turned(gradient, inputs.mT, outputs), _turned(mean, inputs.mT, outputs)
        square = now["exp_avg_sq"].view(gradient.shape).mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (square / (1 - second**steps)).sqrt_().add_(group["eps"]).mul_(1 - first**steps)
        move = direction / scale
        if grid:
            move = _turned(move, inputs, outputs.mT).transpose(2, 3)
        for index, (parameter, own) in enumerate(zip(parameters, slots, strict=True)):
            own |= {name: values[index] for name, values in now.items()}
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(move[index].reshape(parameter.shape), alpha=group["lr"])


def _no_slots(parameter: Tensor, grid: Grid | None) -> dict[str, Tensor]:
    """Return the state of a parameter before its first step."""
    names = {"exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
    for side, channels in zip(("inputs", "outputs"), grid or (), strict=False):
        names |= dict.fromkeys((f"{side}_product", f"{side}_basis"), torch.Size((channels, channels)))
    return {"step": torch.tensor(0.0)} | {name: parameter.new_zeros(shape) for name, shape in names.items()}


def _turned(values: Tensor, inputs: Tensor, outputs: Tensor) -> Tensor:
    """Return values, (parameters, inputs, samples, outputs), times a matrix on the left and one on the right."""
    turned = (inputs @ values.flatten(2)).view(values.shape)
    return (turned.flatten(1, 2) @ outputs).view(values.shape)


def optimiser_of(model: LutModel, rate: float) -> torch.optim.Optimizer:
    """Return what trains a model's parameters at a rate, 1 being the full range 0..255.

    Tables and vectors learn in levels, all else in units of the full range.
    """
    tables = [unit.function for unit in model.lut_units() if isinstance(unit.function, Table)]
    vectors = [function for function in model.functions_by_name().values() if not isinstance(function, Scales)]
    in_tables, in_vectors = ({id(p) for one in functions for p in one.parameters()} for functions in (tables, vectors))
    fine = {id(one.samples) for one in vectors if isinstance(one, MultigridVectors)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    slow = {"lr": FINE * rate * LEVELS, "betas": VECTORS, "weight_decay": DECAY}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) in in_tables], "lr": rate * LEVELS},
        {"params": [p for p in trained if id(p) in in_vectors - fine], "lr": rate * LEVELS, "betas": VECTORS},
        {"params": [p for p in trained if id(p) in fine], **slow},
        {"params": [p for p in trained if id(p) not in in_tables | in_vectors], "lr": rate},
    ]
    groups = [group for group in groups if group["params"]]
    grids = {
        id(p): (one.form.inputs, one.form.outputs, p.numel() // (one.form.inputs * one.form.outputs))
        for one in vectors
        if isinstance(one, Vectors) and one.steps_are_one
        for p in one.parameters()
    }
    if not grids:
        return Adam(groups, fused=True, decoupled_weight_decay=True)
    for group in groups:
        group["grids"] = [grids.get(id(p)) for p in group["params"]]
    return RotatedAdam(groups)
