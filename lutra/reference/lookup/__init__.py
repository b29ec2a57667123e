"""Differentiable lookup: taps and a table in, interpolated values out. Several implementations compute the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from lutra._core import available
from lutra.model.layouts import DenseLayout, Layout, nodes_per_axis
from lutra.reference.lookup import compiled, reference

__all__ = ["Implementation", "chosen", "lookup", "using"]

Implementation = Literal["reference", "compiled", "gpu"]
_forced: Implementation | None = None


def lookup(taps: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """Interpolate a table at real or integer points; differentiable in the table and in the taps.

    Args:
        taps: (..., 4) float32 or float64, 0..256; (..., 3) for a table of three axes.
        table: (layout.entries, values) of the same type, in levels (-128..127).
        layout: how the table's entries are laid out.

    Returns:
        (..., values), in levels. For integer taps and tables it is exact: every term is a multiple of 1 / q.

    Raises:
        ValueError: the table's shape does not fit the layout.
    """
    if table.ndim != 2 or table.shape[0] != layout.entries:
        raise ValueError(f"table of shape {tuple(table.shape)}, expected ({layout.entries}, values)")
    implementation = chosen(taps)
    if taps.shape[-1] == 3 and implementation == "gpu":
        whole = DenseLayout(layout.interval)  # the fourth value is 0 everywhere, so only the nodes at 0 count
        nodes = nodes_per_axis(layout.interval)
        filled = torch.nn.functional.pad(table[:, None], (0, 0, 0, nodes - 1)).flatten(0, 1)
        return lookup(torch.nn.functional.pad(taps, (0, 1)), filled, whole)
    if implementation == "compiled":
        return compiled.lookup(taps, table, layout)
    if implementation == "gpu":
        from lutra.reference.lookup import gpu  # needs Triton

        return gpu.lookup(taps, table, layout)
    return reference.lookup(taps, table, layout)


def chosen(tensor: Tensor) -> Implementation:
    """Return the implementation for a tensor's device and type: the fastest there is, or the one that `using` names."""
    if _forced is not None:
        return _forced
    if tensor.device.type == "cpu" and available():
        return "compiled"
    if tensor.device.type == "cuda" and tensor.dtype == torch.float32 and _has_triton():
        return "gpu"
    return "reference"


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


@contextmanager
def using(implementation: Implementation) -> Iterator[None]:
    """Use one implementation for all lookups of the process within the block."""
    global _forced
    before, _forced = _forced, implementation
    try:
        yield
    finally:
        _forced = before
