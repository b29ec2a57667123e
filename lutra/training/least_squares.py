"""The best tables of a model's last step for a set of images: a linear problem, solved by conjugate gradients.

The last step's sums are linear in its tables' entries, so the entries with the least squared error against the HR
images solve sparse normal equations. A smoothness term on the change of the tables, over the edges of their grids,
carries it to entries that the images never visit. Rounding to whole levels comes afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lutra.model.layouts import Layout
from lutra.reference.interpreter import LutModel
from lutra.reference.units import Table

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""LR planes (N, H, W) and HR planes (N, scale * H, scale * W)."""

PATIENCE = 3
"""Iterations without a better held-out error after which the solution is final."""


@dataclass(frozen=True)
class Progress:
    """Mean squared errors after an iteration, in squared levels, of the images and of those held out."""

    iteration: int
    error: float
    held_out: float


def solve(
    model: LutModel,
    images: Sequence[Batch],
    held_out: Sequence[Batch],
    *,
    iterations: int = 30,
    smoothness: float = 2.0,
    report: Callable[[Progress], None] = lambda progress: None,
) -> LutModel:
    """Replace the last step's tables by those of least squared error, and keep everything else.

    Args:
        model: of tables; it is not changed. Its last step's tables are where the solution starts from.
        images: what to fit.
        held_out: images that decide when to stop; the iterate with the least error on them is returned.
        iterations: at most; each is one pass over the images.
        smoothness: weight of the squared differences of the change between neighbouring entries, against the
            squared errors of the images' pixels.
        report: called after every iteration.

    Returns:
        A copy of the model with the new tables, rounded to whole levels.

    Raises:
        ValueError: a unit of the last step is not a table, the last step makes kernels, or there are no images.
    """
    if model.description.any_size:
        raise ValueError(f"least squares fits pixels, and the last tables of {model.description.family} make kernels")
    if not images or not held_out:
        raise ValueError("least squares needs images to fit and images to hold out")
    problem = _Problem(model, images)
    check = _Problem(model, held_out)
    start = problem.start()
    error_before = check.error(start)
    change = [torch.zeros_like(table) for table in start]
    best, best_error, best_iteration = change, error_before, 0

    residual, error = problem.gradient(start)
    scale = [(weight + smoothness * edges.degrees()).clamp(min=1e-3) for weight, edges in problem.diagonals()]
    preconditioned = [r / s for r, s in zip(residual, scale, strict=True)]
    direction, rho = preconditioned, _dot(residual, preconditioned)
    for iteration in range(1, iterations + 1):
        image = problem.normal(direction, smoothness)
        step = rho / max(_dot(direction, image), 1e-30)
        change = [c + step * d for c, d in zip(change, direction, strict=True)]
        residual = [r - step * i for r, i in zip(residual, image, strict=True)]
        preconditioned = [r / s for r, s in zip(residual, scale, strict=True)]
        rho, before = _dot(residual, preconditioned), rho
        direction = [p + rho / before * d for p, d in zip(preconditioned, direction, strict=True)]
        held = check.error([s + c for s, c in zip(start, change, strict=True)])
        # The gain of the conjugate gradients, including the smoothness term.
        error -= step * before / problem.values / problem.step.divisor**2
        report(Progress(iteration, error, held))
        if held < best_error:
            best, best_error, best_iteration = change, held, iteration
        elif iteration - best_iteration >= PATIENCE:
            break
    return problem.with_tables([s + c for s, c in zip(start, best, strict=True)])


class _Edges:
    """The pairs of neighbouring nodes of a layout's grids."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        first, second = layout.edges()
        self.first, self.second = torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
        self.entries = layout.entries

    def laplacian(self, table: Tensor) -> Tensor:
        difference = table[self.first] - table[self.second]
        result = torch.zeros_like(table).index_add_(0, self.first, difference)
        return result.index_add_(0, self.second, difference, alpha=-1)

    def degrees(self) -> Tensor:
        both = torch.cat([self.first, self.second])
        return torch.bincount(both, minlength=self.entries).float().unsqueeze(1)


class _Problem:
    """Sums of the last step as a linear operator on its tables, over a set of images."""

    def __init__(self, model: LutModel, images: Sequence[Batch]) -> None:
        self.model, self.images = model, images
        self.number = len(model.description.unit_steps) - 1
        self.step = model.description.unit_steps[-1]
        # Compute sums without rounding: the tables are real numbers.
        linear = copy.deepcopy(model)
        self.linear = LutModel(replace(model.description, rounding="exact"), linear.by_name())
        self.tables = [_RealTable.of(self.linear, unit.name) for unit in self.step.units]
        self.device = self.tables[0].values.device
        self.edges = [_Edges(table.layout, self.device) for table in self.tables]
        self.values = sum(hr.size for _, hr in images)
        self.planes = [self._planes(lr) for lr, _ in images]

    def _planes(self, lr: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Return the planes that the earlier steps make of the images, a byte a pixel."""
        image = torch.from_numpy(lr).to(self.device, torch.float32).unsqueeze(1)
        with torch.no_grad():
            planes = self.model.planes(image, self.number)
        read = {name for unit in self.step.units for name in unit.planes}
        return {name: plane.to(torch.uint8) for name, plane in planes.items() if name in read}

    def _sums(self, number: int) -> Tensor:
        planes = {name: plane.float() for name, plane in self.planes[number].items()}
        return self.linear.sums(self.number, planes)

    def _target(self, number: int) -> Tensor:
        """Return the sums that would restore the HR images exactly."""
        hr = torch.from_numpy(np.ascontiguousarray(self.images[number][1])).to(self.device, torch.float32)
        count, height, width = hr.shape
        side = self.step.upscale
        pixels = hr.reshape(count, height // side, side, width // side, 1, side).permute(0, 1, 3, 4, 2, 5)
        return (pixels - self.step.offset) * self.step.divisor

    def start(self) -> list[Tensor]:
        return [table.values.detach().clone() for table in self.tables]

    def _set(self, tables: Sequence[Tensor]) -> None:
        for table, values in zip(self.tables, tables, strict=True):
            table.values.data.copy_(values)

    def _pass(self, weigh: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        """Apply the transposed operator to what `weigh` makes of each batch's sums, and return the total."""
        parameters = [table.values for table in self.tables]
        total = [torch.zeros_like(parameter) for parameter in parameters]
        for number in range(len(self.images)):
            sums = self._sums(number)
            parts = torch.autograd.grad(sums, parameters, weigh(number, sums.detach()))
            for whole, part in zip(total, parts, strict=True):
                whole += part
        return total

    def gradient(self, tables: Sequence[Tensor]) -> tuple[list[Tensor], float]:
        """Return the right-hand side of the normal equations of the change, and the mean squared error of `tables`."""
        self._set(tables)
        squares = 0.0

        def residual(number: int, sums: Tensor) -> Tensor:
            nonlocal squares
            difference = self._target(number) - sums
            squares += float(difference.square().sum(dtype=torch.float64))
            return difference

        found = self._pass(residual)
        return found, squares / self.values / self.step.divisor**2

    def normal(self, tables: Sequence[Tensor], smoothness: float) -> list[Tensor]:
        """Return the matrix of the normal equations times `tables`."""
        self._set(tables)
        found = self._pass(lambda number, sums: sums)
        return [f + smoothness * e.laplacian(t) for f, e, t in zip(found, self.edges, tables, strict=True)]

    def diagonals(self) -> list[tuple[Tensor, _Edges]]:
        """Return the weight of every entry in all sums: about the diagonal of the normal equations."""
        weights = self._pass(lambda number, sums: torch.ones_like(sums))
        return list(zip(weights, self.edges, strict=True))

    @torch.no_grad()
    def error(self, tables: Sequence[Tensor]) -> float:
        """Return the mean squared error of the images, in squared levels, before rounding and clipping."""
        self._set(tables)
        squares = 0.0
        for number in range(len(self.images)):
            difference = self._target(number) - self._sums(number)
            squares += float(difference.square().sum(dtype=torch.float64))
        return squares / self.values / self.step.divisor**2

    def with_tables(self, tables: Sequence[Tensor]) -> LutModel:
        result = copy.deepcopy(self.model)
        for unit, values in zip(self.step.units, tables, strict=True):
            function = result.unit(unit.name).function
            assert isinstance(function, Table)
            result.unit(unit.name).function = Table(function.layout, values.round().clamp(-128, 127))
        return result


class _RealTable(Table):
    """A table of real numbers, used without rounding."""

    def quantised(self) -> Tensor:
        return self.values

    @staticmethod
    def of(model: LutModel, name: str) -> _RealTable:
        """Replace a unit's table with one of real numbers."""
        function = model.unit(name).function
        if not isinstance(function, Table):
            raise ValueError(f"unit '{name}' is no table: least squares fits the tables of the last step")
        table = _RealTable(function.layout, function.quantised().detach())
        model.unit(name).function = table
        return table


def _dot(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    return sum(float((a.double() * b.double()).sum()) for a, b in zip(first, second, strict=True))
