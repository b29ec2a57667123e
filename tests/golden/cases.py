"""Small models of every family and layout, with tables and images that a formula fills: no random generator to trust.

`python tests/golden/cases.py` writes outputs.npz. Run it after you add a case. If another result changes, say why.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model import families
from lutra.model.anysize import Grid
from lutra.model.artifact import Array, Artifact, layout_for, split_table
from lutra.model.description import TAP_BITS, Padding, Rounding, SampledTaps
from lutra.model.fixedpoint import adarl_shares, sampling_weights
from lutra.model.forms import Function
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.vectors import Direct, Scaling, VectorLayout

OUTPUTS = Path(__file__).parent / "outputs.npz"
DENSE = DenseLayout(6)
DFC = DiagonalLayout(5, 1, 6)

Case = tuple[str, int, dict[str, Any], Layout, Rounding | None, Padding | None]
CASES: dict[str, Case] = {
    "srlut-x4": ("srlut", 4, {}, DENSE, None, None),
    "srlut-x3-reflect": ("srlut", 3, {}, DENSE, None, "reflect"),
    "srlut-x2-8bit": ("srlut", 2, {"pattern": "h"}, DenseLayout(8), None, None),
    "mulut-sdy-x4": ("mulut", 4, {}, DENSE, None, None),
    "mulut-sdyeho-x1-lookup": ("mulut", 1, {"patterns": "sdyeho", "stages": 3}, DENSE, "lookup", None),
    "mulut-dfc-x2": ("mulut", 2, {}, DFC, "lookup", None),
    "mulut-dfc-xy-x2": ("mulut", 2, {"patterns": "s"}, DiagonalLayout(6, 1, 7, "xy"), None, None),
    "spflut-x4": ("spflut", 4, {}, DENSE, None, None),
    "spflut-dfc-x1": ("spflut", 1, {"patterns": "sd"}, DFC, None, None),
    "autolut-mulut-x4": ("autolut", 4, {"kernel": 3}, DENSE, None, None),
    "autolut-spflut-dfc-x2": ("autolut", 2, {"base": "spflut", "kernel": 4}, DFC, None, None),
    "lerf-x4": ("lerf", 4, {}, DENSE, None, None),
    "lerf-dfc-x3": ("lerf", 3, {"patterns": "yt", "border": "zero"}, DFC, "lookup", "reflect"),
}
COLOUR_UNITS: dict[str, Case] = {
    "dnlut-x1": ("dnlut", 1, {}, DENSE, None, None),
    "front-mulut-x2": ("mulut", 2, {"front": "pairwise"}, DFC, "lookup", "reflect"),
}
"""Models of units that read several colours."""
MIXED = (1, 2, 4, 8, 16, 4, 2, 64, 32, 1)

LAYERED: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "shiftlut-s-x4": ("shiftlut", 4, {}, "whole"),
    "shiftlut-steps-x4": ("shiftlut", 4, {"blocks": 2}, "steps"),
    "shiftlut-steps-x2": ("shiftlut", 2, {"blocks": 2}, "steps"),
    "shiftlut-rounded-x3": ("shiftlut", 3, {"blocks": 3, "channels": 9}, "rounded"),
    "shiftlut-x1": ("shiftlut", 1, {"channels": 5, "offsets": [[[0, 0], [-4, 3], [1, 15], [-2, -2], [5, 0]]]}, "whole"),
    "tinylut-x4": ("tinylut", 4, {}, "ranges"),
    "tinylut-x2": ("tinylut", 2, {}, "whole"),
    "hklut-x4": ("hklut", 4, {}, "whole"),
    "hklut-x3": ("hklut", 3, {}, "whole"),
}
"""Models of layers and of direct tables: family, scale, options and how their vectors are stored."""
COLOURED: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "shiftlut-colours-x1": ("shiftlut", 1, {"blocks": 2, "colours": 3}, "steps"),
    "shiftlut-colours-x2": ("shiftlut", 2, {"channels": 12, "colours": 3}, "whole"),
}
"""Models of layers that read red, green and blue together, likewise."""
SIZES = ((1, 1), (1, 6), (5, 2), (9, 7))
OTHER_SIZES = ((9, 7), (13, 20), (31, 8))
"""Rows and columns that models of any size make of an image of 9x7."""


def noise(count: int, seed: int) -> NDArray[np.int64]:
    """`count` well-mixed numbers in 0..2^16 - 1: the upper half of Knuth's multiplicative hash, squared in between."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(seed * 1_000_003 + 1)) * np.uint64(2_654_435_761)
    x = (x & np.uint64(0xFFFFFFFF)) ^ (x >> np.uint64(13))
    x = (x * x) >> np.uint64(11)
    return ((x * np.uint64(2_654_435_761)) >> np.uint64(9)).astype(np.int64) & 0xFFFF


def model(name: str) -> Artifact:
    """The model of a case."""
    if layered := (LAYERED | COLOURED).get(name):
        return _layered(*layered)
    family, scale, options, layout, rounding, padding = (CASES | COLOUR_UNITS)[name]
    description = families.describe(family, scale, options)
    sampled = family == "autolut"
    description = replace(
        description,
        rounding=rounding or description.rounding,
        padding=padding or description.padding,
        tap_bits=TAP_BITS if sampled else None,
    )
    functions: dict[str, Layout] = {}
    tensors: dict[str, Array] = {}
    for seed, (_, unit) in enumerate(description.units()):
        functions[unit.name] = layout_for(unit, layout)
        entries = functions[unit.name].entries
        values = (noise(entries * unit.values, seed) % 256 - 128).astype(np.int8).reshape(entries, unit.values)
        tensors |= split_table(unit.name, functions[unit.name], values)
        if isinstance(unit.taps, SampledTaps):
            logits = (noise(4 * unit.taps.kernel**2, seed + 50).reshape(4, -1) / 2**14).astype(np.float32)
            tensors |= {f"{unit.name}.sampler": logits, f"{unit.name}.sampler_fixed": sampling_weights(logits)}
        if unit.previous:
            mix = (noise(4, seed + 90) / 2**16).astype(np.float32)
            tensors |= {f"{unit.name}.adarl": mix, f"{unit.name}.adarl_fixed": adarl_shares(mix)}
    return Artifact(description, functions, tensors)


def _layered(family: str, scale: int, options: dict[str, Any], stored: str) -> Artifact:
    """A model of layers. TinyLUT's ranges hold what its scales make of the values that they read."""
    description = families.describe(family, scale, options)
    functions: dict[str, Function] = {}
    tensors: dict[str, Array] = {}
    for seed, (step, layer) in enumerate(description.layers()):
        form = description.form(step)
        if layer.name.startswith("scale"):
            functions[layer.name] = Scaling()
            tensors[f"{layer.name}.scales"] = (noise(form.outputs, seed) / 2**15).astype(np.float32)
            continue
        layout = VectorLayout()
        if stored in ("steps", "rounded") and form.levels == 64:
            rows = noise(form.inputs * form.outputs, seed).reshape(form.inputs, form.outputs) % len(MIXED)
            layout = VectorLayout(tuple(tuple(MIXED[one] for one in row) for row in rows), stored == "rounded")
        if stored == "ranges" and layer.kind == "pointwise":
            products = np.rint(np.outer(tensors[f"{layer.reads.removesuffix('_out')}.scales"], form.bounds))
            layout = VectorLayout(ranges=tuple((int(least), int(most)) for least, most in products))
        functions[layer.name] = layout
        tensors[f"{layer.name}.vectors"] = (noise(layout.samples(form), seed) % 256 - 128).astype(np.int8)
    for seed, (residual, table) in enumerate(description.direct_tables()):
        shape = (residual.entries(table), residual.upscale**2)
        functions[table.name] = Direct()
        tensors[f"{table.name}.direct"] = (noise(shape[0] * shape[1], seed) % 64 - 32).astype(np.int8).reshape(shape)
    return Artifact(description, functions, tensors)


def image(height: int, width: int) -> NDArray[np.uint8]:
    """A gray image of that size."""
    return (noise(height * width, height * 31 + width) >> 8).astype(np.uint8).reshape(height, width)


def input_of(name: str, height: int, width: int) -> NDArray[np.uint8]:
    """The image of that size that a case restores: gray, or of three channels where its model reads them together."""
    if model(name).description.colours == 1:
        return image(height, width)
    return np.ascontiguousarray(np.stack([image(height, width + shift)[:, :width] for shift in range(3)], axis=-1))


def restored(name: str) -> dict[str, NDArray[np.uint8]]:
    """The reference's output for every size."""
    from lutra.reference.convert import from_artifact

    runner = from_artifact(model(name))
    found = {f"{name}/{height}x{width}": runner.restore_image(input_of(name, height, width)) for height, width in SIZES}
    if runner.description.any_size:
        for rows, columns in OTHER_SIZES:
            grid = Grid.enlarged((9, 7), (rows, columns), (rows / 9, columns / 7))
            found[f"{name}/9x7 to {rows}x{columns}"] = runner.restore_image(image(9, 7), grid)
    return found


if __name__ == "__main__":
    every = (*CASES, *LAYERED, *COLOURED, *COLOUR_UNITS)
    arrays: dict[str, Any] = {key: array for name in every for key, array in restored(name).items()}
    np.savez_compressed(OUTPUTS, **arrays)
