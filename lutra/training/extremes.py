"""Correct a model's tables at the two ends of its range, so that black stays black and white stays white.

Training images rarely hold areas that are black or white all over. A table's entries there may be some levels off, and
a page or a logo shows it at once. The entries that such an area reads are moved until it comes out as it went in.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from lutra.model.tasks import TASKS, Planes
from lutra.reference.interpreter import LutModel
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

    In the last step, the entries that weigh most in a flat area are changed by as few levels as it takes. Where
    8 bits do not hold the change, the result stays as near as they allow. A model of layers stays as it is: each of
    its vectors is read everywhere, not in flat areas alone.

    Args:
        model: of tables; it is not changed.
        task: decides which planes the model restores, and so the levels of black and white.
    """
    result = copy.deepcopy(model).cpu()
    if not result.description.has_units:
        return result
    last = [result.unit(unit.name) for unit in result.description.unit_steps[-1].units]
    if not all(isinstance(unit.function, Table) for unit in last):
        raise ValueError("model: found networks in its last step, expected tables")
    for level in ENDS[TASKS[task].planes]:
        for _ in range(_ROUNDS):
            if not _move(result, last, level):
                break
    return result


def _move(model: LutModel, units: list[LutUnit], level: int) -> bool:
    """Move entries towards restoring a flat area of one level exactly; return whether anything changed."""
    flat, scale = torch.full((1, 1, _SIDE, _SIDE), level), model.description.scale
    wrong = model.restore(flat.to(torch.uint8))[0, 0, :scale, :scale] != level
    if not wrong.any():
        return False
    row, column = (int(place) for place in wrong.nonzero()[0])
    tables = [unit.function.values for unit in units if isinstance(unit.function, Table)]
    kept = [table.requires_grad for table in tables]
    for table in tables:
        table.requires_grad_(True)
    with torch.enable_grad():
        result = _unrounded(model, flat.float())[row, column]
        gradients = torch.autograd.grad(result, tables, allow_unused=True)
    for table, trained in zip(tables, kept, strict=True):
        table.requires_grad_(trained)
    found = [torch.zeros_like(t) if g is None else g for t, g in zip(tables, gradients, strict=True)]
    return _correct(tables, found, level - float(result.detach()))


def _unrounded(model: LutModel, flat: Tensor) -> Tensor:
    """Return the first pixel that the last step makes of a flat image, before it is rounded: (scale, scale)."""
    last = len(model.description.unit_steps) - 1
    step = model.description.unit_steps[last]
    return model.sums(last, model.planes(flat, last))[0, 0, 0, 0] / step.divisor + step.offset


def _correct(tables: Sequence[Tensor], gradients: Sequence[Tensor], missing: float) -> bool:
    """Change one or two of the values that weigh most, as little as it takes to have less than half a level missing."""
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
