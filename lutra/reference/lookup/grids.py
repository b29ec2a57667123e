"""Resampling on a grid with a kernel for every pixel as one operator of torch, run by the compiled core on the CPU.

It is differentiable in the pixels and in the kernels' planes. The result and all gradients are the same for any number
of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lutra._core import core
from lutra.model.anysize import CORRELATION, CURVE, POLYNOMIAL, POWERS, STEEPNESS, Border, Grid


def means_on_grid(planes: Tensor, border: Border, grid: Grid, level: str = "") -> Tensor:
    """Compute `lutra.reference.resampling.resampled` on the CPU.

    Args:
        planes: (N, 4, H, W), the pixels and the kernel's three planes, 0..255.
        border: as in `lutra.model.anysize.Resample`.
        grid: where the outputs lie.
        level: the level of vector instructions; empty for the best.

    Returns:
        (N, rows, columns) float64.
    """
    found: Tensor = _Resampled.apply(planes, _built(border, level), grid)  # type: ignore[no-untyped-call]
    return found


class _Resampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, built: Any, grid: Grid) -> Tensor:
        ctx.built, ctx.axes, ctx.dtype = built, _axes(grid), planes.dtype
        ctx.planes = planes.detach().double().contiguous().numpy()
        means = torch.empty((len(planes), *grid.shape), dtype=torch.float64)
        built.means(ctx.planes, *ctx.axes, means.numpy(), torch.get_num_threads())
        ctx.means = means.numpy()
        return means

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slopes = torch.empty(ctx.planes.shape, dtype=torch.float64)
        gradient = gradients[0].contiguous().numpy()
        ctx.built.slopes(ctx.planes, *ctx.axes, ctx.means, gradient, slopes.numpy(), torch.get_num_threads())
        return slopes.to(ctx.dtype), None, None


def _axes(grid: Grid) -> tuple[Any, ...]:
    return grid.rows.first, grid.rows.distance, grid.columns.first, grid.columns.distance


@lru_cache(maxsize=16)
def _built(border: Border, level: str) -> Any:
    numbers = np.stack([STEEPNESS, CORRELATION, CURVE])
    return core.Resampler(numbers, POWERS, POLYNOMIAL, border == "replicate", level)
