"""Restoration models as plain data: steps over 8-bit planes, each a sum of units. Needs no torch."""

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
"""The roundings in the order of their numbers in the compiled core."""

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
        """Return JSON-ready data."""
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
"""Limits of a model: steps, units in a step, planes, and the size of a divisor or offset."""

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
    values: the number of values in an entry.
    """

    name: str
    reads: tuple[str, ...]
    taps: Taps
    values: int
    previous: str | None = None

    @property
    def planes(self) -> tuple[str, ...]:
        """Every plane that the unit needs."""
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
        """The number of values that each of its units returns."""
        return len(self.writes) * self.upscale**2


@dataclass(frozen=True)
class Description:
    """A whole model. Every stage, exporter, importer and engine works from this alone.

    rounding: "exact" rounds once per step; "lookup" rounds the running sum after each rotation of each unit;
        "branch" does the same, but restarts that sum for every unit, as MuLUT's finetuning and later systems do.
    top_node: the value fed to a network for the last grid node: 255, or 256 where nothing is clipped.
    round_units: whether a network unit's output is rounded to a level in training, as its table will be.
    tap_bits: fractional bits of sampled taps in fixed point; None while they are real numbers, as published.
    options: the options that the family built it from.
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
        """Return every unit with its step, in order."""
        return ((step, unit) for step in self.steps for unit in step.units)

    @property
    def radius(self) -> int:
        """The distance, in input pixels, that an output pixel can see in each direction."""
        return sum(max(unit.taps.window - 1 for unit in step.units) for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data, which `lutra.model.parsing.description_from_json` reads."""
        return asdict(self)


def _check(model: Description) -> None:
    if not 1 <= model.scale <= 8:
        raise ValueError(f"model description: scale is {shown(model.scale)}, expected 1..8")
    if not 1 <= len(model.steps) <= MOST_STEPS:
        raise ValueError(f"model description: found {len(model.steps)} steps, expected 1..{MOST_STEPS}")
    planes: set[str] = {INPUT}
    names: set[str] = set()
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
        _check_writes(step, where, planes, last)
        planes.update(step.writes)
    if len(planes) > MOST_PLANES:
        raise ValueError(f"model description: found {len(planes)} planes, expected at most {MOST_PLANES}")
    if model.steps[-1].writes != (OUTPUT,):
        raise ValueError("model description: the last step must write 'output' alone")


def _check_writes(step: Step, where: str, planes: set[str], last: bool) -> None:
    for number, plane in enumerate(step.writes):
        known = plane in planes or plane in step.writes[:number]
        if known or not _NAME.fullmatch(plane) or (plane == OUTPUT and not last):
            wanted = "new names of letters, digits, _ and -, and 'output' in the last step alone"
            raise ValueError(f"{where}: writes plane {shown(plane)}, expected {wanted}")


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
