"""The tables of residuals, and how a model of them restores (HKLUT): real numbers in float32, in the order stated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lutra.model.description import Description, DirectTable, Residual
from lutra.reference.sampling import round_through, shifted

ROTATIONS = 4


class DirectEntries(nn.Module):
    """The entries of a direct table: `values`, (entries, upscale * upscale), in levels."""

    def __init__(self, step: Residual, table: DirectTable, values: Tensor | None = None) -> None:
        """Keep the `values`, or zeros."""
        super().__init__()
        start = torch.zeros(step.entries(table), step.upscale**2) if values is None else values
        self.values = nn.Parameter(start.to(torch.float32).clone())

    def quantised(self) -> Tensor:
        """Return the values as they ship: rounded and limited to int8, with a straight-through gradient."""
        return round_through(self.values.clamp(-128, 127))


def restored(image: Tensor, description: Description, functions: Mapping[str, DirectEntries]) -> Tensor:
    """Return what a model of residuals makes of planes, in levels, not rounded: (N, 1, scale * H, scale * W).

    Args:
        image: (N, 1, H, W), integers 0..255.
        description: the model.
        functions: the entries of each table, by its name.
    """
    state = _divided(image[:, 0].float(), 255)
    for step in description.steps:
        assert isinstance(step, Residual)
        state = _enlarged(state, step, functions)
    return (state * 255).unsqueeze(1)


def _enlarged(state: Tensor, step: Residual, functions: Mapping[str, DirectEntries]) -> Tensor:
    """Return the state (N, H, W) after a step: (N, upscale * H, upscale * W), in 0..1."""
    whole = torch.floor(state.detach() * 255).long()
    low = whole & ((1 << step.low_bits) - 1)
    added: Tensor | None = None
    for bits, plane in (("high", whole >> step.low_bits), ("low", low)):
        tables = [table for table in step.tables if table.bits == bits]
        if tables:
            total = torch.stack([_summed(plane, step, table, functions[table.name]) for table in tables]).sum(0)
            share = _divided(_divided(total, len(tables)), 255)
            added = share if added is None else added + share
    assert added is not None
    n, height, width, r, _ = added.shape
    grown = added.permute(0, 1, 3, 2, 4).reshape(n, height * r, width * r)
    return (grown + state.repeat_interleave(r, 1).repeat_interleave(r, 2)).clamp(0, 1)


def _summed(plane: Tensor, step: Residual, table: DirectTable, entries: DirectEntries) -> Tensor:
    """Return a table's values of a plane (N, H, W) of bits, summed over the rotations: (N, H, W, upscale, upscale)."""
    levels = step.levels(table)
    taps = shifted(plane, table.taps, ROTATIONS, table.padding)
    weights = torch.tensor([levels**place for place in reversed(range(len(table.taps)))], device=plane.device)
    found = entries.quantised()[(taps * weights).sum(-1)]
    found = found.reshape(*found.shape[:-1], step.upscale, step.upscale)
    turned = [torch.rot90(one, -rotation, dims=(-2, -1)) for rotation, one in enumerate(found)]
    return torch.stack(turned).sum(0)  # whole numbers, whose sum is exact


def _divided(x: Tensor, divisor: int) -> Tensor:
    """Return a quotient rounded correctly; on a GPU, torch multiplies by the reciprocal of a divisor on the CPU."""
    return x / torch.tensor(float(divisor), device=x.device)
