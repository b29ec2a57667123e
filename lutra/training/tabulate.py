"""Put a table in place of the network in every unit of a model; start vectors, and store fewer values of them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lutra.model.artifact import layout_for
from lutra.model.description import TAP_BITS, SampledTaps, Split
from lutra.model.layouts import Layout
from lutra.model.vectors import VectorLayout
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors
from lutra.reference.units import PointwiseNet, Table, TabledNet


def to_tables(model: LutModel, layout: Layout) -> LutModel:
    """Return the model with every network sampled on the layout's nodes.

    A unit that is a table already is kept. Sampled taps (AutoLUT) become fixed-point numbers, as in the engine.
    The channel unit is always stored dense: its four values are not neighbouring pixels, so they do not
    gather near the diagonal (SPF-LUT, CVPR 2024, section 3.3).

    Args:
        model: any model; it is not changed.
        layout: how the tables store their nodes.
    """
    with torch.no_grad():
        return _replaced(model, layout, lambda net: Table(net.layout, net.quantised()))


def through_tables(model: LutModel, layout: Layout) -> LutModel:
    """Return the model with every network seen through the table that `to_tables` would put in its place."""
    return _replaced(model, layout, lambda net: net)


def to_networks(model: LutModel) -> LutModel:
    """Return the networks behind the tables of `through_tables`."""
    result = with_tap_bits(model, None)
    for unit in result.lut_units():
        if isinstance(unit.function, TabledNet):
            unit.function = unit.function.network
    return result


def with_tap_bits(model: LutModel, tap_bits: int | None) -> LutModel:
    """Return a copy with sampled taps in fixed point of that many fractional bits, or in real numbers for None."""
    units = {}
    for _, spec in model.description.units():
        units[spec.name] = unit = copy.deepcopy(model.unit(spec.name))
        for module in (unit.sampler, unit.adarl):
            if module is not None:
                module.tap_bits = tap_bits
    return LutModel(replace(model.description, tap_bits=tap_bits), units, copy.deepcopy(model.functions_by_name()))


def _replaced(model: LutModel, layout: Layout, make: Callable[[TabledNet], Table | TabledNet]) -> LutModel:
    sampled = any(isinstance(unit.taps, SampledTaps) for _, unit in model.description.units())
    result = with_tap_bits(model, TAP_BITS if sampled else None)
    for unit in result.lut_units():
        if isinstance(unit.function, PointwiseNet):
            own = layout_for(unit.spec, layout)
            device = next(unit.function.parameters()).device
            unit.function = make(TabledNet(unit.function, own, model.description.top_node).to(device))
    return result


@torch.no_grad()
def started(model: LutModel) -> LutModel:
    """Return a copy of a model of layers whose low bits add nothing at first; other vectors stay as they are.

    A layer that reads low bits, to whose sum its step adds them, starts by subtracting them at the pixel itself.
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


def steps_of(model: LutModel, depthwise: int, pointwise: int) -> dict[str, int]:
    """Return the step of every layer of vectors by its name; vectors of the low bits keep every value.

    Args:
        model: of layers.
        depthwise, pointwise: the steps of both kinds of layers.
    """
    few = max((2**one.bits for one in model.description.steps if isinstance(one, Split)), default=0)
    return {
        layer.name: depthwise if layer.kind == "depthwise" else pointwise
        for _, layer in model.description.layers()
        if isinstance(function := model.layer(layer.name), Vectors) and function.form.levels > few
    }


@torch.no_grad()
def stored(model: LutModel, steps: Mapping[str, int]) -> LutModel:
    """Return a copy whose vectors store a value every few levels; values between are interpolated and rounded.

    Args:
        model: of layers; its vectors have one value for each level, or these steps already.
        steps: of layers by their names; vectors of other layers stay as they are.

    Raises:
        ValueError: a step does not divide the levels of a vector.
    """
    result = copy.deepcopy(model)
    for name, step in steps.items():
        function, layout = result.layer(name), VectorLayout(step)
        assert isinstance(function, Vectors)
        if function.layout != layout:
            result.replace_function(name, Vectors(layout, function.form, _sampled(function.values(), step)))
    return result


def steps_within(
    model: LutModel, most: int, score: Callable[[LutModel], float], least: Mapping[str, int]
) -> dict[str, int]:
    """Return the steps at which the vectors of a model fit into a number of bytes and lose the least.

    The loss at every larger step is measured for one layer at a time, and losses of several layers are taken to add
    up. From the least steps on, the layer that loses least for each byte saved takes its next step, until all fit.

    Args:
        model: of layers whose vectors have one value for each level.
        most: bytes of all its vectors.
        score: the measure to keep high, such as the PSNR of restored images.
        least: the least step of each layer that may change.

    Raises:
        ValueError: the largest steps still take more bytes.
    """
    chosen, best = dict(least), score(stored(model, least))
    forms = {name: model.layer(name).form for name in least}
    others = [function for name, function in model.layers_by_name().items() if name not in least]
    fixed = sum(parameter.numel() for function in others for parameter in function.parameters())

    def taken(name: str, step: int) -> int:
        return VectorLayout(step).samples(forms[name])

    larger = {name: [s for s in _STEPS if step < s <= forms[name].levels] for name, step in least.items()}
    losses = {(name, step): 0.0 for name, step in least.items()}
    for name, step in ((name, step) for name, steps in larger.items() for step in steps):
        losses[name, step] = best - score(stored(model, {**least, name: step}))
    while (whole := fixed + sum(itertools.starmap(taken, chosen.items()))) > most:
        moves = [
            ((losses[name, step] - losses[name, now]) / (taken(name, now) - taken(name, step)), name, step)
            for name, now in chosen.items()
            for step in larger[name]
            if step > now
        ]
        if not moves:
            raise ValueError(f"vectors at the largest steps take {whole} bytes, expected at most {most}")
        _, name, step = min(moves)
        chosen[name] = step
    return chosen


_STEPS = (2, 4, 8, 16, 32, 64)
"""Distances between the stored values of a vector."""


def _sampled(values: Tensor, step: int) -> Tensor:
    """Return the samples of vectors (inputs, outputs, levels) at every `step` levels; the end is continued."""
    if step == 1:
        return values.flatten()
    end = 2 * values[..., -1:] - values[..., -2:-1]
    return torch.cat([values, end], dim=-1)[..., ::step].clamp(-128, 127).flatten()
