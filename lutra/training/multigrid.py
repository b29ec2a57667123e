"""Tables as sums over grids of several resolutions, so that training also moves entries that a batch does not visit.

A batch visits few of a dense table's 83,521 entries, and each moves on its own. Written as the table plus coarser
tables interpolated at its nodes, the same function learns its coarse shape first and everywhere at once, as multigrid
methods do; the sum, an ordinary table, is what ships.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lutra.model.layouts import DenseLayout, nodes_per_axis
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors
from lutra.reference.lookup import lookup
from lutra.reference.sampling import round_through
from lutra.reference.units import Table

LEAST = 8
"""Vectors of that many levels or fewer need no grids: a batch visits all of them."""


class MultigridTable(Table):
    """A table with values of its own plus those of coarser dense grids, interpolated at its nodes."""

    nodes: Tensor

    def __init__(self, table: Table, intervals: Sequence[int]) -> None:
        """Add grids of these `intervals`, in bits, to a table; grids that are not coarser are left out."""
        super().__init__(table.layout, table.values.detach())
        device, values = table.values.device, table.values.shape[1]
        axes = table.layout.nodes().shape[1]
        layouts = [DenseLayout(bits, axes) for bits in intervals if bits > table.layout.interval]
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


class MultigridVectors(Vectors):
    """Vectors with samples of their own plus those of coarser grids, interpolated at their samples.

    Each vector has as many coarse nodes as a table has along an axis at these intervals: 17 at 4 bits, 3 at 7.
    """

    weights: Tensor

    def __init__(self, vectors: Vectors, intervals: Sequence[int]) -> None:
        """Add grids of these `intervals`, in bits, to the vectors; grids that are not coarser are left out."""
        super().__init__(vectors.layout, vectors.form, vectors.samples.detach())
        counts = vectors.layout.counts(vectors.form).ravel()
        weights = _hats(int(counts[0]), sorted(nodes for nodes in map(nodes_per_axis, intervals) if nodes < counts[0]))
        self.coarse = nn.Parameter(torch.zeros(len(counts), weights.shape[1], device=vectors.samples.device))
        self.register_buffer("weights", weights.to(vectors.samples.device), persistent=False)

    def quantised(self) -> Tensor:
        """Return the sum as it ships: rounded and limited to int8, with a straight-through gradient."""
        total = self.samples + (self.coarse @ self.weights.T).flatten()
        return round_through(total.clamp(-128, 127))


def _hats(samples: int, grids: Sequence[int]) -> Tensor:
    """Return the weights of the nodes of all grids at each sample, nodes evenly spaced: (samples, nodes)."""
    place = np.arange(samples)
    columns = [np.interp(place, np.linspace(0, samples - 1, nodes), row) for nodes in grids for row in np.eye(nodes)]
    return torch.from_numpy(np.array(columns, np.float32).reshape(-1, samples).T.copy())


def with_grids(model: LutModel, intervals: Sequence[int]) -> LutModel:
    """Return a copy of a model of tables with a `MultigridTable` for every table: the same function, ready to train."""
    result = copy.deepcopy(model)
    for unit in result.lut_units():
        if isinstance(unit.function, Table):
            unit.function = MultigridTable(unit.function, intervals)
    for name, function in result.layers_by_name().items():
        if isinstance(function, Vectors) and function.steps_are_one and function.form.levels > LEAST:
            result.replace_function(name, MultigridVectors(function, intervals))
    return result


def without_grids(model: LutModel) -> LutModel:
    """Return a copy with an ordinary table, the sum, for every `MultigridTable`."""
    result = copy.deepcopy(model)
    for unit in result.lut_units():
        if isinstance(unit.function, MultigridTable):
            unit.function = Table(unit.function.layout, unit.function.quantised().detach())
    for name, function in result.layers_by_name().items():
        if isinstance(function, MultigridVectors):
            result.replace_function(name, Vectors(function.layout, function.form, function.quantised().detach()))
    return result
