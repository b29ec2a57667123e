"""The kinds of steps that a model is made of, as plain data. Needs no torch.

A `Step` sums units: functions of four 8-bit values. The other kinds work on planes of several channels of small
signed integers: a `Split` takes a pixel apart, a `Sum` adds up vectors (functions of one small integer), a `Shift`
moves channels, and a `Merge` makes the output from what all of them wrote. A `Residual` adds what small tables return
to an image of real numbers. A `Resample` makes an output of any size from the planes that steps of units wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lutra.model.anysize import Resample
from lutra.model.taps import ColourTaps, Offset, Taps

Bounds = tuple[int, int]
"""The least and the largest value."""
Padding = Literal["replicate", "reflect"]

INPUT, OUTPUT = "input", "output"

MOST_STEPS, MOST_UNITS, MOST_PLANES, MOST_DIVISOR = 64, 64, 256, 1 << 12
"""Limits of a model: steps, units in a step, planes, and the size of a divisor or offset."""

MOST_ENTRIES = 1 << 16
"""Limit of a table without interpolation."""

MOST_CHANNELS, MOST_LEVELS, MOST_TAPS, MOST_INPUTS, MOST_REACH = 64, 64, 64, 256, 15
"""Limits of a layer: channels, values of the plane that it reads, taps, vectors that an output sums, and pixels to a
tap or a shift's source."""


@dataclass(frozen=True)
class Unit:
    """One function of four 8-bit values, or of three: a network while training, a table afterwards.

    reads: the plane its taps come from; four planes for `ChannelTaps`.
    previous: the plane that AdaRL mixes into the taps (AutoLUT, section 3.3), or None.
    values: the number of values in an entry.
    turns: the rotations, of 0..3, that a unit of fixed taps is applied at, in order; None for all of its step's.
    colour: the one that a unit of colour taps makes, 0 for red to 2 for blue; None for each of the three.
    """

    name: str
    reads: tuple[str, ...]
    taps: Taps
    values: int
    previous: str | None = None
    turns: tuple[int, ...] | None = None
    colour: int | None = None

    @property
    def planes(self) -> tuple[str, ...]:
        """Every plane that the unit needs."""
        return self.reads + ((self.previous,) if self.previous else ())

    def check_colours(self, colours: int, where: str) -> None:
        """Raise ValueError if its colour taps do not fit a model of that number of colours."""
        if not isinstance(self.taps, ColourTaps):
            if self.colour is not None:
                raise ValueError(f"{where}: unit '{self.name}' makes a colour, expected colour taps")
            return
        self.taps.check(f"{where}: unit '{self.name}'")
        if colours != 3 or self.previous or self.colour not in (None, 0, 1, 2):
            wanted = "a model of three colours, no previous plane, and a colour of 0..2 or none"
            raise ValueError(f"{where}: unit '{self.name}' has colour taps, expected {wanted}")


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

    def check_colours(self, colours: int, where: str) -> None:
        """Raise ValueError if its units do not fit a model of that number of colours, or make only some of them."""
        for unit in self.units:
            unit.check_colours(colours, where)
        made = {unit.colour for unit in self.units}
        if None not in made and len(made) < 3:
            raise ValueError(f"{where}: makes the colours {sorted(map(str, made))}, expected all three")


@dataclass(frozen=True)
class Plane:
    """The content of a plane: its number of channels, and its least and largest value."""

    channels: int = 1
    bounds: Bounds = (0, 255)

    @property
    def levels(self) -> int:
        """The number of values that a pixel can have."""
        return self.bounds[1] - self.bounds[0] + 1


@dataclass(frozen=True)
class Split:
    """Takes every channel of a plane apart: high = floor(x / 2^bits), low = x mod 2^bits, where x = value + offset.

    writes: the planes of the high and of the low bits.
    """

    reads: str
    writes: tuple[str, str]
    offset: int = -128
    bits: int = 2


LayerKind = Literal["depthwise", "pointwise", "window"]
LAYER_KINDS: tuple[str, ...] = get_args(LayerKind)


@dataclass(frozen=True)
class Layer:
    """Vectors that are summed: each is a function of one value of the plane `reads`.

    kind: "depthwise": output o sums a vector of each tap, of channel o there (or of the plane's only channel);
        "pointwise": output o sums a vector of each channel of the pixel, and the taps are ((0, 0),);
        "window": output o sums a vector of each channel of each tap, those of a tap one after the other.
    taps: offsets (row, column) from the current pixel, each in -15..15.
    """

    name: str
    kind: LayerKind
    reads: str
    taps: tuple[Offset, ...] = ((0, 0),)


@dataclass(frozen=True)
class LayerForm:
    """The size of a layer: its inputs (taps, channels or both), its outputs (channels), the bounds of what it reads."""

    inputs: int
    outputs: int
    bounds: Bounds

    @property
    def levels(self) -> int:
        """The number of values that a vector is a function of."""
        return self.bounds[1] - self.bounds[0] + 1


@dataclass(frozen=True)
class Sum:
    """Writes clip(round(sum of the layer / divisor) + added planes), halves rounded to even, the clip to `bounds`.

    layer: None for a sum of planes alone.
    adds: the planes whose values at the pixel are added; those of one channel are added to every channel.
    """

    layer: Layer | None
    writes: str
    channels: int
    bounds: Bounds
    divisor: int = 1
    adds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shift:
    """Moves channels: channel c of what it writes is channel `channels[c]` of what it reads at (y + dy, x + dx).

    offsets: (dy, dx) of each channel that it writes, each in -15..15.
    channels: the channel that each takes; () for its own.
    """

    reads: str
    writes: str
    offsets: tuple[Offset, ...]
    channels: tuple[int, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """The channel that each channel of what it writes takes."""
        return self.channels or tuple(range(len(self.offsets)))


@dataclass(frozen=True)
class Merge:
    """Makes the output from a plane of upscale * upscale channels for each colour, the last step of a model of layers.

    All steps before it run once for each rotation of the image. The channels of a pixel become its block (pixel
    shuffle), colour by colour, the result is turned back, and the output is clip(round(sum of rotations / divisor) +
    offset + added planes, 0, 255), halves rounded to even.

    adds: nothing, or the input, where sizes stay.
    rotations: 4 for the rotation ensemble, or 1.
    """

    reads: str
    upscale: int
    divisor: int = 1
    offset: int = 0
    adds: tuple[str, ...] = ()
    rotations: int = 4


BitsOfPixel = Literal["high", "low"]


@dataclass(frozen=True)
class DirectTable:
    """A table of a few bits of two or three pixels, with an entry for every combination: nothing is interpolated.

    bits: whether it sees the high or the low bits of its taps.
    taps: offsets (row, column) from the current pixel, each in -15..15; the first has the most weight in an index.
    padding: how the image continues beyond its border.
    """

    name: str
    bits: BitsOfPixel
    taps: tuple[Offset, ...]
    padding: Padding


@dataclass(frozen=True)
class Residual:
    """Enlarges an image of float32 values in 0..1 by repeating pixels, and adds what its tables return (HKLUT).

    A table sees q = floor(255 x): q div 2^low_bits (high) or q mod 2^low_bits (low). With H and L the integer sums over
    the four rotations and all tables of the high or of the low bits, the result is
    clip(((H / tables of the high bits) / 255 + (L / tables of the low bits) / 255) + x, 0, 1), every operation
    rounded to float32. Steps of this kind follow one another; the input is divided by 255 before the first, and the
    output is round(255 x).
    """

    tables: tuple[DirectTable, ...]
    reads: str
    writes: str
    upscale: int
    low_bits: int = 4

    def levels(self, table: DirectTable) -> int:
        """Return the number of values that a tap of one of its tables has."""
        return 1 << (8 - self.low_bits if table.bits == "high" else self.low_bits)

    def entries(self, table: DirectTable) -> int:
        """Return the number of entries of one of its tables."""
        return int(self.levels(table) ** len(table.taps))


LayerStep = Split | Sum | Shift | Merge
"""The steps of a model of layers."""
AnyStep = Step | LayerStep | Residual | Resample
