"""Random models for the engine's tests, and what the torch reference makes of them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model import families
from lutra.model.artifact import Artifact, layout_for, split_table
from lutra.model.description import TAP_BITS, Description, Padding, Rounding, SampledTaps
from lutra.model.fixedpoint import adarl_shares, sampling_weights
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference.convert import from_artifact

Image = NDArray[np.uint8]


def random_model(
    family: str,
    scale: int,
    options: dict[str, Any],
    layout: Layout,
    *,
    rounding: Rounding | None = None,
    padding: Padding | None = None,
    seed: int = 0,
) -> Artifact:
    generator = np.random.default_rng(seed)
    described = families.describe(family, scale, options)
    description = replace(
        described,
        rounding=rounding or described.rounding,
        padding=padding or described.padding,
        tap_bits=TAP_BITS if family == "autolut" else None,
    )
    return filled(description, {unit.name: layout_for(unit, layout) for _, unit in description.units()}, generator)


def filled(description: Description, functions: dict[str, Layout], generator: np.random.Generator) -> Artifact:
    """A model of that description with random tables, samplers and shares."""
    tensors: dict[str, NDArray[Any]] = {}
    for _, unit in description.units():
        values = generator.integers(-128, 128, (functions[unit.name].entries, unit.values), dtype=np.int8)
        tensors |= split_table(unit.name, functions[unit.name], values)
        if isinstance(unit.taps, SampledTaps):
            logits = generator.normal(0, 2, (4, unit.taps.kernel**2)).astype(np.float32)
            tensors |= {f"{unit.name}.sampler": logits, f"{unit.name}.sampler_fixed": sampling_weights(logits)}
        if unit.previous:
            mix = generator.uniform(-0.1, 1.1, 4).astype(np.float32)
            tensors |= {f"{unit.name}.adarl": mix, f"{unit.name}.adarl_fixed": adarl_shares(mix)}
    return Artifact(description, functions, tensors)


def random_image(height: int, width: int, channels: int = 1, *, seed: int = 0, smooth: bool = False) -> Image:
    """Noise, or something whose neighbours are close, as DFC's diagonal expects."""
    generator = np.random.default_rng(seed)
    if not smooth:
        return generator.integers(0, 256, (height, width, channels), dtype=np.uint8)
    steps = generator.integers(-12, 13, (height, width, channels))
    walk = generator.integers(0, 256, channels) + steps.cumsum(axis=1) + steps[:, :1].cumsum(axis=0)
    return np.abs((walk + 255) % 510 - 255).astype(np.uint8)


def reference_image(artifact: Artifact, image: Image) -> Image:
    return from_artifact(artifact).restore_image(image)


__all__ = ["DenseLayout", "DiagonalLayout", "Image", "filled", "random_image", "random_model", "reference_image"]
