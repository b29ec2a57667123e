"""Layers of one-dimensional tables on a GPU: Triton kernels for the sum of a layer's vectors and for its gradients.

Nothing is added atomically: the sums and all gradients are the same in every run. TRITON_INTERPRET=1 runs the kernels
on the CPU, slowly, for tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lutra.model.taps import Offset

POINTS = 32
"""Pixels that a program handles at a time."""

PARTS = 64
"""Parts that the pixels are cut into for the vectors' gradients; their sums are added up in order."""


@triton.jit
def _corner(point, channels, height, width, reach):
    # The place of a pixel's image and of the upper left end of its surroundings, in planes with a border.
    wide = width + 2 * reach
    image, pixel = point // (height * width), point % (height * width)
    return (image * channels * (height + 2 * reach) + pixel // width) * wide + pixel % width


@triton.jit
def _levels(
    whole, corner, inside, offsets, number, output, channels, height, width, reach, least, shared: tl.constexpr
):
    # What an input reads: one level a pixel, or one for each output.
    size = (height + 2 * reach) * (width + 2 * reach)
    if shared:
        at = corner + tl.load(offsets + number // channels) + (number % channels) * size
        return tl.load(whole + at, mask=inside, other=least).to(tl.int32) - least
    at = corner[:, None] + tl.load(offsets + number) + output[None, :] * size
    mask = inside[:, None] & (output[None, :] < channels)
    return tl.load(whole + at, mask=mask, other=least).to(tl.int32) - least


@triton.jit
def _forward(
    whole, values, offsets, out, count, inputs, channels, height, width, reach, least, levels,
    outputs: tl.constexpr, padded: tl.constexpr, points: tl.constexpr, shared: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * points + tl.arange(0, points)
    output = tl.arange(0, padded)
    inside = point < count
    mask = inside[:, None] & (output[None, :] < outputs)
    corner = _corner(point, channels, height, width, reach)
    total = tl.zeros((points, padded), tl.float32)
    for number in range(inputs):
        level = _levels(whole, corner, inside, offsets, number, output, channels, height, width, reach, least, shared)
        if shared:
            level = level[:, None]
        total += tl.load(values + (number * levels + level) * outputs + output[None, :], mask=mask, other=0.0)
    tl.store(out + point[:, None] * outputs + output[None, :], total, mask=mask)


@triton.jit
def _to_planes(
    whole, slopes, rows, columns, gradient, to_whole, count, taps, channels, height, width, reach, least, levels,
    outputs: tl.constexpr, padded: tl.constexpr, points: tl.constexpr, shared: tl.constexpr,
):  # fmt: skip
    """Collect, for every place of the planes with their border, the gradients of the pixels that read it."""
    place = tl.program_id(0) * points + tl.arange(0, points)
    exists = place < count
    wide, high = width + 2 * reach, height + 2 * reach
    column, row = place % wide - reach, place // wide % high - reach
    channel, image = place // (wide * high) % channels, place // (wide * high * channels)
    level = tl.load(whole + place, mask=exists, other=least).to(tl.int32) - least
    output = tl.arange(0, padded)[None, :]
    total = tl.zeros((points,), tl.float32)
    for tap in range(taps):
        y, x = row - tl.load(rows + tap), column - tl.load(columns + tap)
        inside = exists & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        pixel = (image * height + y) * width + x
        if shared:
            mask = inside[:, None] & (output < outputs)
            entry = ((tap * channels + channel) * levels + level)[:, None] * outputs + output
            seen = tl.load(gradient + pixel[:, None] * outputs + output, mask=mask, other=0.0)
            total += tl.sum(tl.load(slopes + entry, mask=mask, other=0.0) * seen, axis=1)
        else:
            entry = (tap * levels + level) * outputs + channel
            seen = tl.load(gradient + pixel * outputs + channel, mask=inside, other=0.0)
            total += tl.load(slopes + entry, mask=inside, other=0.0) * seen
    tl.store(to_whole + place, total, mask=exists)


@triton.jit
def _to_values(
    whole, offsets, gradient, partial, count, channels, height, width, reach, least, levels: tl.constexpr,
    rows: tl.constexpr, outputs: tl.constexpr, padded: tl.constexpr, points: tl.constexpr, shared: tl.constexpr,
    parts: tl.constexpr,
):  # fmt: skip
    """Add up the gradients of the pixels of a part that read each level of an input."""
    number, part = tl.program_id(0), tl.program_id(1)
    output, row = tl.arange(0, padded), tl.arange(0, rows)
    total = tl.zeros((rows, padded), tl.float32)
    for first in range(part * points, count, parts * points):
        point = first + tl.arange(0, points)
        inside = point < count
        corner = _corner(point, channels, height, width, reach)
        level = _levels(whole, corner, inside, offsets, number, output, channels, height, width, reach, least, shared)
        mask = inside[:, None] & (output[None, :] < outputs)
        seen = tl.load(gradient + point[:, None] * outputs + output[None, :], mask=mask, other=0.0)
        if shared:
            is_level = (row[:, None] == level[None, :]).to(tl.float32)
            total += tl.dot(is_level, seen, input_precision="ieee")
        else:
            total += tl.sum(tl.where(row[:, None, None] == level[None, :, :], seen[None, :, :], 0.0), axis=1)
    at = ((number * parts + part) * levels + row[:, None]) * outputs + output[None, :]
    tl.store(partial + at, total, mask=(row[:, None] < levels) & (output[None, :] < outputs))


def _padded(count: int) -> int:
    return max(16, int(triton.next_power_of_2(count)))  # the least that a product of matrices takes


def _numbers(whole: Tensor, values: Tensor, reach: int, least: int) -> dict[str, int]:
    _, channels, high, wide = whole.shape
    _, outputs, levels = values.shape
    taken = {
        "channels": channels,
        "height": high - 2 * reach,
        "width": wide - 2 * reach,
        "reach": reach,
        "least": least,
    }
    return taken | {"levels": levels, "outputs": outputs, "padded": _padded(outputs), "points": POINTS}


def _by_level(values: Tensor) -> Tensor:
    return values.transpose(1, 2).contiguous()  # all outputs of a level side by side


@lru_cache(maxsize=64)
def _taps(taps: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the rows and the columns of taps on a device: they are copied there once, not at every call."""
    rows, columns = torch.tensor(taps, dtype=torch.int32, device=device).reshape(-1, 2).T.contiguous()
    return rows, columns


def _offsets(taps: Sequence[int], wide: int, reach: int, device: torch.device) -> Tensor:
    rows, columns = _taps(tuple(taps), device)
    return (rows + reach) * wide + columns + reach


@torch.library.custom_op("lutra::layer_sum", mutates_args=())
def _layer_sum(whole: Tensor, values: Tensor, slopes: Tensor, taps: list[int], reach: int, least: int) -> Tensor:
    numbers = _numbers(whole, values, reach, least)
    height, width = numbers["height"], numbers["width"]
    out = whole.new_empty(len(whole), height, width, values.shape[1])
    count = out.numel() // values.shape[1]
    _forward[(triton.cdiv(count, POINTS),)](
        whole.contiguous(), _by_level(values), _offsets(taps, whole.shape[3], reach, whole.device), out, count,
        inputs=len(values), shared=_is_shared(whole, values, taps), **numbers,
    )  # fmt: skip
    return out


@_layer_sum.register_fake
def _(whole: Tensor, values: Tensor, slopes: Tensor, taps: list[int], reach: int, least: int) -> Tensor:
    n, _, high, wide = whole.shape
    return whole.new_empty(n, high - 2 * reach, wide - 2 * reach, values.shape[1])


def _is_shared(whole: Tensor, values: Tensor, taps: Sequence[int]) -> bool:
    return 2 * len(values) == len(taps) * whole.shape[1]


@torch.library.custom_op("lutra::layer_sum_backward", mutates_args=())
def _layer_sum_backward(
    gradient: Tensor, whole: Tensor, values: Tensor, slopes: Tensor, taps: list[int], reach: int, least: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    numbers, shared = _numbers(whole, values, reach, least), _is_shared(whole, values, taps)
    gradient, whole = gradient.contiguous(), whole.contiguous()
    to_whole = whole.new_empty(whole.shape if wanted[0] else 0)
    if wanted[0]:
        rows, columns = _taps(tuple(taps), whole.device)
        _to_planes[(triton.cdiv(whole.numel(), POINTS),)](
            whole, _by_level(slopes), rows, columns, gradient, to_whole, whole.numel(), taps=len(taps) // 2,
            shared=shared, **numbers,
        )  # fmt: skip
    if not wanted[1]:
        return to_whole, values.new_empty(0)
    inputs, outputs, levels = values.shape
    partial = values.new_empty(inputs, PARTS, levels, outputs)
    _to_values[(inputs, PARTS)](
        whole, _offsets(taps, whole.shape[3], reach, whole.device), gradient, partial, gradient.numel() // outputs,
        rows=_padded(levels), shared=shared, parts=PARTS, **numbers,
    )  # fmt: skip
    return to_whole, partial.sum(dim=1).transpose(1, 2).contiguous()


@_layer_sum_backward.register_fake
def _(
    gradient: Tensor, whole: Tensor, values: Tensor, slopes: Tensor, taps: list[int], reach: int, least: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return whole.new_empty(whole.shape if wanted[0] else 0), values.new_empty(values.shape if wanted[1] else 0)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    whole, values, slopes, ctx.taps, ctx.reach, ctx.least = inputs
    ctx.save_for_backward(whole, values, slopes)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
    wanted = list(ctx.needs_input_grad[:2])
    to_whole, to_values = _layer_sum_backward(gradient, *ctx.saved_tensors, ctx.taps, ctx.reach, ctx.least, wanted)
    return to_whole if wanted[0] else None, to_values if wanted[1] else None, None, None, None, None


_layer_sum.register_autograd(_gradients, setup_context=_setup_context)


def layer_sum(whole: Tensor, values: Tensor, slopes: Tensor, taps: Sequence[Offset], reach: int, least: int) -> Tensor:
    """Return the sum of a layer's vectors: (N, outputs, H, W).

    Args:
        whole: (N, C, H + 2 * reach, W + 2 * reach) float32, the planes that are read, padded; whole levels.
        values: (inputs, outputs, levels) float32; inputs: taps times C, or as many as taps if each output reads a
            channel of its own.
        slopes: of the same shape, the gradients to the planes.
        taps: where the inputs are read.
        reach: how far the taps may be from a pixel.
        least: the lowest level.
    """
    flat = [number for tap in taps for number in tap]
    found: Tensor = _layer_sum(whole, values, slopes, flat, reach, least)
    return found.movedim(-1, 1)
