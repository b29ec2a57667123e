"""What a restoration model is, as plain data: steps over 8-bit planes, each a sum of units. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any, Literal, get_args

Offset = tuple[int, int]
Padding = Literal["replicate", "reflect"]
Rounding = Literal["exact", "lookup", "branch"]
Bound = Literal["clamp", "tanh"]

ROUNDINGS: tuple[str, ...] = get_args(Rounding)
"""In the order of the compiled core's numbers for them."""

PATTERNS: dict[str, tuple[Offset, Offset, Offset, Offset]] = {
    "s": ((0, 0), (0, 1), (1, 0), (1, 1)),
    "d": ((0, 0), (0, 2), (2, 0), (2, 2)),
    "y": ((0, 0), (1, 1), (1, 2), (2, 1)),
    "e": ((0, 0), (0, 3), (3, 0), (3, 3)),
    "h": ((0, 0), (2, 2), (2, 3), (3, 2)),
    "o": ((0, 0), (2, 2), (1, 3), (3, 1)),
}
"""Offsets (row, column) of the taps a, b, c, d from the current pixel (MuLUT, ECCV 2022, section 3.2)."""


@dataclass(frozen=True)
class NetworkSpec:
    """The pointwise network of a unit.

    kind: "plain" (SR-LUT) or "dense" (MuLUT: each layer's output is concatenated to its input).
    width: features of every hidden layer. depth: hidden layers after the first.
    bound: what keeps the output in -1..1.
    linear: add a learned linear map of the four taps, so that training can start from interpolation.
    """

    kind: Literal["plain", "dense"] = "dense"
    width: int = 64
    depth: int = 4
    activation: Literal["relu", "gelu"] = "relu"
    bound: Bound = "tanh"
    linear: bool = False

    def __post_init__(self) -> None:
        """Check every field; raises ValueError."""
        if self.kind not in ("plain", "dense") or self.activation not in ("relu", "gelu"):
            raise ValueError(
                f"network of kind {shown(self.kind)} with activation {shown(self.activation)} is not known"
            )
        if self.bound not in get_args(Bound) or not isinstance(self.linear, bool):
            raise ValueError(f"network bound is {shown(self.bound)}, expected one of {get_args(Bound)}")
        if not (1 <= self.width <= 1024 and 0 <= self.depth <= 32):
            found = f"network of width {shown(self.width)} and depth {shown(self.depth)}"
            raise ValueError(f"{found}: expected 1..1024 and 0..32")

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Any) -> NetworkSpec:
        """Rebuild a specification, checking every field; raises ValueError."""
        if not isinstance(data, dict) or set(data) != set(NetworkSpec().to_json()):
            raise ValueError(
                f"network specification is {shown(data)}, expected the keys {sorted(NetworkSpec().to_json())}"
            )
        if not all(type(data[key]) is int for key in ("width", "depth")):
            raise ValueError(f"network specification: width and depth must be integers, found {shown(data)}")
        return NetworkSpec(**data)


INPUT, OUTPUT = "input", "output"

WEIGHT_BITS = 14
"""AutoSample's weights ship as int16 multiples of 2^-14."""

MIX_BITS = 10
"""AdaRL's shares ship as int16 multiples of 2^-10."""

TAP_BITS = 6
"""Sampled taps ship as multiples of 2^-6 level. With these three, every product stays within the 24 bits that a
float32 holds exactly, so that the reference and an integer engine agree to the last bit."""


MOST_STEPS, MOST_UNITS, MOST_PLANES, MOST_DIVISOR = 64, 64, 256, 1 << 12
"""What a model may have: steps, units in a step, planes, and the size of a divisor or offset."""

_NAME = re.compile(r"[\w-]{1,64}")


@dataclass(frozen=True)
class FixedTaps:
    """Four pixels at fixed offsets (row, column), each >= 0, from the current one."""

    pattern: str
    offsets: tuple[Offset, Offset, Offset, Offset]

    @property
    def window(self) -> int:
        """Side of the smallest square window, in pixels, that holds every tap."""
        return 1 + max(max(offset) for offset in self.offsets)


@dataclass(frozen=True)
class SampledTaps:
    """AutoSample: four learned weighted means of a kernel x kernel window (AutoLUT, CVPR 2025, section 3.2).

    `start` names the pattern whose offsets the untrained weights favour.
    """

    kernel: int
    start: str = "s"

    @property
    def window(self) -> int:
        """Side of the window in pixels."""
        return self.kernel


@dataclass(frozen=True)
class ChannelTaps:
    """The values of four planes at one pixel (SPF-LUT, CVPR 2024, section 3.1)."""

    @property
    def window(self) -> int:
        """Side of the window in pixels: always 1."""
        return 1


Taps = FixedTaps | SampledTaps | ChannelTaps


@dataclass(frozen=True)
class Unit:
    """One function of four 8-bit values: a network while training, a table afterwards.

    reads: the plane its taps come from; four planes for `ChannelTaps`.
    previous: the plane that AdaRL mixes into the taps (AutoLUT, section 3.3), or None.
    values: how many values one entry returns.
    """

    name: str
    reads: tuple[str, ...]
    taps: Taps
    values: int
    previous: str | None = None

    @property
    def planes(self) -> tuple[str, ...]:
        """Every plane the unit needs."""
        return self.reads + ((self.previous,) if self.previous else ())


@dataclass(frozen=True)
class Step:
    """Sums its units over the rotations, then writes clip(round(sum / divisor + offset), 0, 255).

    The values of an entry are `upscale` x `upscale` pixels (pixel-shuffle order) of every plane in `writes`.
    rotations: 4 for the rotation ensemble, 1 for a unit that sees one pixel.
    """

    units: tuple[Unit, ...]
    writes: tuple[str, ...]
    divisor: int
    offset: int = 0
    upscale: int = 1
    rotations: int = 4

    @property
    def values(self) -> int:
        """How many values each of its units returns."""
        return len(self.writes) * self.upscale**2


@dataclass(frozen=True)
class Description:
    """A whole model; every stage, exporter, importer and engine works from this alone.

    rounding: "exact" rounds once per step; "lookup" rounds the running sum after each rotation of each unit;
        "branch" does too, but restarts that sum for every unit (spec of MuLUT's finetuning and later systems).
    top_node: the value fed to a network for the last grid node: 255, or 256 where nothing is clipped.
    round_units: whether a network unit's output is rounded to a level in training, as its table will be.
    tap_bits: fractional bits of sampled taps in fixed point; None while they are real numbers, as published.
    options: what the family was built from, for the reader.
    """

    family: str
    scale: int
    steps: tuple[Step, ...]
    padding: Padding = "replicate"
    rounding: Rounding = "exact"
    top_node: int = 255
    round_units: bool = True
    tap_bits: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the steps fit together; raises ValueError."""
        _check(self)

    def units(self) -> Iterator[tuple[Step, Unit]]:
        """Every unit with its step, in order."""
        return ((step, unit) for step in self.steps for unit in step.units)

    @property
    def radius(self) -> int:
        """How far, in input pixels, an output pixel can see in each direction."""
        return sum(max(unit.taps.window - 1 for unit in step.units) for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready data; `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(data: Any) -> Description:
        """Rebuild a description, checking every field.

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


def _step_from_json(data: Any) -> Step:
    units = []
    for item in _typed(data, "units", list):
        previous = item.get("previous") if isinstance(item, dict) else None
        if previous is not None and not isinstance(previous, str):
            raise ValueError(f"model description: 'previous' is {shown(previous)}, expected the name of a plane")
        taps = _taps_from_json(_typed(item, "taps", dict))
        units.append(
            Unit(_typed(item, "name", str), _names(item, "reads"), taps, _typed(item, "values", int), previous)
        )
    numbers = {key: _typed(data, key, int) for key in ("divisor", "offset", "upscale", "rotations")}
    return Step(tuple(units), _names(data, "writes"), **numbers)


def _check(model: Description) -> None:
    if not 1 <= model.scale <= 8:
        raise ValueError(f"model description: scale is {shown(model.scale)}, expected 1..8")
    if not 1 <= len(model.steps) <= MOST_STEPS:
        raise ValueError(f"model description: found {len(model.steps)} steps, expected 1..{MOST_STEPS}")
    planes, names = {INPUT}, set()
    for number, step in enumerate(model.steps, 1):
        where, last = f"model description, step {number}", number == len(model.steps)
        _check_step(step, where, model.scale if last else 1)
        for unit in step.units:
            _check_unit(unit, step, where)
            if unit.name in names:
                raise ValueError(f"{where}: two units are called '{unit.name}'")
            names.add(unit.name)
            unknown = [plane for plane in unit.planes if plane not in planes]
            if unknown:
                raise ValueError(f"{where}: unit '{unit.name}' reads plane {shown(unknown[0])}, which nothing wrote")
        for plane in step.writes:
            if plane in planes or not _NAME.fullmatch(plane) or (plane == OUTPUT and not last):
                wanted = "new names of letters, digits, _ and -, and 'output' in the last step alone"
                raise ValueError(f"{where}: writes plane {shown(plane)}, expected {wanted}")
            planes.add(plane)
    if len(planes) > MOST_PLANES:
        raise ValueError(f"model description: found {len(planes)} planes, expected at most {MOST_PLANES}")
    if model.steps[-1].writes != (OUTPUT,):
        raise ValueError("model description: the last step must write 'output' alone")


def _check_step(step: Step, where: str, upscale: int) -> None:
    if not 1 <= len(step.units) <= MOST_UNITS or not step.writes or step.rotations not in (1, 4):
        raise ValueError(f"{where}: needs 1..{MOST_UNITS} units, planes to write and 1 or 4 rotations")
    if not 1 <= step.divisor <= MOST_DIVISOR or abs(step.offset) > MOST_DIVISOR:
        wanted = f"1..{MOST_DIVISOR} and -{MOST_DIVISOR}..{MOST_DIVISOR}"
        raise ValueError(f"{where}: found a divisor or an offset out of range, expected {wanted}")
    if step.upscale != upscale:
        raise ValueError(f"{where}: upscales by {shown(step.upscale)}, expected {upscale}")


def _check_unit(unit: Unit, step: Step, where: str) -> None:
    if not _NAME.fullmatch(unit.name):
        raise ValueError(f"{where}: unit is called {shown(unit.name)}, expected letters, digits, _ and -, at most 64")
    if unit.values != step.values:
        raise ValueError(f"{where}: unit '{unit.name}' returns {shown(unit.values)} values, expected {step.values}")
    channel = isinstance(unit.taps, ChannelTaps)
    if len(unit.reads) != (4 if channel else 1):
        raise ValueError(f"{where}: unit '{unit.name}' reads {len(unit.reads)} planes")
    if channel and unit.previous:
        raise ValueError(f"{where}: unit '{unit.name}' mixes a previous plane into those of one pixel, expected none")
