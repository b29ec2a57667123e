"""Lookups on a GPU: one Triton kernel that finds a point's simplex and blends it, and one for the gradients.

TRITON_INTERPRET=1 runs both on the CPU, slowly, for tests. Gradients of a table are added up atomically: on a GPU
their last bits may differ from run to run.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

import torch
import triton
import triton.language as tl
from torch import Tensor

from lutra.model.layouts import DenseLayout, DiagonalLayout, Dimensions, Layout

POINTS = 64
"""Points that a program handles."""


@triton.jit
def _cell(tap, scale, last):
    return tl.minimum(tl.maximum((tap * scale).to(tl.int32), 0), last)


@triton.jit
def _key(tap, cell, scale, axis: tl.constexpr):
    # Remainders order the axes; two bits of each give way to its axis, the earlier one first.
    remainder = tap * scale - cell.to(tl.float32)
    return (remainder.to(tl.int32, bitcast=True) & -4) | (3 - axis)


@triton.jit
def _stride(axis, side):
    outer = tl.where(axis == 0, side * side * side, side * side)
    return tl.where(axis < 2, outer, tl.where(axis == 2, side, 1))


@triton.jit
def _vertex(place, before, near, directory, entries, diagonal: tl.constexpr):
    # Fine nodes are looked up in the directory; where there is none, the vertex before takes its place.
    if diagonal:
        found = tl.load(directory + tl.where(near, place, 0))
        return tl.where(near, tl.where(found < 0, before, found), place + entries)
    return place


@triton.jit
def _locate(
    taps, point, inside, directory, entries,
    interval: tl.constexpr, coarse: tl.constexpr, width: tl.constexpr, axes: tl.constexpr,
):  # fmt: skip
    """Five entries, five weights, the axis that the walk takes from each of the first four, and cells a level."""
    a = tl.load(taps + point * 4, mask=inside, other=0.0)
    b = tl.load(taps + point * 4 + 1, mask=inside, other=0.0)
    c = tl.load(taps + point * 4 + 2, mask=inside, other=0.0)
    d = tl.load(taps + point * 4 + 3, mask=inside, other=0.0)
    diagonal: tl.constexpr = coarse > 0
    near = tl.full(a.shape, True, tl.int1)
    side = tl.full(a.shape, (1 << (8 - interval)) + 1, tl.int32)
    scale = tl.full(a.shape, 1.0 / (1 << interval), tl.float32)
    if diagonal:
        reach = 1.0 * (width << interval)
        near = tl.abs(a - b) <= reach
        if axes > 1:
            near = near & (tl.abs(a - c) <= reach)
        if axes > 2:
            near = near & (tl.abs(a - d) <= reach)
        side = tl.where(near, side, (1 << (8 - coarse)) + 1)
        scale = tl.where(near, scale, 1.0 / (1 << coarse))
    na, nb = _cell(a, scale, side - 2), _cell(b, scale, side - 2)
    nc, nd = _cell(c, scale, side - 2), _cell(d, scale, side - 2)
    k1, k2 = _key(a, na, scale, 0), _key(b, nb, scale, 1)
    k3, k4 = _key(c, nc, scale, 2), _key(d, nd, scale, 3)
    k1, k2 = tl.maximum(k1, k2), tl.minimum(k1, k2)
    k3, k4 = tl.maximum(k3, k4), tl.minimum(k3, k4)
    k1, k3 = tl.maximum(k1, k3), tl.minimum(k1, k3)
    k2, k4 = tl.maximum(k2, k4), tl.minimum(k2, k4)
    k2, k3 = tl.maximum(k2, k3), tl.minimum(k2, k3)
    x1, x2, x3, x4 = 3 - (k1 & 3), 3 - (k2 & 3), 3 - (k3 & 3), 3 - (k4 & 3)
    f1 = (k1 & -4).to(tl.float32, bitcast=True)
    f2 = (k2 & -4).to(tl.float32, bitcast=True)
    f3 = (k3 & -4).to(tl.float32, bitcast=True)
    f4 = (k4 & -4).to(tl.float32, bitcast=True)
    p0 = ((na * side + nb) * side + nc) * side + nd
    p1 = p0 + _stride(x1, side)
    p2 = p1 + _stride(x2, side)
    p3 = p2 + _stride(x3, side)
    p4 = p3 + _stride(x4, side)
    e0 = _vertex(p0, p0 * 0, near, directory, entries, diagonal)
    e1 = _vertex(p1, e0, near, directory, entries, diagonal)
    e2 = _vertex(p2, e1, near, directory, entries, diagonal)
    e3 = _vertex(p3, e2, near, directory, entries, diagonal)
    e4 = _vertex(p4, e3, near, directory, entries, diagonal)
    return e0, e1, e2, e3, e4, 1 - f1, f1 - f2, f2 - f3, f3 - f4, f4, x1, x2, x3, x4, scale


@triton.jit
def _forward(
    taps, table, directory, out, count, entries,
    values: tl.constexpr, padded: tl.constexpr, points: tl.constexpr,
    interval: tl.constexpr, coarse: tl.constexpr, width: tl.constexpr, axes: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * points + tl.arange(0, points)
    inside = point < count
    e0, e1, e2, e3, e4, w0, w1, w2, w3, w4, _1, _2, _3, _4, _5 = _locate(
        taps, point, inside, directory, entries, interval, coarse, width, axes
    )
    value = tl.arange(0, padded)[None, :]
    mask = inside[:, None] & (value < values)
    total = w0[:, None] * tl.load(table + e0[:, None] * values + value, mask=mask, other=0.0)
    total += w1[:, None] * tl.load(table + e1[:, None] * values + value, mask=mask, other=0.0)
    total += w2[:, None] * tl.load(table + e2[:, None] * values + value, mask=mask, other=0.0)
    total += w3[:, None] * tl.load(table + e3[:, None] * values + value, mask=mask, other=0.0)
    total += w4[:, None] * tl.load(table + e4[:, None] * values + value, mask=mask, other=0.0)
    tl.store(out + point[:, None] * values + value, total, mask=mask)


@triton.jit
def _backward(
    taps, table, directory, gradient, to_taps, to_table, count, entries,
    values: tl.constexpr, padded: tl.constexpr, points: tl.constexpr,
    interval: tl.constexpr, coarse: tl.constexpr, width: tl.constexpr, axes: tl.constexpr,
    wants_taps: tl.constexpr, wants_table: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * points + tl.arange(0, points)
    inside = point < count
    e0, e1, e2, e3, e4, w0, w1, w2, w3, w4, x1, x2, x3, x4, scale = _locate(
        taps, point, inside, directory, entries, interval, coarse, width, axes
    )
    value = tl.arange(0, padded)[None, :]
    mask = inside[:, None] & (value < values)
    g = tl.load(gradient + point[:, None] * values + value, mask=mask, other=0.0)
    if wants_table:
        tl.atomic_add(to_table + e0[:, None] * values + value, w0[:, None] * g, mask=mask)
        tl.atomic_add(to_table + e1[:, None] * values + value, w1[:, None] * g, mask=mask)
        tl.atomic_add(to_table + e2[:, None] * values + value, w2[:, None] * g, mask=mask)
        tl.atomic_add(to_table + e3[:, None] * values + value, w3[:, None] * g, mask=mask)
        tl.atomic_add(to_table + e4[:, None] * values + value, w4[:, None] * g, mask=mask)
    if wants_taps:
        d0 = tl.sum(tl.load(table + e0[:, None] * values + value, mask=mask, other=0.0) * g, axis=1)
        d1 = tl.sum(tl.load(table + e1[:, None] * values + value, mask=mask, other=0.0) * g, axis=1)
        d2 = tl.sum(tl.load(table + e2[:, None] * values + value, mask=mask, other=0.0) * g, axis=1)
        d3 = tl.sum(tl.load(table + e3[:, None] * values + value, mask=mask, other=0.0) * g, axis=1)
        d4 = tl.sum(tl.load(table + e4[:, None] * values + value, mask=mask, other=0.0) * g, axis=1)
        tl.store(to_taps + point * 4 + x1, (d1 - d0) * scale, mask=inside)
        tl.store(to_taps + point * 4 + x2, (d2 - d1) * scale, mask=inside)
        tl.store(to_taps + point * 4 + x3, (d3 - d2) * scale, mask=inside)
        tl.store(to_taps + point * 4 + x4, (d4 - d3) * scale, mask=inside)


@lru_cache(maxsize=16)
def _directory(layout: Layout, device: torch.device) -> Tensor:
    if not isinstance(layout, DiagonalLayout):
        return torch.empty(0, dtype=torch.int32, device=device)
    return torch.from_numpy(layout.directory()).to(device, torch.int32)


def _constants(layout: Layout, values: int) -> dict[str, int]:
    interval, coarse, width, axes = layout.numbers()
    shape = {"values": values, "padded": triton.next_power_of_2(values), "points": POINTS}
    return shape | {"interval": interval, "coarse": coarse, "width": width, "axes": axes}


def _diagonal_entries(layout: Layout) -> int:
    return layout.diagonal_entries if isinstance(layout, DiagonalLayout) else 0


def _layout(numbers: list[int]) -> Layout:
    interval, coarse, width, axes = numbers
    if not coarse:
        return DenseLayout(interval)
    return DiagonalLayout(interval, width, coarse, get_args(Dimensions)[axes - 1])


@torch.library.custom_op("lutra::lookup", mutates_args=())
def _lookup(taps: Tensor, table: Tensor, numbers: list[int]) -> Tensor:
    layout, count, values = _layout(numbers), len(taps), table.shape[1]
    out = taps.new_empty(count, values)
    if count:
        _forward[(triton.cdiv(count, POINTS),)](
            taps.contiguous(), table.contiguous(), _directory(layout, taps.device), out, count,
            _diagonal_entries(layout), **_constants(layout, values),
        )  # fmt: skip
    return out


@_lookup.register_fake
def _(taps: Tensor, table: Tensor, numbers: list[int]) -> Tensor:
    return taps.new_empty(len(taps), table.shape[1])


@torch.library.custom_op("lutra::lookup_backward", mutates_args=())
def _lookup_backward(
    gradient: Tensor, taps: Tensor, table: Tensor, numbers: list[int], wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    layout, count, values = _layout(numbers), len(taps), table.shape[1]
    to_taps = torch.zeros(taps.shape if wanted[0] else (0,), dtype=taps.dtype, device=taps.device)
    to_table = torch.zeros(table.shape if wanted[1] else (0,), dtype=taps.dtype, device=taps.device)
    if count:
        _backward[(triton.cdiv(count, POINTS),)](
            taps.contiguous(), table.contiguous(), _directory(layout, taps.device), gradient.contiguous(),
            to_taps, to_table, count, _diagonal_entries(layout), **_constants(layout, values),
            wants_taps=wanted[0], wants_table=wanted[1],
        )  # fmt: skip
    return to_taps, to_table


@_lookup_backward.register_fake
def _(gradient: Tensor, taps: Tensor, table: Tensor, numbers: list[int], wanted: list[bool]) -> tuple[Tensor, Tensor]:
    return taps.new_empty(taps.shape if wanted[0] else 0), taps.new_empty(table.shape if wanted[1] else 0)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    taps, table, ctx.numbers = inputs
    ctx.save_for_backward(taps, table)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    wanted = list(ctx.needs_input_grad[:2])
    to_taps, to_table = _lookup_backward(gradient, *ctx.saved_tensors, ctx.numbers, wanted)
    return to_taps if wanted[0] else None, to_table if wanted[1] else None, None


_lookup.register_autograd(_gradients, setup_context=_setup_context)


def lookup(taps: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """Compute `lutra.reference.lookup.lookup` in single precision on a GPU."""
    found: Tensor = _lookup(taps.reshape(-1, 4), table, layout.numbers())
    return found.reshape(*taps.shape[:-1], table.shape[1])
