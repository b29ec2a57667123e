"""One file a model: safetensors with JSON metadata. Loading checks everything before use and needs no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from lutra.files import write_whole
from lutra.model.description import MIX_BITS, WEIGHT_BITS, ChannelTaps, ColourTaps, Description, NetworkSpec, Unit
from lutra.model.fixedpoint import FIXED
from lutra.model.forms import Form, Function, check_forms
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout, layout_from_json
from lutra.model.parsing import description_from_json
from lutra.model.taps import count_of
from lutra.model.tasks import TASKS, Planes
from lutra.model.vectors import MOST_SCALE, Direct, Scaling, VectorLayout, function_of_layer_from_json, scaled

FORMAT = 1

Array = NDArray[Any]


@dataclass(frozen=True)
class Artifact:
    """A model at rest.

    functions: for each unit the layout of its table, or the specification of its network; for each layer the layout of
        its vectors, or its scaling.
    tensors: arrays by name; `expected_tensors` lists them.
    provenance: where it comes from (data, recipe, commit, versions, or the published files it was read from).
    metrics: measured figures, {kind: {data set: {metric: value}}}.
    options: the options of its task without the scale, such as {"sigma": 25}; see `lutra.evaluation.protocols.of`.
    planes: the planes that it was trained on and restores; None for those of its task.
    """

    description: Description
    functions: Mapping[str, Function]
    tensors: Mapping[str, Array]
    task: str = "sr"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    planes: Planes | None = None

    def __post_init__(self) -> None:
        """Check that names, types and shapes are those the description asks for; raises ValueError."""
        if self.planes not in (None, *get_args(Planes)):
            raise ValueError(f"planes: found {shown(self.planes)}, expected one of {', '.join(get_args(Planes))}")
        forms = {name: (str(array.dtype), array.shape) for name, array in self.tensors.items()}
        check_forms(self.description, self.functions, self.task, forms)
        for name, array in self.tensors.items():
            if array.dtype == np.float32 and not np.isfinite(array).all():
                raise ValueError(f"tensor '{name}' holds values that are not finite")
            if name.endswith(".sampler_fixed") and ((array < 0).any() or (array.sum(axis=1) != 2**WEIGHT_BITS).any()):
                raise ValueError(f"tensor '{name}': the weights of a tap must be >= 0 and sum to {2**WEIGHT_BITS}")
            if name.endswith(".scales") and (np.abs(array) > MOST_SCALE).any():
                raise ValueError(f"tensor '{name}': a scale lies outside -{MOST_SCALE:g}..{MOST_SCALE:g}")
            if name.endswith(".adarl_fixed") and ((array < 0).any() or (array > 2**MIX_BITS).any()):
                raise ValueError(f"tensor '{name}': a share lies outside 0..{2**MIX_BITS}")
        for name, array in self.tensors.items():
            self._check_fixed_point(name, array)

    def _check_fixed_point(self, name: str, array: Array) -> None:
        """Check that the integers of a tensor are its real numbers in fixed point; elsewhere exp may differ by one."""
        real = name.removesuffix("_fixed")
        kind = real.rpartition(".")[2]
        if real == name or kind not in FIXED:
            return
        expected = FIXED[kind](self.tensors[real])
        if np.abs(array.astype(np.int64) - expected).max() > (1 if kind == "sampler" else 0):
            raise ValueError(f"tensor '{name}' differs from '{real}' in fixed point")

    @property
    def trained_planes(self) -> Planes:
        """The planes that a picture is split into before it is restored."""
        return self.planes or TASKS[self.task].planes

    def table(self, unit: str) -> Array:
        """Return the entries of a unit's table, all parts in order: (entries, values) int8."""
        layout = self.functions[unit]
        if not isinstance(layout, DenseLayout | DiagonalLayout):
            raise ValueError(f"unit '{unit}' is a network, not a table")
        return np.concatenate([self.tensors[f"{unit}.{part}"] for part, _ in layout.parts])

    def vectors(self, layer: str) -> tuple[NDArray[np.int32], int]:
        """Return the values of a layer's functions as numerators, (inputs, outputs, levels), and their denominator."""
        (step,) = (step for step, own in self.description.layers() if own.name == layer)
        form, function = self.description.form(step), self.functions[layer]
        if isinstance(function, Scaling):
            return scaled(self.tensors[f"{layer}.scales"], form), 1
        assert isinstance(function, VectorLayout)
        return function.expanded(self.tensors[f"{layer}.vectors"], form), function.denominator

    @property
    def is_tables(self) -> bool:
        """Whether every unit is a table."""
        return not any(isinstance(function, NetworkSpec) for function in self.functions.values())

    @property
    def has_networks(self) -> bool:
        """Whether any unit is a network, not a table."""
        return any(isinstance(function, NetworkSpec) for function in self.functions.values())

    @property
    def table_bytes(self) -> int:
        """The bytes of all tables, vectors and scales together, without samplers."""
        return sum(self.bytes_of(name) for name in self.functions if not isinstance(self.functions[name], NetworkSpec))

    def bytes_of(self, name: str) -> int:
        """Return the bytes of a unit's table, or of a layer's vectors or scales."""
        parts = _PARTS
        return sum(array.nbytes for tensor, array in self.tensors.items() if tensor in {f"{name}.{p}" for p in parts})


_PARTS = ("dense", "diagonal", "coarse", "vectors", "scales", "direct")
"""The arrays that hold a table, vectors or scales."""


def layout_for(unit: Unit, layout: Layout) -> Layout:
    """Return how a unit's table is stored in a model of that layout: the channel unit's is always dense.

    Its four values are not neighbouring pixels, so the diagonal does not prevail (SPF-LUT, CVPR 2024, section 3.3). So
    is that of a unit of colour taps, with an axis for each of them.
    """
    dense = isinstance(unit.taps, ChannelTaps | ColourTaps)
    return DenseLayout(layout.interval, count_of(unit.taps)) if dense else layout


def split_table(unit: str, layout: Layout, values: Array) -> dict[str, Array]:
    """Split a table's entries, (entries, values) int8, into the arrays that an artifact stores, by name."""
    if len(values) != layout.entries:
        raise ValueError(f"table '{unit}' has {len(values)} entries, expected {layout.entries}")
    ends = np.cumsum([entries for _, entries in layout.parts])
    arrays = np.split(values, ends[:-1])
    return {
        f"{unit}.{part}": np.ascontiguousarray(array) for (part, _), array in zip(layout.parts, arrays, strict=True)
    }


def header_of(artifact: Artifact) -> dict[str, Any]:
    """Return all of a model but its arrays, as JSON-ready data; `fields_of` reads it back."""
    return {
        "format": FORMAT,
        "description": artifact.description.to_json(),
        "functions": {name: _function_to_json(function) for name, function in artifact.functions.items()},
        "task": artifact.task,
        "provenance": dict(artifact.provenance),
        "metrics": dict(artifact.metrics),
        "options": dict(artifact.options),
        "planes": artifact.trained_planes,
    }


def save(path: str | os.PathLike[str], artifact: Artifact) -> None:
    """Write the artifact whole or not at all: to a temporary name next to `path`, then renamed."""
    content = serialise(dict(artifact.tensors), {"lutra": json.dumps(header_of(artifact), sort_keys=True)})
    write_whole(Path(path), content)


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read and check an artifact; nothing in it is executed, and no array is read before its size is known to fit.

    Raises:
        ValueError: the file is no lutra model, is damaged, or does not fit its own description; names the file.
        OSError: it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="numpy") as file:
            header = _header(file.metadata())
            fields = fields_of(header)
            found: dict[str, Form] = {}
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                view = file.get_slice(name)
                found[name] = (_DTYPES.get(view.get_dtype(), view.get_dtype()), tuple(view.get_shape()))
            check_forms(fields["description"], fields["functions"], fields["task"], found)
            return Artifact(**fields, tensors={name: file.get_tensor(name) for name in found})
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged ({error})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


_DTYPES = {"I8": "int8", "I16": "int16", "F32": "float32"}


def _header(metadata: Mapping[str, str] | None) -> Any:
    if not metadata or "lutra" not in metadata:
        raise ValueError("not a lutra model: its metadata has no 'lutra' field")
    try:
        return json.loads(metadata["lutra"])
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("damaged: its 'lutra' metadata is not JSON") from None


def fields_of(header: Any) -> dict[str, Any]:
    """Return the fields of an `Artifact` but for its tensors, from what `header_of` returned; raises ValueError."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise ValueError(f"model format is {shown(found)}, expected {FORMAT}")
    header.setdefault("options", {})  # files of earlier versions have none
    for key in ("functions", "provenance", "metrics", "options"):
        if not isinstance(header.get(key), dict):
            raise ValueError(f"metadata field '{key}' is {shown(header.get(key))}, expected an object")
    return {
        "description": description_from_json(header.get("description")),
        "functions": {name: _function_from_json(data) for name, data in header["functions"].items()},
        "task": header.get("task"),
        "provenance": header["provenance"],
        "metrics": header["metrics"],
        "options": header["options"],
        "planes": header.get("planes"),  # files of earlier versions have none
    }


def _function_to_json(function: Function) -> dict[str, Any]:
    layer = isinstance(function, VectorLayout | Scaling | Direct)
    return {"network" if isinstance(function, NetworkSpec) else "layer" if layer else "table": function.to_json()}


def _function_from_json(data: Any) -> Function:
    if isinstance(data, dict) and set(data) == {"network"}:
        return NetworkSpec.from_json(data["network"])
    if isinstance(data, dict) and set(data) == {"table"}:
        return layout_from_json(data["table"])
    if isinstance(data, dict) and set(data) == {"layer"}:
        return function_of_layer_from_json(data["layer"])
    raise ValueError(f"function of a unit is {shown(data)}, expected a table or a network")
