"""Restoration models as plain data: steps over planes of small integers. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any, Literal, get_args

from lutra.model.anysize import Resample
from lutra.model.checks import checked_planes
from lutra.model.steps import (
    INPUT,
    OUTPUT,
    AnyStep,
    DirectTable,
    Layer,
    LayerForm,
    Merge,
    Padding,
    Plane,
    Residual,
    Shift,
    Split,
    Step,
    Sum,
    Unit,
)
from lutra.model.taps import PATTERNS, ChannelTaps, ColourTaps, FixedTaps, Offset, SampledTaps, Taps

__all__ = [
    "INPUT",
    "OUTPUT",
    "PATTERNS",
    "AnyStep",
    "ChannelTaps",
    "ColourTaps",
    "Description",
    "DirectTable",
    "FixedTaps",
    "Layer",
    "LayerForm",
    "Merge",
    "NetworkSpec",
    "Offset",
    "Padding",
    "Plane",
    "Resample",
    "Residual",
    "SampledTaps",
    "Shift",
    "Split",
    "Step",
    "Sum",
    "Taps",
    "Unit",
    "furthest",
]

Rounding = Literal["exact", "lookup", "branch"]
Bound = Literal["clamp", "tanh"]

ROUNDINGS: tuple[str, ...] = get_args(Rounding)
"""The roundings in the order of their numbers in the compiled core."""


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


WEIGHT_BITS = 14
"""AutoSample's weights ship as int16 multiples of 2^-14."""

MIX_BITS = 10
"""AdaRL's shares ship as int16 multiples of 2^-10."""

TAP_BITS = 6
"""Sampled taps ship as multiples of 2^-6 level. With these three, every product stays within the 24 bits that a
float32 holds exactly, so that the reference and an integer engine agree to the last bit."""


@dataclass(frozen=True)
class Description:
    """A whole model. Every stage, exporter, importer and engine works from this alone.

    scale: the factor by which each side grows; for a model of any size, that of calls which ask for no size.
    steps: steps of units, with a resampling as the last or without; or splits, sums and shifts, and a merge as the
        last; or residuals alone.
    padding: how planes continue beyond the border of the image; residuals' tables have their own.
    rounding: "exact" rounds once per step; "lookup" rounds the running sum after each rotation of each unit;
        "branch" does the same, but restarts that sum for every unit, as MuLUT's finetuning and later systems do.
    top_node: the value fed to a network for the last grid node: 255, or 256 where nothing is clipped.
    round_units: whether a network unit's output is rounded to a level in training, as its table will be.
    tap_bits: fractional bits of sampled taps in fixed point; None while they are real numbers, as published.
    options: the options that the family built it from.
    colours: 3 for a model of layers or units that reads red, green and blue together and writes all three; 1 for one
        that restores planes one by one.
    """

    family: str
    scale: int
    steps: tuple[AnyStep, ...]
    padding: Padding = "replicate"
    rounding: Rounding = "exact"
    top_node: int = 255
    round_units: bool = True
    tap_bits: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    colours: int = 1

    def __post_init__(self) -> None:
        """Check that the steps fit together; raises ValueError."""
        _ = self.planes  # checks them, and keeps what they hold

    @cached_property
    def planes(self) -> Mapping[str, Plane]:
        """The content of each plane, by its name; in models of units every plane has one channel of 8 bits."""
        return checked_planes(self.scale, self.steps, self.colours)

    @property
    def is_layered(self) -> bool:
        """Whether the model is one of layers (`Split`, `Sum`, `Shift`, `Merge`)."""
        return isinstance(self.steps[-1], Merge)

    @property
    def has_units(self) -> bool:
        """Whether the model is one of units (`Step`): functions of a few 8-bit values."""
        return isinstance(self.steps[0], Step)

    @property
    def adds_input(self) -> bool:
        """Whether the model adds its result to the input."""
        return isinstance(last := self.steps[-1], Merge) and bool(last.adds)

    @property
    def any_size(self) -> Resample | None:
        """The resampling of a model whose output has any size; None in a model of one scale."""
        return self.steps[-1] if isinstance(self.steps[-1], Resample) else None

    @property
    def unit_steps(self) -> tuple[Step, ...]:
        """The steps of a model of units; none of another model."""
        return tuple(step for step in self.steps if isinstance(step, Step))

    def units(self) -> Iterator[tuple[Step, Unit]]:
        """Return every unit with its step, in order."""
        return ((step, unit) for step in self.unit_steps for unit in step.units)

    def layers(self) -> Iterator[tuple[Sum, Layer]]:
        """Return every layer with its step, in order."""
        return ((step, step.layer) for step in self.steps if isinstance(step, Sum) and step.layer)

    def direct_tables(self) -> Iterator[tuple[Residual, DirectTable]]:
        """Return every table without interpolation with its step, in order."""
        return ((step, table) for step in self.steps if isinstance(step, Residual) for table in step.tables)

    def form(self, step: Sum) -> LayerForm:
        """Return the size of a step's layer."""
        assert step.layer is not None
        read = self.planes[step.layer.reads]
        inputs = {
            "depthwise": len(step.layer.taps),
            "pointwise": read.channels,
            "window": read.channels * len(step.layer.taps),
        }
        return LayerForm(inputs[step.layer.kind], step.channels, read.bounds)

    @property
    def radius(self) -> int:
        """The distance, in input pixels, that an output pixel can see in each direction."""
        reach, enlarged = {INPUT: 0}, 1
        for step in self.steps:
            if isinstance(step, Step):
                own = max(max(map(reach.__getitem__, unit.planes)) + unit.taps.window - 1 for unit in step.units)
                reach |= dict.fromkeys(step.writes, own)
            elif isinstance(step, Sum):
                read = [reach[name] for name in step.adds]
                if step.layer:
                    read.append(reach[step.layer.reads] + furthest(step.layer.taps))
                reach[step.writes] = max(read)
            elif isinstance(step, Shift):
                reach[step.writes] = reach[step.reads] + furthest(step.offsets)
            elif isinstance(step, Split):
                reach |= dict.fromkeys(step.writes, reach[step.reads])
            elif isinstance(step, Residual):
                own = furthest(tap for table in step.tables for tap in table.taps)
                reach[step.writes] = reach[step.reads] - -own // enlarged  # rounded up, in pixels of the input
                enlarged *= step.upscale
            elif isinstance(step, Resample):
                reach[OUTPUT] = max(map(reach.__getitem__, (step.reads, *step.kernel))) + 1
            else:
                reach[OUTPUT] = reach[step.reads]
        return reach[OUTPUT]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data, which `lutra.model.parsing.description_from_json` reads."""
        return asdict(self, dict_factory=_without_later)


_LATER = (("turns", None), ("channels", ()), ("colours", 1), ("colour", None))
"""Fields that earlier versions did not have, with the values that stand for what those did."""


def _without_later(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return fields by name, without later ones that change nothing: files stay as earlier versions wrote them."""
    return {name: value for name, value in fields if (name, value) not in _LATER}


def furthest(offsets: Iterable[Offset]) -> int:
    """Return the largest distance of an offset along either axis."""
    return max(abs(value) for offset in offsets for value in offset)
