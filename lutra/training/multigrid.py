"""Tables as sums over grids of several resolutions, so that training moves entries that a batch does not visit.

A batch visits few of a dense table's 83,521 entries, and each moves on its own. Written as the table plus coarser
tables interpolated at its nodes, the same function learns its coarse shape first and everywhere at once, as multigrid
methods do; what ships is the sum, an ordinary table.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lutra.model.layouts import DenseLayout
from lutra.reference.interpreter import LutModel
from lutra.reference.lookup import lookup
from lutra.reference.sampling import round_through
from lutra.reference.units import Table


class MultigridTable(Table):
    """A table with values of its own plus those of coarser dense grids, interpolated at its nodes."""

    nodes: Tensor

    def __init__(self, table: Table, intervals: Sequence[int]) -> None:
        """Add grids of these `intervals`, in bits, to a table; grids that are not coarser are left out."""
        super().__init__(table.layout, table.values.detach())
        device, values = table.values.device, table.values.shape[1]
        layouts = [DenseLayout(bits) for bits in intervals if bits > table.layout.interval]
        self.coarse = nn.ParameterList(torch.zeros(layout.entries, values, device=device) for layout in layouts)
        self.layouts = layouts
        self.register_buffer(
            "nodes", torch.from_numpy(table.layout.nodes()).to(device, torch.float32), persistent=False
        )

    def quantised(self) -> Tensor:
        """Return the sum as it ships: rounded and limited to int8, with a straight-through gradient."""
        total: Tensor = self.values
        for grid, layout in zip(self.coarse, self.layouts, strict=True):
            total = total + lookup(self.nodes, grid, layout)
        return round_through(total.clamp(-128, 127))


def with_grids(model: LutModel, intervals: Sequence[int]) -> LutModel:
    """Return a copy of a model of tables with a `MultigridTable` for every table: the same function, ready to train."""
    result = copy.deepcopy(model)
    for unit in result.lut_units():
        if isinstance(unit.function, Table):
            unit.function = MultigridTable(unit.function, intervals)
    return result


def without_grids(model: LutModel) -> LutModel:
    """Return a copy with an ordinary table, the sum, for every `MultigridTable`."""
    result = copy.deepcopy(model)
    for unit in result.lut_units():
        if isinstance(unit.function, MultigridTable):
            unit.function = Table(unit.function.layout, unit.function.quantised().detach())
    return result
