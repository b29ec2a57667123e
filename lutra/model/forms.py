"""The functions of a model, and the arrays that hold them: names, dtypes and shapes. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as shown  # short, and on one line, whatever a file holds

from lutra.model.description import Description, NetworkSpec, SampledTaps, Unit
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.taps import count_of
from lutra.model.tasks import TASKS
from lutra.model.vectors import Direct, Scaling, VectorLayout

Function = Layout | NetworkSpec | VectorLayout | Scaling | Direct
"""The function by which a unit, a layer or a table of a residual computes its values."""
Form = tuple[str, tuple[int, ...]]
"""An array's dtype and shape."""


def expected_tensors(description: Description, functions: Mapping[str, Function]) -> dict[str, Form]:
    """Return dtype and shape of every array of a model, by name."""
    expected: dict[str, Form] = {}
    for step, layer in description.layers():
        function = functions[layer.name]
        if isinstance(function, VectorLayout):
            expected[f"{layer.name}.vectors"] = ("int8", (function.samples(description.form(step)),))
        else:
            expected[f"{layer.name}.scales"] = ("float32", (step.channels,))
    for residual, table in description.direct_tables():
        expected[f"{table.name}.direct"] = ("int8", (residual.entries(table), residual.upscale**2))
    for _, unit in description.units():
        function = functions[unit.name]
        assert isinstance(function, NetworkSpec | DenseLayout | DiagonalLayout)
        if isinstance(function, NetworkSpec):
            for name, shape in _network_shapes(unit, function):
                expected[f"{unit.name}.network.{name}"] = ("float32", shape)
        else:
            for part, entries in function.parts:
                expected[f"{unit.name}.{part}"] = ("int8", (entries, unit.values))
        if isinstance(unit.taps, SampledTaps):
            shape = (4, unit.taps.kernel**2)
            expected[f"{unit.name}.sampler"] = ("float32", shape)
            expected[f"{unit.name}.sampler_fixed"] = ("int16", shape)
        if unit.previous:
            expected[f"{unit.name}.adarl"] = ("float32", (4,))
            expected[f"{unit.name}.adarl_fixed"] = ("int16", (4,))
    return expected


def _network_shapes(unit: Unit, spec: NetworkSpec) -> list[tuple[str, tuple[int, ...]]]:
    shapes: list[tuple[str, tuple[int, ...]]] = []
    width = taps = count_of(unit.taps)
    for layer in range(spec.depth + 1):
        shapes += [(f"hidden.{layer}.weight", (spec.width, width)), (f"hidden.{layer}.bias", (spec.width,))]
        width = spec.width * (layer + 1 if spec.kind == "dense" else 1)
    shapes += [("last.weight", (unit.values, width)), ("last.bias", (unit.values,))]
    if spec.linear:
        shapes += [("linear.weight", (unit.values, taps)), ("linear.bias", (unit.values,))]
    return shapes


def check_forms(
    description: Description, functions: Mapping[str, Function], task: str, found: Mapping[str, Form]
) -> None:
    """Check that functions and arrays are those that the description asks for; raises ValueError."""
    parts = (description.units(), description.layers(), description.direct_tables())
    names = [part.name for of in parts for _, part in of]
    if set(names) != set(functions):
        raise ValueError(f"functions are given for {shown(sorted(functions))}, expected {shown(sorted(names))}")
    if not isinstance(task, str) or task not in TASKS:
        raise ValueError(f"task is {shown(task)}, expected one of {', '.join(TASKS)}")
    _check_kinds(description, functions)
    expected = expected_tensors(description, functions)
    for name in sorted(expected.keys() - found.keys()):
        raise ValueError(f"tensor '{name}' is missing")
    for name in sorted(found.keys() - expected.keys()):
        raise ValueError(f"tensor {shown(name)} is not part of the model")
    for name, form in expected.items():
        if found[name] != form:
            raise ValueError(f"tensor '{name}' is {found[name][0]} {found[name][1]}, expected {form[0]} {form[1]}")


def _check_kinds(description: Description, functions: Mapping[str, Function]) -> None:
    """Check that units, layers and direct tables have functions of their kinds and sizes; raises ValueError."""
    for _, table in description.direct_tables():
        if not isinstance(functions[table.name], Direct):
            raise ValueError(f"the function of table '{table.name}' is one of a unit or a layer, expected a direct one")
    for _, unit in description.units():
        if isinstance(functions[unit.name], VectorLayout | Scaling | Direct):
            raise ValueError(f"the function of unit '{unit.name}' is one of a layer, expected a table or a network")
        axes, taps = getattr(functions[unit.name], "axes", 4), count_of(unit.taps)
        if axes != taps and not isinstance(functions[unit.name], NetworkSpec):
            raise ValueError(f"the table of unit '{unit.name}' has {axes} axes, expected {taps}")
    for step, layer in description.layers():
        function = functions[layer.name]
        if isinstance(function, VectorLayout):
            function.check(layer.name, description.form(step))
        elif not isinstance(function, Scaling):
            raise ValueError(f"the function of layer '{layer.name}' is one of a unit, expected vectors or scales")
        elif layer.kind != "depthwise" or len(layer.taps) != 1 or step.divisor != 1:
            raise ValueError(f"layer '{layer.name}' has scales, expected them in a depthwise one of one tap alone")
