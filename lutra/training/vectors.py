"""Vectors of layers before training and after: where they start, and how few samples they are stored in."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from lutra.model.description import Description, Split, Sum
from lutra.model.vectors import VectorLayout
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors


@torch.no_grad()
def start(model: LutModel) -> LutModel:
    """Return a copy of a model of layers whose low bits add nothing at first; other vectors stay as they are.

    A layer that reads low bits and has them added starts by taking them away again, at the pixel itself.
    """
    result = copy.deepcopy(model)
    low = {step.writes[1] for step in model.description.steps if isinstance(step, Split)}
    for step, layer in model.description.layers():
        function = result.layer(layer.name)
        if not (layer.reads in low and layer.reads in step.adds and isinstance(function, Vectors)):
            continue
        if (0, 0) in layer.taps and function.steps_are_one:
            least, most = function.form.bounds
            values = -step.divisor * torch.arange(least, most + 1.0)
            function.samples.view(function.form.inputs, function.form.outputs, -1)[layer.taps.index((0, 0))] = values
    return result


@torch.no_grad()
def stored(model: LutModel, depthwise: int, pointwise: int) -> LutModel:
    """Return a copy whose vectors are stored at every so many levels, and interpolated and rounded between.

    Args:
        model: of layers; its vectors have one value for each level, or these steps already.
        depthwise, pointwise: the steps of both kinds of layers; vectors of the low bits keep every value.

    Raises:
        ValueError: a step does not divide the levels of a vector.
    """
    result = copy.deepcopy(model)
    for step, layer in model.description.layers():
        function = result.layer(layer.name)
        wanted = depthwise if layer.kind == "depthwise" else pointwise
        if isinstance(function, Vectors) and function.form.levels > _few(model.description, step):
            layout = VectorLayout(wanted)
            result.replace_function(layer.name, Vectors(layout, function.form, _sampled(function.values(), wanted)))
    return result


def _few(description: Description, step: Sum) -> int:
    """Return the number of levels of low bits, up to which vectors are stored whole."""
    return max((2**one.bits for one in description.steps if isinstance(one, Split)), default=0)


def _sampled(values: Tensor, step: int) -> Tensor:
    """Return the samples of vectors (inputs, outputs, levels) at every `step` levels; the end is continued."""
    if step == 1:
        return values.flatten()
    end = 2 * values[..., -1:] - values[..., -2:-1]
    return torch.cat([values, end], dim=-1)[..., ::step].clamp(-128, 127).flatten()
