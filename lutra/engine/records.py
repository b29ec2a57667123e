"""The calls that make up a plan of the compiled core, recorded as a plan file holds them (docs/format.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from lutra.model.tasks import Planes

MAGIC = b"\x89LUT\r\n\x1a\n"
MOST_BYTES = 2**30
LONGEST_TITLE = 1024
_RESAMPLING, _TURNED = 7, 8


class Record:
    """The records of a plan, in place of a builder of the core.

    kind: the kind of the plan.
    """

    kind: ClassVar[int]

    def __init__(self, *opening: int, colours: int = 1) -> None:
        """Open a plan with the numbers of its first record; `colours` of a pixel are restored together."""
        self._colours = colours
        self._parts: list[bytes] = []
        self._kinds: set[int] = set()
        self._add(1, *opening)

    def _add(self, kind: int, *content: int | Sequence[int] | NDArray[Any]) -> None:
        """Add a record of numbers and of arrays, each of which ends at a multiple of four bytes."""
        payload = b"".join(_array(part) if isinstance(part, np.ndarray) else _numbers(part) for part in content)
        self._parts += [struct.pack("<II", kind, len(payload)), payload]
        self._kinds.add(kind)

    def _version(self) -> int:
        """Return the oldest version that can hold the plan."""
        return 2 if self._colours > 1 else 1

    def to_bytes(self, title: str, planes: Planes) -> bytes:
        """Return the whole file.

        Args:
            title: what the model is, in one line.
            planes: what it was trained on.

        Raises:
            ValueError: the file would be too large.
        """
        name = title.encode()[:LONGEST_TITLE].decode(errors="ignore").encode()
        colours = self._colours if self._colours > 1 else 0
        trained = get_args(Planes).index(planes)
        about = struct.pack("<IIII", self.kind, trained, colours, len(name)) + _padded(name)
        body = about + b"".join(self._parts)
        size = len(MAGIC) + 8 + len(body) + 4
        if size > MOST_BYTES:
            raise ValueError(f"the plan has {size} bytes, and a plan file holds at most {MOST_BYTES}")
        content = MAGIC + struct.pack("<II", self._version(), size) + body
        return content + struct.pack("<I", zlib.crc32(content))


class UnitRecord(Record):
    """A plan of units, with the calls of the core's `Builder`."""

    kind = 1

    def __init__(self, planes: int, scale: int, reflect: bool, rounding: int, tap_bits: int, colours: int = 1) -> None:
        """Open a plan; the arguments are those of the core."""
        super().__init__(planes, scale, reflect, rounding, tap_bits, colours=colours)
        self._outputs: list[int] = []

    def _version(self) -> int:
        return 3 if self._kinds & {_RESAMPLING, _TURNED} else super()._version()

    def step(self, writes: list[int], divisor: int, offset: int, upscale: int, rotations: int) -> None:
        """Add a step."""
        self._add(2, divisor, offset, upscale, rotations, len(writes), writes)

    def fixed(
        self,
        plane: int,
        previous: int,
        shares: list[int],
        offsets: list[tuple[int, int]],
        layout: list[int],
        table: NDArray[Any],
        turns: Sequence[int] = (),
    ) -> None:
        """Add a unit that reads pixels at fixed offsets, applied at the rotations `turns`, or at all of its step's."""
        taps = plane, previous, shares, _flat(offsets)
        if turns:
            self._add(_TURNED, *taps, len(turns), turns, layout, table.shape, table)
        else:
            self._add(3, *taps, layout, table.shape, table)

    def sampled(
        self,
        plane: int,
        previous: int,
        shares: list[int],
        weights: NDArray[Any],
        layout: list[int],
        table: NDArray[Any],
    ) -> None:
        """Add a unit that reads weighted means of a window."""
        self._add(4, plane, previous, shares, layout, weights.shape[1], weights, table.shape, table)

    def coloured(
        self,
        plane: int,
        shifts: list[int],
        offsets: list[tuple[int, int]],
        colour: int,
        layout: list[int],
        table: NDArray[Any],
    ) -> None:
        """Add a unit that reads pixels of several colours at fixed offsets."""
        self._add(6, plane, shifts, _flat(offsets), colour, layout, table.shape, table)

    def channel(self, planes: list[int], layout: list[int], table: NDArray[Any]) -> None:
        """Add a unit that reads a pixel of four planes."""
        self._add(5, planes, layout, table.shape, table)

    def outputs(self, planes: list[int]) -> None:
        """Take the planes that `resampling` reads."""
        self._outputs = planes

    def resampling(self, scale: int, replicate: bool, *numbers: NDArray[np.float64]) -> None:
        """Add the resampling of the planes `outputs`, the last record.

        Args:
            scale: the factor where no size is asked for.
            replicate: whether pixels next to the border repeat it; else they are 0.
            numbers: those of `lutra.model.anysize`: steepness, correlation, curve, powers, polynomial.
        """
        self._add(_RESAMPLING, scale, replicate, self._outputs, *numbers)


class LayerRecord(Record):
    """A plan of layers, with the calls of the core's `LayerBuilder`."""

    kind = 2

    def __init__(self, scale: int, reflect: bool, colours: int) -> None:
        """Open a plan; the arguments are those of the core."""
        super().__init__(scale, reflect, colours=colours)
        self._planes, self._layers = 1, 0  # plane 0 is the input

    def plane(self, channels: int, low: int, high: int) -> int:
        """Add a plane, and return its number."""
        self._add(2, channels, low, high)
        self._planes += 1
        return self._planes - 1

    def layer(self, low: int, denominator: int, divisor: int, shared: bool, entries: NDArray[Any]) -> int:
        """Add a layer, and return its number."""
        narrow = entries.astype(np.int8)
        wide = not np.array_equal(narrow, entries)
        self._add(3, low, denominator, divisor, shared, wide, entries.shape, entries if wide else narrow)
        self._layers += 1
        return self._layers - 1

    def chain(self) -> None:
        """Begin a new chain."""
        self._add(4)

    def split(self, writes: list[int], offset: int, bits: int, inputs: NDArray[Any]) -> None:
        """Add a split."""
        self._add(5, writes, offset, bits, *_sources(inputs))

    def sum(self, layer: int, writes: int, low: int, high: int, inputs: NDArray[Any], adds: NDArray[Any]) -> None:
        """Add a sum."""
        self._add(6, layer, writes, low, high, *_sources(inputs), *_sources(adds))

    def merge(self, rotations: int, divisor: int, offset: int, inputs: NDArray[Any], adds: NDArray[Any]) -> None:
        """Add the merge."""
        self._add(7, rotations, divisor, offset, *_sources(inputs), *_sources(adds))


class ResidualRecord(Record):
    """A plan of residuals, with the calls of the core's `ResidualBuilder`."""

    kind = 3

    def __init__(self, scale: int) -> None:
        """Open a plan."""
        super().__init__(scale)

    def step(self, upscale: int, low_bits: int) -> None:
        """Add a step."""
        self._add(2, upscale, low_bits)

    def table(self, high: bool, reflect: bool, offsets: NDArray[Any], entries: NDArray[Any]) -> None:
        """Add a table."""
        places = [int(number) for number in offsets.ravel()]
        self._add(3, high, reflect, offsets.shape[1], places, entries.shape[1:], entries)


def _flat(offsets: list[tuple[int, int]]) -> list[int]:
    return [number for offset in offsets for number in offset]


def _numbers(values: int | Iterable[int]) -> bytes:
    numbers = [values] if isinstance(values, int) else list(values)
    return struct.pack(f"<{len(numbers)}i", *numbers)


def _array(values: NDArray[Any]) -> bytes:
    return _padded(values.astype(values.dtype.newbyteorder("<")).tobytes())


def _sources(sources: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """Return how many channels an operation reads, and where they lie, in 16 bits."""
    return len(sources), sources.astype(np.int16)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
