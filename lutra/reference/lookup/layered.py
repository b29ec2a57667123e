"""A model of layers as one operator of torch, run by the compiled core on the CPU.

It is differentiable in the layers' values. The result and all gradients are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lutra._core import core
from lutra.model.description import INPUT, Description, Merge, Shift, Split, Sum
from lutra.model.steps import AnyStep, Padding


def suits(image: Tensor, description: Description, values: Mapping[str, Tensor]) -> bool:
    """Tell whether the core runs a model on an image: whole levels in bytes, and steps that it has."""
    if image.requires_grad or _built_for(description) is None:
        return False
    return all(_is_whole(value) for value in values.values())


def restored(image: Tensor, description: Description, values: Mapping[str, Tensor]) -> Tensor:
    """Return the sum over the rotations of a model of layers: (N, colours, scale * H, scale * W), in whole numbers.

    Args:
        image: (N, colours, H, W), integers 0..255.
        description: a model of layers.
        values: the values of each layer, (inputs, outputs, levels), by its name.
    """
    names = [layer.name for _, layer in description.layers()]
    total: Tensor = _Restored.apply(image, description, *(values[name] for name in names))  # type: ignore[no-untyped-call]
    return total


class _Restored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, description: Description, *values: Tensor) -> Tensor:
        pixels = image.to(torch.uint8).contiguous()
        ctx.built, ctx.values, ctx.pixels = _built_for(description), values, pixels
        ctx.tables = _bytes(values)
        n, colours, height, width = pixels.shape
        total = torch.empty(n, colours, height * description.scale, width * description.scale)
        ctx.built.forward(pixels.numpy(), ctx.tables, total.numpy(), torch.get_num_threads())
        return total.to(image.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [torch.empty(value.shape) for value in ctx.values]
        ctx.built.backward(
            ctx.pixels.numpy(),
            ctx.tables,
            [slopes(value).float().contiguous().numpy() for value in ctx.values],
            gradients[0].float().contiguous().numpy(),
            [gradient.numpy() for gradient in wanted],
            torch.get_num_threads(),
        )
        return None, None, *(w.to(value.dtype) for w, value in zip(wanted, ctx.values, strict=True))


AROUND = 2
"""Levels to each side whose slopes a level's slope is the mean of; vectors in training are rough."""


def slopes(values: Tensor) -> Tensor:
    """Return the slopes along the last axis: central differences, one-sided at the ends, averaged over neighbours."""
    levels = values.shape[-1]
    if levels == 1:
        return torch.zeros_like(values)
    (found,) = torch.gradient(values.detach(), dim=-1)
    if levels <= 4 * AROUND:  # of a few bits
        return found
    flat = found.reshape(-1, 1, levels)
    mean = torch.nn.functional.avg_pool1d(flat, 2 * AROUND + 1, 1, AROUND, count_include_pad=False)
    return mean.reshape(found.shape)


def _bytes(values: Sequence[Tensor]) -> list[Any]:
    return [value.detach().to(torch.int8).contiguous().numpy() for value in values]


def _is_whole(values: Tensor) -> bool:
    found = values.detach()
    return bool((found == found.to(torch.int8)).all())


def _built_for(description: Description) -> Any:
    return _built(description.steps, description.padding, description.colours)


@lru_cache(maxsize=64)
def _built(steps: tuple[AnyStep, ...], padding: Padding, colours: int) -> Any:
    """Return the core's object for the steps of a model of layers; None if they are beyond the core."""
    try:
        return _build(steps, core.Sums(reflect=padding == "reflect", colours=colours))
    except (ValueError, KeyError):
        return None


def _build(steps: tuple[AnyStep, ...], built: Any) -> Any:
    planes: dict[str, int] = {}  # no number for the input: the core splits nothing else
    for step in steps:
        if isinstance(step, Split):
            if step.reads != INPUT:
                raise ValueError(f"splits plane '{step.reads}'")
            planes |= zip(step.writes, built.split(step.offset, step.bits), strict=True)
        elif isinstance(step, Shift):
            planes[step.writes] = built.shift(planes[step.reads], list(step.offsets), list(step.sources))
        elif isinstance(step, Sum):
            layer = step.layer
            read = (planes[layer.reads], list(layer.taps), layer.kind != "depthwise") if layer else (-1, [], False)
            adds = [planes[name] for name in step.adds]
            planes[step.writes] = built.sum(*read, step.channels, step.bounds, step.divisor, adds)
        else:
            assert isinstance(step, Merge)
            built.merge(planes[step.reads], step.upscale, step.rotations)
    return built
