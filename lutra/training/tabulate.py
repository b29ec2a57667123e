"""Put a table in place of the network in every unit of a model, and change nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import torch

from lutra.model.artifact import layout_for
from lutra.model.description import TAP_BITS, SampledTaps
from lutra.model.layouts import Layout
from lutra.reference.interpreter import LutModel
from lutra.reference.units import PointwiseNet, Table, TabledNet


def to_tables(model: LutModel, layout: Layout) -> LutModel:
    """Return the model with every network sampled on the layout's nodes.

    A unit that is a table already is kept. Sampled taps (AutoLUT) go over to fixed point, as the engine has them.
    The channel unit is always stored dense: its four values are not neighbouring pixels, so the diagonal does not
    prevail (SPF-LUT, CVPR 2024, section 3.3).

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
