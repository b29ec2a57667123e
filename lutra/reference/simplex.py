"""Simplex interpolation in 4-D, or in 3-D by tetrahedra: the readable reference that defines every lookup, in torch."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lutra.model.layouts import DiagonalLayout, Layout, nodes_per_axis


def simplex(taps: Tensor, interval: int) -> tuple[Tensor, Tensor]:
    """Return the vertices of the simplex around each point of the dense grid, and their weights.

    The remainders of a, b, c, d are sorted descending, f1 >= f2 >= f3 >= f4; the walk from the base node adds one
    axis at a time in that order, and the five vertices weigh (q - f1, f1 - f2, f2 - f3, f3 - f4, f4) / q
    (SR-LUT, CVPR 2021, section 3.3 and supplement). In a tie, the vertices that depend on the order weigh zero.
    Three axes have four vertices in the same way.

    Args:
        taps: (..., axes) floating point, 0..256, of 4 axes or 3; the weights carry its gradient.
        interval: bits k of the grid step q = 2^k.

    Returns:
        index (..., axes + 1) int64 into the dense grid, weight (..., axes + 1) of the taps' dtype, summing to 1.
    """
    step = 2**interval
    side = nodes_per_axis(interval)
    # 256 belongs to the last cell, at its end.
    base = torch.div(taps.detach(), step, rounding_mode="floor").clamp(max=side - 2)
    remainder = (taps - base * step) / step
    ordered, order = remainder.sort(dim=-1, descending=True, stable=True)
    strides = torch.tensor([side**power for power in reversed(range(taps.shape[-1]))], device=taps.device)
    start = (base.long() * strides).sum(dim=-1, keepdim=True)
    index = torch.cat([start, start + strides[order].cumsum(dim=-1)], dim=-1)
    above = torch.cat([torch.ones_like(ordered[..., :1]), ordered], dim=-1)
    below = torch.cat([ordered, torch.zeros_like(ordered[..., :1])], dim=-1)
    return index, above - below


@lru_cache(maxsize=16)
def _directory(layout: DiagonalLayout, device: torch.device) -> Tensor:
    return torch.from_numpy(layout.directory()).to(device)


def locate(layout: Layout, taps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the five entries of a table that each point blends, or the four of three axes, and their weights.

    Args:
        layout: how the table is stored.
        taps: (..., axes) floating point, 0..255.

    Returns:
        index (..., axes + 1) int64 into the table's entries, weight (..., axes + 1).
    """
    index, weight = simplex(taps, layout.interval)
    if not isinstance(layout, DiagonalLayout):
        return index, weight
    bound = taps.detach()
    distance = (bound[..., 1 : 1 + layout.bound_axes] - bound[..., :1]).abs()
    near = (distance <= layout.width * 2**layout.interval).all(dim=-1, keepdim=True)
    coarse_index, coarse_weight = simplex(taps, layout.coarse)
    # The directory is read with far points' indices too; torch.where then drops them. A vertex that the diagonal part
    # lacks weighs zero; for the gradient's sake, the one before it in the walk takes its place.
    found = _directory(layout, taps.device)[index]
    walk = [found[..., 0].clamp(min=0)]
    for vertex in range(1, 5):
        walk.append(torch.where(found[..., vertex] < 0, walk[-1], found[..., vertex]))
    return (
        torch.where(near, torch.stack(walk, dim=-1), coarse_index + layout.diagonal_entries),
        torch.where(near, weight, coarse_weight),
    )
