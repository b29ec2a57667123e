"""The reference lookup: a weighted sum of the rows of the table around a point, in torch."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import embedding_bag

from lutra.model.layouts import Layout
from lutra.reference.simplex import locate


def lookup(taps: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """Compute `lutra.reference.lookup.lookup` on any device."""
    index, weight = locate(layout, taps)
    index, weight = index.flatten(0, -2), weight.flatten(0, -2)
    rows = embedding_bag(index, table, per_sample_weights=weight, mode="sum")
    return rows.reshape(*taps.shape[:-1], table.shape[1])
