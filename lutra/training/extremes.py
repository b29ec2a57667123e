"""Correct a model's tables at the two ends of its range, so that black stays black and white stays white.

Training images rarely hold areas that are entirely black or white. The entries for such areas may be some levels off,
which a page or a logo shows at once. The entries that such an area reads are changed until it is restored exactly.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from lutra.model.tasks import TASKS, Planes
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors
from lutra.reference.units import LutUnit, Table

ENDS: dict[Planes, tuple[int, int]] = {"each": (0, 255), "luma": (16, 235)}
"""Black and white in the planes that a model restores."""

_SIDE = 8
_ROUNDS = 16
_NEAR = range(-3, 4)
_ENOUGH = 0.45
"""Levels: less is missing, and rounding does the rest."""


def keep_extremes(model: LutModel, task: str) -> LutModel:
    """Return a copy that restores areas of black and of white exactly.

    In the last step, or in a model of any size in the step that makes the pixels, the entries that weigh most in a flat
    area are changed by as few levels as it takes. Where 8 bits cannot hold the change, the result comes as close as
    they allow. In a model of layers, the samples that a flat area reads in the last layer change by the same number for
    all inputs; direct tables stay as they are.

    Args:
        model: of tables; it is not changed.
        task: decides which planes the model restores, and so the levels of black and white.
    """
    result = copy.deepcopy(model).cpu()
    move: Callable[[LutModel, int], bool] = _move_samples
    if result.description.has_units:
        last = [result.unit(unit.name) for unit in result.description.unit_steps[_deciding(result)].units]
        if not all(isinstance(unit.function, Table) for unit in last):
            raise ValueError("model: found networks in its last step, expected tables")
        move = partial(_move, units=last)
    for _ in range(_ROUNDS):  # both ends may read the same entries
        if not any([move(result, level) for level in ENDS[TASKS[task].planes]]):
            break
    return result


def _deciding(model: LutModel) -> int:
    """Return the number of the step that makes the pixels of a flat area; kernels do not change it."""
    steps, resampling = model.description.unit_steps, model.description.any_size
    return next((n for n, step in enumerate(steps) if resampling and resampling.reads in step.writes), len(steps) - 1)


def _made(model: LutModel, flat: Tensor) -> Tensor:
    """Return the rounded result for a pixel of a flat image: a block of each colour."""
    if model.description.any_size:
        return model.planes(flat, _deciding(model) + 1)[model.description.any_size.reads][:, :1, :1].detach()
    scale = model.description.scale
    return model.restore(flat.to(torch.uint8))[0, :, :scale, :scale]


def _move(model: LutModel, level: int, units: list[LutUnit]) -> bool:
    """Move entries towards restoring a flat area of one level exactly; return whether anything changed."""
    flat = torch.full((1, model.description.colours, _SIDE, _SIDE), float(level))
    wrong = _made(model, flat) != level
    if not wrong.any():
        return False
    colour, row, column = (int(place) for place in wrong.nonzero()[0])
    tables = [unit.function.values for unit in units if isinstance(unit.function, Table)]
    kept = [table.requires_grad for table in tables]
    for table in tables:
        table.requires_grad_(True)
    with torch.enable_grad():
        result = _unrounded(model, flat)[colour, row, column]
        gradients = torch.autograd.grad(result, tables, allow_unused=True)
    for table, trained in zip(tables, kept, strict=True):
        table.requires_grad_(trained)
    found = [torch.zeros_like(t) if g is None else g for t, g in zip(tables, gradients, strict=True)]
    return _correct(tables, found, level - float(result.detach()))


def _move_samples(model: LutModel, level: int) -> bool:
    """Move the samples of the last layer that a flat area of one level reads; return whether anything changed.

    The layer divides by its number of inputs: one level more in every sample that is read is one level more in the sum.
    """
    last = [(step, layer) for step, layer in model.description.layers() if model.description.steps[-2] == step]
    function = model.layer(last[0][1].name) if last else None
    if not isinstance(function, Vectors) or not function.steps_are_one or last[0][0].divisor != function.form.inputs:
        return False
    scale, colours, samples = model.description.scale, model.description.colours, function.samples
    kept = samples.requires_grad
    with torch.enable_grad():
        samples.requires_grad_(True)
        found = model(torch.full((1, colours, _SIDE, _SIDE), float(level)))[0, :, :scale, :scale].flatten()
        wrong = found.detach().clamp(0, 255) != level
        places = [int(place) for place in wrong.nonzero()]
        gradients = [torch.autograd.grad(found[place], samples, retain_graph=True)[0] for place in places]
    samples.requires_grad_(kept)
    weights = (gradient.view(function.form.inputs, function.form.outputs, -1) for gradient in gradients)
    for place, weight in zip(places, weights, strict=True):  # rotations add other outputs: one of them is enough
        missing = level - float(found[place].detach())
        if _spread(samples.data.view_as(weight)[:, place], weight[:, place], missing):
            return True
    return False


def _spread(samples: Tensor, weights: Tensor, missing: float) -> bool:
    """Change the samples of an output that are read, as evenly as possible; return whether anything changed.

    A value that is interpolated between two samples changes by two levels at a time: with one, the values between the
    samples would end at a half, and round up or down.

    Args:
        samples: of the vectors of all inputs: (inputs, samples).
        weights: how much one more level in each of them adds to the result.
        missing: the number of levels by which the result has to change.
    """
    read = weights > 0
    whole = read.sum(dim=1) == 1
    unit, movers = (1, read & whole[:, None]) if whole.any() else (2, read)
    inputs = movers.any(dim=1).nonzero().flatten()
    if not len(inputs):
        return False
    levels = missing / float(weights.sum())
    total = len(samples) * (math.ceil(levels) if levels > 0 else math.floor(levels)) // unit
    each, rest = divmod(abs(total), len(inputs))
    before = samples.clone()
    for number, place in enumerate(inputs):
        by = math.copysign(unit * (each + (number < rest)), total)
        samples[place][movers[place]] = (_stored(before[place][movers[place]]) + by).clamp(-128, 127)
    return not torch.equal(before, samples)


def _unrounded(model: LutModel, flat: Tensor) -> Tensor:
    """Return the first pixel that the deciding step makes of a flat image, not rounded: a block of each colour."""
    last = _deciding(model)
    step = model.description.unit_steps[last]
    return model.sums(last, model.planes(flat, last))[:, 0, 0, 0] / step.divisor + step.offset


def _correct(tables: Sequence[Tensor], gradients: Sequence[Tensor], missing: float) -> bool:
    """Change one or two of the values that weigh most, just enough that less than half a level is missing."""
    up = missing > 0
    places = []
    for number, (table, gradient) in enumerate(zip(tables, gradients, strict=True)):
        stored = _stored(table.detach())
        free = gradient * (stored < 127 if up else stored > -128)
        weights, where = free.flatten().topk(2)
        places += [(float(weight), number, int(place)) for weight, place in zip(weights, where, strict=True)]
    (first, *one), (second, *two) = sorted(places, reverse=True)[:2]
    if first <= 0:
        return False
    about = round(missing / first)
    tried = [(abs(missing - k * first - j * second), k, j) for k in (about + n for n in _NEAR) for j in _NEAR]
    enough = [choice for choice in tried if choice[0] < _ENOUGH] or [min(tried)]
    _, k, j = min(enough, key=lambda choice: (abs(choice[1]) + abs(choice[2]), choice[0]))
    return any([_change(tables[number], place, by) for by, (number, place) in ((k, one), (j, two))])


@torch.no_grad()
def _change(table: Tensor, place: int, by: int) -> bool:
    values = table.view(-1)
    before = _stored(values[place])
    values[place] = (before + by).clamp(-128, 127)
    return bool(values[place] != before)


def _stored(values: Tensor) -> Tensor:
    return values.clamp(-128, 127).round()
