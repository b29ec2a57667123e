"""Weighted sums of table rows with a backward pass that visits the table once a vertex.

embedding_bag's own backward sorts every index first: on a CPU that takes thirty times as long as the forward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class Blend(torch.autograd.Function):
    """rows = sum over vertices of weight * table[index]: `Blend.apply(table, index, weight)`.

    table: (E, V); index: (M, 5) int64; weight: (M, 5); returns (M, V). Differentiable in the table and the weights.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """Blend the rows."""
        ctx.save_for_backward(table, index, weight)
        return embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        """Spread the gradient over the rows that were blended, and over the weights."""
        table, index, weight = ctx.saved_tensors
        (gradient,) = gradients
        to_table = to_weight = None
        if ctx.needs_input_grad[0]:
            to_table = torch.zeros_like(table)
            for vertex in range(index.shape[1]):
                to_table.index_add_(0, index[:, vertex], gradient * weight[:, vertex, None])
        if ctx.needs_input_grad[2]:
            columns = [(table[index[:, vertex]] * gradient).sum(dim=1) for vertex in range(index.shape[1])]
            to_weight = torch.stack(columns, dim=1)
        return to_table, None, to_weight
