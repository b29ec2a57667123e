"""Read the published networks' parameters, safetensors under their published names, as our networks."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import PATTERNS, NetworkSpec, SampledTaps, Unit
from lutra.model.fixedpoint import with_fixed

Array = NDArray[Any]
_BRANCH = re.compile(r"(?:^|[._])([a-z]|\d+)\.(?:model|sampler)\.")
_LAYERS = 6  # the first, four hidden ones, the last


def read_network(path: Path, family: str, scale: int) -> Artifact:
    """Read a published network as a model that keeps its publication's padding and rounding.

    Width, patterns or branches, stages and kernel size are read from the parameters' names and shapes.

    Raises:
        ValueError: a parameter is surplus or missing, or has the wrong shape; names the file and the parameter.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        parameters = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged ({error})") from None
    try:
        return _artifact(parameters, family, scale, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Parameters:
    """Parameters of a published network, each of which is to be taken once."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self.left = {name for name in arrays if not name.endswith("sampler.sampler.bias")}  # the softmax ignores it

    def named(self, name: str) -> Array:
        if name not in self._arrays:
            raise ValueError(f"parameter '{name}' is missing")
        return self._arrays[name]

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        array = self.named(name)
        if array.size != np.prod(shape) or array.shape[0] != shape[0]:
            raise ValueError(f"parameter '{name}' has shape {array.shape}, expected {shape} and ones")
        self.left.discard(name)
        return array.astype(np.float32).reshape(shape)


def _artifact(arrays: dict[str, Array], family: str, scale: int, path: Path) -> Artifact:
    if not families.describe(family, scale).has_units:
        raise ValueError(f"family '{family}' has no networks to read, expected the files of its tables")
    description = families.describe(family, scale, _options(arrays, family))
    if family == "srlut":
        description = replace(description, padding="reflect")
    parameters = _Parameters(arrays)
    first = _layer(_network_prefix(next(description.units())[1], family), 1, family) + ".weight"
    spec = replace(families.network_spec(family), width=len(parameters.named(first)))
    tensors: dict[str, Array] = {}
    for _, unit in description.units():
        prefix = _network_prefix(unit, family)
        tensors |= _layers(parameters, unit, spec, prefix, family)
        if isinstance(unit.taps, SampledTaps):
            base = prefix.removesuffix(".model")
            logits = parameters.take(f"{base}.sampler.sampler.weight", (4, unit.taps.kernel**2))
            tensors |= with_fixed(f"{unit.name}.sampler", logits)
        if unit.previous:
            mix = parameters.take(f"{prefix}.residual.weights", (2, 2)).reshape(4)
            tensors |= with_fixed(f"{unit.name}.adarl", mix)
    if parameters.left:
        name = min(parameters.left)
        raise ValueError(f"parameter '{name}' is not part of {family} with options {description.options}")
    functions = {unit.name: spec for _, unit in description.units()}
    return Artifact(description, functions, tensors, provenance={"published_network": path.name})


def _layers(parameters: _Parameters, unit: Unit, spec: NetworkSpec, prefix: str, family: str) -> dict[str, Array]:
    """Return the weights of a unit's network under our names."""
    tensors: dict[str, Array] = {}
    inputs = 4
    for layer in range(1, _LAYERS + 1):
        source, last = _layer(prefix, layer, family), layer == _LAYERS
        own = f"{unit.name}.network." + ("last" if last else f"hidden.{layer - 1}")
        outputs = unit.values if last else spec.width
        tensors[f"{own}.weight"] = parameters.take(f"{source}.weight", (outputs, inputs))
        tensors[f"{own}.bias"] = parameters.take(f"{source}.bias", (outputs,))
        inputs = spec.width * (layer if spec.kind == "dense" else 1)
    return tensors


def _options(parameters: dict[str, Array], family: str) -> dict[str, Any]:
    branches = {match[1] for name in parameters if (match := _BRANCH.search(name))}
    patterns = "".join(name for name in PATTERNS if name in branches)
    stages = len({name.split("_")[0] for name in parameters if re.match(r"s\d+_", name)})
    if family == "srlut":
        return {}
    if not branches:
        raise ValueError(f"no parameter is called as those of a {family} network")
    if family == "mulut":
        return {"patterns": patterns, "stages": stages}
    if family == "spflut":
        return {"patterns": patterns}
    kernel = next((a.shape[-1] for name, a in parameters.items() if name.endswith("sampler.sampler.weight")), None)
    return {"base": "mulut", "branches": len(branches), "stages": stages, "kernel": kernel}


def _network_prefix(unit: Unit, family: str) -> str:
    """Return what the published names of the unit's network start with."""
    if family == "srlut":
        return ""
    if family != "spflut":
        return f"{unit.name}.model"
    if unit.name == "s5_channel":
        return "ChannelConv"
    place, pattern = unit.name.split("_")
    group, plane = place[1], place[3]
    block = "upblock" if group == "6" else f"convblock{group}"
    return f"{block}.module_dict.DepthwiseBlock{plane}_{pattern}.model"


def _layer(prefix: str, layer: int, family: str) -> str:
    if family == "srlut":
        return f"conv{layer}"
    middle = 1 < layer < _LAYERS
    return f"{prefix}.conv{layer}.conv1.conv" if middle else f"{prefix}.conv{layer}.conv"
