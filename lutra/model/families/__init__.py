"""The families of models: each describes its models from their scale and options. Needs no torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lutra.model.description import INPUT, PATTERNS, Description, NetworkSpec, Step, Unit
from lutra.model.families import autolut, dnlut, hklut, lerf, mulut, shiftlut, spflut, srlut, tinylut
from lutra.model.steps import MOST_CHANNELS

FAMILIES = {
    "srlut": srlut,
    "mulut": mulut,
    "spflut": spflut,
    "autolut": autolut,
    "shiftlut": shiftlut,
    "tinylut": tinylut,
    "hklut": hklut,
    "lerf": lerf,
    "dnlut": dnlut,
}
SCALES = range(1, 5)
_MOST = {"stages": 15, "branches": 15, "kernel": 15, "blocks": 15, "channels": MOST_CHANNELS}


def describe(family: str, scale: int, options: Mapping[str, Any] | None = None) -> Description:
    """Describe a model of a family.

    Args:
        family: a key of `FAMILIES`.
        scale: upscaling factor, 1..4.
        options: the family's own options; None values count as left out. Families of units take `front: pairwise`
            too, which mixes the colours in pairs first (DnLUT, CVPR 2025).

    Raises:
        ValueError: the family, the scale or an option is not known, or its value is out of range.
    """
    module = _family(family)
    if scale not in SCALES:
        raise ValueError(f"scale is {scale}, expected {SCALES[0]}..{SCALES[-1]}")
    given = {key: value for key, value in (options or {}).items() if value is not None}
    front = given.pop("front", None)
    known = [name for name in inspect.signature(module.describe).parameters if name != "scale"]
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"family '{family}' has no option '{key}'; it has {', '.join(known)}")
        most = _MOST.get(key)
        if most is not None and not (type(value) is int and 1 <= value <= most):
            raise ValueError(f"option '{key}' is {value!r}, expected an integer in 1..{most}")
        if key == "colours" and (type(value) is not int or value not in (1, 3)):
            raise ValueError(f"option 'colours' is {value!r}, expected 1 or 3")
        if key in ("pattern", "patterns"):
            _check_patterns(key, value)
    description: Description = module.describe(scale, **given)
    return description if front is None else _with_front(description, front)


def _with_front(description: Description, front: object) -> Description:
    """Return the description with a mixer of colours in front, whose result it reads in place of the input."""
    if front != "pairwise":
        raise ValueError(f"option 'front' is {front!r}, expected pairwise")
    if not isinstance(description.steps[-1], Step) or description.colours > 1:
        raise ValueError(f"family '{description.family}' has no option 'front'; units that read one colour have")
    first = dnlut.mixed("front", INPUT)

    def renamed(unit: Unit) -> Unit:
        reads = tuple(first.writes[0] if name == INPUT else name for name in unit.reads)
        return replace(unit, reads=reads, previous=first.writes[0] if unit.previous == INPUT else unit.previous)

    rest = [replace(step, units=tuple(map(renamed, step.units))) for step in description.unit_steps]
    options = {**description.options, "front": front}
    return replace(description, steps=(first, *rest), options=options, colours=3)


def network_spec(family: str) -> NetworkSpec:
    """Return the network that the family's paper trains; the general one for families of layers, which have none."""
    network: NetworkSpec | None = _family(family).NETWORK
    return network or NetworkSpec()


def _family(family: str) -> Any:
    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}, expected one of {', '.join(FAMILIES)}")
    return FAMILIES[family]


def _check_patterns(key: str, value: object) -> None:
    letters = list(value) if isinstance(value, str) else []
    if not letters or (key == "pattern" and len(letters) > 1) or len(set(letters)) != len(letters):
        raise ValueError(f"option '{key}' is {value!r}, expected different letters of {''.join(PATTERNS)}")
    unknown = [letter for letter in letters if letter not in PATTERNS]
    if unknown:
        raise ValueError(f"option '{key}' is {value!r}: '{unknown[0]}' is no pattern; known: {', '.join(PATTERNS)}")
