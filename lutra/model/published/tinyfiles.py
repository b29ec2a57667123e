"""Read and write TinyLUT's published files.

| file | holds |
|---|---|
| Model_V_L1_Depth_x4_H6.npy, ..._L2.npy | int8 (9 * levels, 16, 1, 1): for each tap and level, a value a channel |
| Model_V_L1_Point_x4_*, Model_V_UP_x4_*.npy | the same: a block of rows for each channel, and a value an output |
| clip_hh1.npy, hl1, hh2, hl2 | float32 (16,): the scales before Point and UP |

H6 and hh are the branch of the high six bits, L2 and hl that of the low two. The rows of a channel of Point and UP are
those of all whole numbers that its scale makes of the branch's levels. The publication holds the scales in its
checkpoint alone; these names are that checkpoint's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.files import write_whole
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import Description, LayerForm
from lutra.model.forms import Function
from lutra.model.published.arrays import load_array
from lutra.model.steps import Bounds
from lutra.model.vectors import MOST_SCALE, Scaling, VectorLayout, scaled

_TABLES = {"depth": "L1_Depth", "point": "L1_Point", "up": "UP"}
_BRANCHES = {"high": ("H6", "hh"), "low": ("L2", "hl")}


def read(paths: Sequence[Path], scale: int) -> Artifact:
    """Read published tables of TinyLUT.

    Raises:
        ValueError: a file is surplus, missing or damaged, or holds other shapes or values; names the file.
        OSError: a file cannot be read.
    """
    description = families.describe("tinylut", scale)
    files = {path.name: path for path in paths}
    expected = {_file(layer.name, scale): layer.name for _, layer in description.layers()}
    for name in sorted(files.keys() - expected.keys()):
        raise ValueError(f"{files[name]}: its name is not that of a published tinylut table of scale {scale}")
    for name in sorted(expected.keys() - files.keys()):
        raise ValueError(f"no file {name} among the files given")
    functions: dict[str, Function] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for step, layer in description.layers():
        path, form = files[_file(layer.name, scale)], description.form(step)
        if layer.name.startswith("scale"):
            functions[layer.name] = Scaling()
            tensors[f"{layer.name}.scales"] = _scales(path, form.outputs)
            continue
        layout = VectorLayout() if layer.kind == "depthwise" else _ranges(layer.name, description, tensors)
        functions[layer.name] = layout
        rows = _rows(path, layout.samples(form) // form.outputs, form.outputs)
        tensors[f"{layer.name}.vectors"] = rows.ravel() if layout.ranges else _by_output(rows, form)
    return Artifact(description, functions, tensors, provenance={"published": sorted(files)})


def write(artifact: Artifact, folder: Path) -> tuple[Artifact, dict[Path, str]]:
    """Write a model in TinyLUT's files.

    Returns:
        The model with vectors over the ranges that the files hold, which restores the same, and what each file that
        was written holds.

    Raises:
        ValueError: the model's steps are not those of TinyLUT, or its vectors have steps.
        OSError: a file cannot be written.
    """
    description = artifact.description
    if families.describe("tinylut", description.scale).steps != description.steps:
        raise ValueError("the model's steps are not those of TinyLUT, which its files describe")
    artifact = _with_ranges(artifact)
    written: dict[Path, str] = {}
    for step, layer in description.layers():
        layout, form = artifact.functions[layer.name], description.form(step)
        kind = "scales" if isinstance(layout, Scaling) else "vectors"
        array = artifact.tensors[f"{layer.name}.{kind}"]
        if isinstance(layout, VectorLayout):
            if not layout.ranges:
                array = array.reshape(form.inputs, form.outputs, form.levels).transpose(0, 2, 1)
            array = np.ascontiguousarray(array.reshape(-1, form.outputs, 1, 1))
        path = folder / _file(layer.name, description.scale)
        write_whole(path, lambda out, array=array: np.save(out, array))  # type: ignore[misc]
        written[path] = f"{layer.name}.{kind}"
    return artifact, written


def _file(layer: str, scale: int) -> str:
    """Return the name of a layer's file."""
    kind, branch = layer.split("_")
    bits, clip = _BRANCHES[branch]
    return f"clip_{clip}{kind[-1]}.npy" if kind.startswith("scale") else f"Model_V_{_TABLES[kind]}_x{scale}_{bits}.npy"


def _ranges(layer: str, description: Description, tensors: dict[str, NDArray[Any]]) -> VectorLayout:
    """Return the layout of a pointwise layer, from the scales of the plane that it reads."""
    kind, branch = layer.split("_")
    scaling = f"scale{1 if kind == 'point' else 2}_{branch}"
    form = next(description.form(step) for step, own in description.layers() if own.name == scaling)
    products = scaled(tensors[f"{scaling}.scales"], form)[0]
    ranges: list[Bounds] = [(int(row.min()), int(row.max())) for row in products]
    return VectorLayout(ranges=tuple(ranges))


def _with_ranges(artifact: Artifact) -> Artifact:
    """Return the model with the vectors of its pointwise layers over the ranges of their scales."""
    functions, tensors = dict(artifact.functions), dict(artifact.tensors)
    for step, layer in artifact.description.layers():
        own = functions[layer.name]
        if isinstance(own, Scaling) != layer.name.startswith("scale"):
            raise ValueError(f"layer '{layer.name}' has a function that TinyLUT's files do not hold")
        if isinstance(own, Scaling):
            continue
        assert isinstance(own, VectorLayout)
        if own.denominator_of_steps != 1:
            raise ValueError(f"layer '{layer.name}' has vectors at a step, which TinyLUT's files do not hold")
        layout = _ranges(layer.name, artifact.description, tensors) if layer.kind == "pointwise" else VectorLayout()
        if own.ranges == layout.ranges:
            continue
        form = artifact.description.form(step)
        values = own.expanded(tensors[f"{layer.name}.vectors"], form)
        places = [np.arange(least, most + 1).clip(*form.bounds) - form.bounds[0] for least, most in layout.ranges or ()]
        if layout.ranges:
            values = np.concatenate([vectors[:, at].T for vectors, at in zip(values, places, strict=True)])
        functions[layer.name] = layout
        tensors[f"{layer.name}.vectors"] = values.ravel().astype(np.int8)
    return replace(artifact, functions=functions, tensors=tensors)


def _by_output(rows: NDArray[np.int8], form: LayerForm) -> NDArray[np.int8]:
    """Return the samples of vectors whose file has a row for each input and level."""
    return np.ascontiguousarray(rows.reshape(form.inputs, form.levels, form.outputs).transpose(0, 2, 1)).ravel()


def _rows(path: Path, rows: int, outputs: int) -> NDArray[np.int8]:
    array = load_array(path)
    if array.dtype != np.int8 or array.shape not in ((rows, outputs), (rows, outputs, 1, 1)):
        raise ValueError(f"{path}: {array.dtype} of shape {array.shape}, expected int8 ({rows}, {outputs}, 1, 1)")
    return np.array(array).reshape(rows, outputs)


def _scales(path: Path, channels: int) -> NDArray[np.float32]:
    array = load_array(path)
    if array.dtype != np.float32 or array.size != channels or array.shape[0] not in (1, channels):
        raise ValueError(f"{path}: {array.dtype} of shape {array.shape}, expected float32 ({channels},)")
    found = np.array(array).reshape(channels)
    if not (np.abs(found) <= MOST_SCALE).all():
        raise ValueError(f"{path}: holds other values than scales in -{MOST_SCALE:g}..{MOST_SCALE:g}")
    return found
