"""Descriptions as JSON stores them, read with a check of every field."""

from __future__ import annotations

from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any, get_args

from lutra.model.anysize import Border, Resample
from lutra.model.description import Description, Rounding
from lutra.model.steps import (
    AnyStep,
    BitsOfPixel,
    Bounds,
    DirectTable,
    Layer,
    LayerKind,
    Merge,
    Padding,
    Residual,
    Shift,
    Split,
    Step,
    Sum,
    Unit,
)
from lutra.model.taps import PATTERNS, ChannelTaps, ColourTaps, FixedTaps, Offset, SampledTaps, Taps


def description_from_json(data: Any) -> Description:
    """Rebuild a description from what `Description.to_json` returned.

    Raises:
        ValueError: a field is missing, unknown or of the wrong type or value; the message names it.
    """
    try:
        steps = tuple(_step_from_json(item) for item in _typed(data, "steps", list))
        return Description(
            family=_typed(data, "family", str),
            scale=_typed(data, "scale", int),
            steps=steps,
            padding=_choice(data, "padding", get_args(Padding)),
            rounding=_choice(data, "rounding", get_args(Rounding)),
            top_node=_choice(data, "top_node", (255, 256)),
            round_units=_typed(data, "round_units", bool),
            tap_bits=None if data.get("tap_bits") is None else _choice(data, "tap_bits", tuple(range(9))),
            options=_typed(data, "options", dict),
            colours=_choice(data, "colours", (1, 3)) if "colours" in data else 1,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"model description: {error}") from None


def _typed(data: Any, key: str, kind: type) -> Any:
    if not isinstance(data, dict) or key not in data:
        raise ValueError(f"model description: '{key}' is missing")
    value = data[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"model description: '{key}' is {shown(value)}, expected {kind.__name__}")
    return value


def _choice(data: Any, key: str, choices: tuple[Any, ...]) -> Any:
    value = _typed(data, key, type(choices[0]))
    if value not in choices:
        raise ValueError(f"model description: '{key}' is {shown(value)}, expected one of {choices}")
    return value


def _names(data: Any, key: str) -> tuple[str, ...]:
    names = tuple(_typed(data, key, list))
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"model description: '{key}' is {shown(names)}, expected names of planes")
    return names


def _taps_from_json(data: Any) -> Taps:
    if isinstance(data, dict) and "colours" in data:
        return ColourTaps(_offsets(data, "offsets"), _whole_numbers(data, "colours"))
    if isinstance(data, dict) and "offsets" in data:
        offsets = [tuple(pair) for pair in _typed(data, "offsets", list)]
        valid = len(offsets) == 4 and all(
            len(pair) == 2 and all(type(value) is int and 0 <= value < 16 for value in pair) for pair in offsets
        )
        if not valid:
            raise ValueError(f"model description: offsets {shown(offsets)}, expected four (row, column) pairs in 0..15")
        a, b, c, d = offsets
        return FixedTaps(_typed(data, "pattern", str), (a, b, c, d))
    if isinstance(data, dict) and "kernel" in data:
        kernel = _typed(data, "kernel", int)
        if not 1 <= kernel <= 15:
            raise ValueError(f"model description: kernel is {shown(kernel)}, expected 1..15")
        return SampledTaps(kernel, _choice(data, "start", tuple(PATTERNS)))
    if data == {}:
        return ChannelTaps()
    raise ValueError(f"model description: taps {shown(data)} are of no known kind")


def _step_from_json(data: Any) -> AnyStep:
    """Rebuild a step, whose kind shows in a field that no other kind has."""
    fields = data if isinstance(data, dict) else {}
    if "bits" in fields:
        writes = _names(data, "writes")
        if len(writes) != 2:
            raise ValueError(f"model description: a split writes {shown(writes)}, expected two planes")
        read = _typed(data, "reads", str)
        return Split(read, (writes[0], writes[1]), _typed(data, "offset", int), _typed(data, "bits", int))
    if "layer" in fields:
        layer = None if data["layer"] is None else _layer_from_json(data["layer"])
        numbers = {key: _typed(data, key, int) for key in ("channels", "divisor")}
        writes, bounds = _typed(data, "writes", str), _bounds(data, "bounds")
        return Sum(layer, writes, bounds=bounds, adds=_names(data, "adds"), **numbers)
    if "offsets" in fields:
        return _shift_from_json(data)
    if "adds" in fields:
        numbers = {key: _typed(data, key, int) for key in ("upscale", "divisor", "offset", "rotations")}
        return Merge(_typed(data, "reads", str), adds=_names(data, "adds"), **numbers)
    if "tables" in fields:
        tables = tuple(_table_from_json(item) for item in _typed(data, "tables", list))
        numbers = {key: _typed(data, key, int) for key in ("upscale", "low_bits")}
        return Residual(tables, _typed(data, "reads", str), _typed(data, "writes", str), **numbers)
    if "kernel" in fields:
        kernel = _names(data, "kernel")
        if len(kernel) != 3:
            raise ValueError(f"model description: a kernel has the planes {shown(kernel)}, expected three")
        border = _choice(data, "border", get_args(Border))
        return Resample(_typed(data, "reads", str), (kernel[0], kernel[1], kernel[2]), border)
    return _units_from_json(data)


def _shift_from_json(data: Any) -> Shift:
    channels = _whole_numbers(data, "channels") if "channels" in data else ()
    return Shift(_typed(data, "reads", str), _typed(data, "writes", str), _offsets(data, "offsets"), channels)


def _table_from_json(data: Any) -> DirectTable:
    bits, padding = _choice(data, "bits", get_args(BitsOfPixel)), _choice(data, "padding", get_args(Padding))
    return DirectTable(_typed(data, "name", str), bits, _offsets(data, "taps"), padding)


def _units_from_json(data: Any) -> Step:
    units = []
    for item in _typed(data, "units", list):
        previous = item.get("previous") if isinstance(item, dict) else None
        if previous is not None and not isinstance(previous, str):
            raise ValueError(f"model description: 'previous' is {shown(previous)}, expected the name of a plane")
        taps = _taps_from_json(_typed(item, "taps", dict))
        name, values, turns = _typed(item, "name", str), _typed(item, "values", int), _turns_from_json(item)
        colour = _typed(item, "colour", int) if item.get("colour") is not None else None
        units.append(Unit(name, _names(item, "reads"), taps, values, previous, turns, colour))
    numbers = {key: _typed(data, key, int) for key in ("divisor", "offset", "upscale", "rotations")}
    return Step(tuple(units), _names(data, "writes"), **numbers)


def _turns_from_json(item: dict[str, Any]) -> tuple[int, ...] | None:
    if item.get("turns") is None:
        return None
    turns = tuple(_typed(item, "turns", list))
    if not all(type(turn) is int for turn in turns):
        raise ValueError(f"model description: 'turns' is {shown(turns)}, expected rotations of 0..3")
    return turns


def _layer_from_json(data: Any) -> Layer:
    kind = _choice(data, "kind", get_args(LayerKind))
    return Layer(_typed(data, "name", str), kind, _typed(data, "reads", str), _offsets(data, "taps"))


def _whole_numbers(data: Any, key: str) -> tuple[int, ...]:
    numbers = tuple(_typed(data, key, list))
    if not all(type(number) is int for number in numbers):
        raise ValueError(f"model description: '{key}' holds {shown(numbers)}, expected whole numbers")
    return numbers


def _offsets(data: Any, key: str) -> tuple[Offset, ...]:
    return tuple(_pair(value, key) for value in _typed(data, key, list))


def _bounds(data: Any, key: str) -> Bounds:
    return _pair(_typed(data, key, list), key)


def _pair(value: Any, key: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(type(number) is int for number in value):
        raise ValueError(f"model description: '{key}' holds {shown(value)}, expected two whole numbers")
    return value[0], value[1]
