"""Convert a model at rest (`Artifact`) to a torch model, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lutra.model.artifact import Artifact, split_table
from lutra.model.description import NetworkSpec
from lutra.model.forms import Function
from lutra.model.layouts import DenseLayout, DiagonalLayout
from lutra.model.taps import count_of
from lutra.model.vectors import Direct, Scaling, VectorLayout
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import LayerFunction, Scales, Vectors
from lutra.reference.residuals import DirectEntries
from lutra.reference.units import LutUnit, PointwiseNet, Table, TabledNet


def from_artifact(artifact: Artifact) -> LutModel:
    """Return the torch model of an artifact, ready to restore, to train or to finetune."""
    layers: dict[str, LayerFunction | DirectEntries] = {}
    for residual, table in artifact.description.direct_tables():
        layers[table.name] = DirectEntries(residual, table, _tensor(artifact, f"{table.name}.direct"))
    for step, layer in artifact.description.layers():
        function, form = artifact.functions[layer.name], artifact.description.form(step)
        if isinstance(function, VectorLayout):
            layers[layer.name] = Vectors(function, form, _tensor(artifact, f"{layer.name}.vectors"))
        else:
            layers[layer.name] = Scales(form, _tensor(artifact, f"{layer.name}.scales"))
    units = {}
    for _, spec in artifact.description.units():
        function = artifact.functions[spec.name]
        if isinstance(function, NetworkSpec):
            network = PointwiseNet(spec.values, function, count_of(spec.taps))
            prefix = f"{spec.name}.network."
            network.load_state_dict({name: _tensor(artifact, prefix + name) for name in network.state_dict()})
            unit = LutUnit(spec, network, artifact.description.tap_bits)
        else:
            assert isinstance(function, DenseLayout | DiagonalLayout)
            values = torch.from_numpy(artifact.table(spec.name).astype(np.float32))
            unit = LutUnit(spec, Table(function, values), artifact.description.tap_bits)
        if unit.sampler is not None:
            real, shipped = (_tensor(artifact, f"{spec.name}.{name}") for name in ("sampler", "sampler_fixed"))
            unit.sampler.load(real, shipped)
        if unit.adarl is not None:
            unit.adarl.mix = torch.nn.Parameter(_tensor(artifact, f"{spec.name}.adarl"))
        units[spec.name] = unit
    return LutModel(artifact.description, units, layers)


def to_artifact(
    model: LutModel,
    *,
    task: str = "sr",
    options: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Artifact:
    """Return the model at rest; tables are stored as they ship, rounded to int8."""
    functions: dict[str, Function] = {}
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for name, table in model.direct_by_name().items():
        functions[name] = Direct()
        tensors[f"{name}.direct"] = _array(table.quantised()).astype(np.int8)
    for name, layer in model.layers_by_name().items():
        if isinstance(layer, Vectors):
            functions[name] = layer.layout
            tensors[f"{name}.vectors"] = _array(layer.quantised()).astype(np.int8)
        else:
            functions[name] = Scaling()
            tensors[f"{name}.scales"] = _array(layer.scales)
    for _, spec in model.description.units():
        unit = model.unit(spec.name)
        if isinstance(unit.function, PointwiseNet):
            functions[spec.name] = unit.function.spec
            for name, tensor in unit.function.state_dict().items():
                tensors[f"{spec.name}.network.{name}"] = _array(tensor)
        elif isinstance(unit.function, TabledNet):
            raise TypeError(f"unit '{spec.name}' is a network in training: use to_networks or to_tables first")
        else:
            functions[spec.name] = unit.function.layout
            values = _array(unit.function.quantised()).astype(np.int8)
            tensors |= split_table(spec.name, unit.function.layout, values)
        if unit.sampler is not None:
            tensors[f"{spec.name}.sampler"] = _array(unit.sampler.logits)
            tensors[f"{spec.name}.sampler_fixed"] = _array(unit.sampler.quantised())
        if unit.adarl is not None:
            tensors[f"{spec.name}.adarl"] = _array(unit.adarl.mix)
            tensors[f"{spec.name}.adarl_fixed"] = _array(unit.adarl.quantised())
    return Artifact(model.description, functions, tensors, task, provenance or {}, metrics or {}, options or {})


def _tensor(artifact: Artifact, name: str) -> torch.Tensor:
    return torch.from_numpy(np.array(artifact.tensors[name]))


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
