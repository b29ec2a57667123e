"""Models and a frame to measure with, where none are given: only their sizes and forms matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model import families
from lutra.model.artifact import Artifact, layout_for, split_table
from lutra.model.description import TAP_BITS, ColourTaps, Description, SampledTaps, Unit
from lutra.model.fixedpoint import with_fixed
from lutra.model.forms import Function
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.vectors import Direct, Scaling, VectorLayout

SYSTEMS: dict[str, tuple[str, dict[str, Any], Layout | VectorLayout]] = {
    "SR-LUT": ("srlut", {}, DenseLayout(4)),
    "MuLUT-sdy": ("mulut", {}, DenseLayout(4)),
    "SPF-Light + DFC": ("autolut", {"base": "spflut", "kernel": 5}, DiagonalLayout()),
    "SPF-LUT-sdy + DFC": ("spflut", {}, DiagonalLayout()),
    "ShiftLUT-S": ("shiftlut", {}, VectorLayout()),
    "ShiftLUT-M": ("shiftlut", {"blocks": 2}, VectorLayout()),
    "ShiftLUT-L": ("shiftlut", {"blocks": 8}, VectorLayout()),
    "ShiftLUT-S, unrounded": ("shiftlut", {}, VectorLayout(4, rounded=False)),
    "ShiftLUT-L, unrounded": ("shiftlut", {"blocks": 8}, VectorLayout(4, rounded=False)),
    "TinyLUT": ("tinylut", {}, VectorLayout()),
    "HKLUT": ("hklut", {}, VectorLayout()),
    "LeRF-G": ("lerf", {}, DenseLayout(4)),
}
"""The published systems: family, options and layout. Entries of layers are whole levels, unless unrounded as published:
multiples of 1/4 here."""

COLOUR_SYSTEMS: dict[str, tuple[str, dict[str, Any], Layout | VectorLayout]] = {
    "DnLUT": ("dnlut", {}, DenseLayout(4)),
    "ShiftLUT of colours, 4 blocks": ("shiftlut", {"blocks": 4, "colours": 3}, VectorLayout()),
    "ShiftLUT of colours, 8 blocks": ("shiftlut", {"blocks": 8, "colours": 3}, VectorLayout()),
}
"""Models of scale 1 that read three colours together."""

_OTHER_TAP = 0.1
"""The share in a table's values of each tap but the pixel itself, or planes would blur from step to step."""


def synthetic_model(family: str, options: dict[str, Any], layout: Layout | VectorLayout, *, scale: int = 4) -> Artifact:
    """Return a model whose steps return about the pixel they see, so that inner planes look like photographs.

    It is about as fast as a trained one: what a table holds changes only which entries the next step reads.

    Args:
        family, options, scale: what the model is.
        layout: how its tables or vectors are stored; families of layers and another layout: vectors stored whole.
    """
    description = families.describe(family, scale, options)
    if not description.has_units or isinstance(layout, VectorLayout):
        return _of_layers(description, layout if isinstance(layout, VectorLayout) else VectorLayout())
    description = replace(description, tap_bits=TAP_BITS if family == "autolut" else None)
    generator = np.random.default_rng(0)
    functions: dict[str, Function] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for step, unit in description.units():
        functions[unit.name] = table = layout_for(unit, layout)
        nodes = table.nodes()
        summed = sum(one.colour in (None, unit.colour) for one in step.units)
        gain = step.divisor / (summed * step.rotations)  # makes the step's sum the pixel again
        pixel = nodes @ _tap_weights(unit, nodes.shape[1]) - step.offset
        values = gain * pixel[:, None] + generator.normal(0, 4, (len(nodes), unit.values))
        tensors |= split_table(unit.name, table, np.rint(values).clip(-128, 127).astype(np.int8))
        if isinstance(unit.taps, SampledTaps):
            logits = generator.normal(0, 1, (4, unit.taps.kernel**2)).astype(np.float32)
            tensors |= with_fixed(f"{unit.name}.sampler", logits)
        if unit.previous:
            tensors |= with_fixed(f"{unit.name}.adarl", np.full(4, 0.2, np.float32))
    return Artifact(description, functions, tensors)


def _tap_weights(unit: Unit, count: int) -> NDArray[np.float64]:
    """Return the share of each tap in a table's values."""
    weights = np.full(count, _OTHER_TAP)
    taps = unit.taps
    own = list(zip(taps.offsets, taps.colours, strict=True)).index(((0, 0), 0)) if isinstance(taps, ColourTaps) else 0
    weights[own] += 1 - weights.sum()
    return weights


def _of_layers(description: Description, layout: VectorLayout) -> Artifact:
    """Return a model of layers or direct tables that add nearly nothing to what they see, without its low bits.

    The ends of vectors lie as far apart as values of trained depthwise layers do.
    """
    generator = np.random.default_rng(0)
    functions: dict[str, Function] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for step, layer in description.layers():
        form = description.form(step)
        if layer.name.startswith("scale"):
            functions[layer.name] = Scaling()
            tensors[f"{layer.name}.scales"] = np.ones(form.outputs, np.float32)
            continue
        low = form.bounds[0] == 0
        own = VectorLayout(1, layout.rounded) if low else layout
        functions[layer.name] = own
        count = own.samples(form) // (form.inputs * form.outputs)
        if low:
            values = np.zeros((form.inputs, form.outputs, count))
            values[form.inputs // 2] = -form.inputs * np.arange(count)
        else:
            values = generator.normal(0, 1, (form.inputs, form.outputs, count))
            values[1::2, :, [0, -1]], values[::2, :, [0, -1]] = 25, -25
        tensors[f"{layer.name}.vectors"] = np.rint(values).astype(np.int8).ravel()
    for residual, table in description.direct_tables():
        values = generator.normal(0, 4, (residual.entries(table), residual.upscale**2))
        functions[table.name] = Direct()
        tensors[f"{table.name}.direct"] = np.rint(values).astype(np.int8)
    return Artifact(description, functions, tensors)


def synthetic_photograph(width: int, height: int) -> NDArray[np.uint8]:
    """Return an RGB image (height, width, 3) as smooth as photographs are, the same on every machine.

    Its spectra are powers of 1 / frequency, as those of photographs (Field, J. Opt. Soc. Am. A 4, 1987), colour
    varies less than luma, and two fields of objects cut edges. Where neighbours are close decides which part of
    a DFC table is read.
    """
    generator = np.random.default_rng(0)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.maximum(np.hypot(down, across), 1 / max(height, width))

    def field(slope: float) -> NDArray[np.float64]:
        spectrum = np.fft.rfft2(generator.normal(size=(height, width))) / frequency**slope
        plane = np.fft.irfft2(spectrum, (height, width))
        normal: NDArray[np.float64] = (plane - plane.mean()) / (plane.std() + 1e-9)
        return normal

    luma = 120 + 38 * field(1.5) + 35 * np.sign(field(2.2)) + 20 * np.sign(field(2))
    planes = [luma + weight * field(2) for weight in (10, 5, 12)]
    return np.stack(planes, axis=-1).round().clip(0, 255).astype(np.uint8)
