"""Build a model to train from a description: networks in its units, started from interpolation or at random."""

from __future__ import annotations

import torch
from torch import Tensor

from lutra.model.description import (
    OUTPUT,
    PATTERNS,
    ChannelTaps,
    ColourTaps,
    Description,
    NetworkSpec,
    SampledTaps,
    Step,
    Unit,
)
from lutra.model.taps import count_of
from lutra.model.vectors import VectorLayout
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import LayerFunction, Scales, Vectors
from lutra.reference.residuals import DirectEntries
from lutra.reference.units import LutUnit, PointwiseNet


def build_model(description: Description, network: NetworkSpec) -> LutModel:
    """Return a model with a `PointwiseNet` in every unit, its weights drawn from torch's generator.

    With `network.linear` every unit starts as the linear map of its taps that makes the whole model bilinear
    interpolation; otherwise units start at random, as in the published systems. Layers and
    residuals have no networks: their vectors and tables start at zero, and scales at 1.
    """
    units = {}
    for step, unit in description.units():
        function = PointwiseNet(unit.values, network, count_of(unit.taps))
        if network.linear:
            kernels = description.any_size and step.writes == description.any_size.kernel
            function.start_from(*(_same_kernel(step) if kernels else _interpolation(step, unit)))
        units[unit.name] = LutUnit(unit, function)
    return LutModel(description, units, _zeros(description))


def _zeros(description: Description) -> dict[str, LayerFunction | DirectEntries]:
    """Return zeros for every vector and direct table; scales where a layer can have them, with no plane added."""
    found: dict[str, LayerFunction | DirectEntries] = {}
    for residual, table in description.direct_tables():
        found[table.name] = DirectEntries(residual, table)
    for step, layer in description.layers():
        form = description.form(step)
        scales = layer.kind == "depthwise" and len(layer.taps) == 1 and step.divisor == 1 and not step.adds
        found[layer.name] = Scales(form) if scales else Vectors(VectorLayout(), form)
    return found


def untrained(description: Description, network: NetworkSpec, seed: int = 0) -> LutModel:
    """Return the model of `build_model`, with weights drawn from that seed; torch's generator does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(description, network)


_START = torch.tensor([127.0, 54, 54])
"""Values of a kernel that resembles linear interpolation: no correlation, and a steepness of 2.1."""


def _same_kernel(step: Step) -> tuple[Tensor, Tensor]:
    """Return weights (3, 4) and constants (3,), in levels, with which the step gives every pixel the same kernel."""
    return torch.zeros(len(_START), 4), _START - step.offset


def _interpolation(step: Step, unit: Unit) -> tuple[Tensor, float]:
    """Return weights (values, 4) and a constant, in levels, with which the step copies or enlarges its plane.

    Each value estimates its sub-pixel as the pixel itself plus the least-squares gradient of the four taps times
    the sub-pixel's distance; that is exact where the image is linear, and the identity at distance zero.
    """
    alike = [one for one in step.units if one.colour == unit.colour]
    gain = step.divisor / (step.rotations * len(alike))
    if isinstance(unit.taps, ChannelTaps):
        return gain * torch.eye(4), -gain * step.offset
    if isinstance(unit.taps, ColourTaps) and any(unit.taps.colours):
        own = list(zip(unit.taps.offsets, unit.taps.colours, strict=True)).index(((0, 0), 0))
        return gain * torch.eye(count_of(unit.taps))[[own]].repeat(unit.values, 1), -gain * step.offset
    start = PATTERNS[unit.taps.start] if isinstance(unit.taps, SampledTaps) else unit.taps.offsets
    offsets = torch.tensor(start, dtype=torch.float64)
    identity = torch.eye(len(start), dtype=torch.float64)
    differences = identity[1:] - identity[0]
    gradient = torch.linalg.pinv(offsets[1:] - offsets[0]) @ differences
    position = (torch.arange(step.upscale, dtype=torch.float64) + 0.5) / step.upscale - 0.5
    distance = torch.cartesian_prod(position, position).reshape(-1, 2)
    weights = identity[0] + distance @ gradient
    planes = 1 if step.writes == (OUTPUT,) else len(step.writes)
    return gain * weights.repeat(planes, 1).float(), -gain * step.offset
