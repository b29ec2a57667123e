"""The reference lookup: a weighted sum of five rows of the table, in torch."""

from __future__ import annotations

from torch import Tensor

from lutra.layouts import Layout
from lutra.lookup.blend import Blend
from lutra.simplex import locate


def lookup(taps: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """Interpolate a table at real or integer points; differentiable in the table and in the taps.

    Args:
        taps: (..., 4) float32 or float64, 0..255.
        table: (layout.entries, values) of the same dtype, in levels (-128..127).
        layout: how the table's entries are laid out.

    Returns:
        (..., values), in levels. For integer taps it is exact: every term is a multiple of 1 / q.

    Raises:
        ValueError: the table's shape does not fit the layout.
    """
    if table.ndim != 2 or table.shape[0] != layout.entries:
        raise ValueError(f"table of shape {tuple(table.shape)}, expected ({layout.entries}, values)")
    index, weight = locate(layout, taps)
    rows: Tensor = Blend.apply(table, index.reshape(-1, 5), weight.reshape(-1, 5))  # type: ignore[no-untyped-call]
    return rows.reshape(*taps.shape[:-1], table.shape[1])
