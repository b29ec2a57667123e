"""The taps of a unit: pixels at fixed offsets, means of a window, planes of one pixel, or colours. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as shown  # short, and on one line, whatever a file holds

Offset = tuple[int, int]

PATTERNS: dict[str, tuple[Offset, Offset, Offset, Offset]] = {
    "s": ((0, 0), (0, 1), (1, 0), (1, 1)),
    "d": ((0, 0), (0, 2), (2, 0), (2, 2)),
    "y": ((0, 0), (1, 1), (1, 2), (2, 1)),
    "e": ((0, 0), (0, 3), (3, 0), (3, 3)),
    "h": ((0, 0), (2, 2), (2, 3), (3, 2)),
    "o": ((0, 0), (2, 2), (1, 3), (3, 1)),
    "c": ((0, 0), (0, 1), (0, 2), (0, 3)),
    "t": ((0, 0), (1, 1), (2, 2), (3, 3)),
}
"""Offsets (row, column) of the taps a, b, c, d from the current pixel (MuLUT, ECCV 2022, section 3.2; LeRF)."""


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


@dataclass(frozen=True)
class ColourTaps:
    """Three or four values at offsets (row, column), each >= 0, of the colours of one plane (DnLUT, CVPR 2025).

    colours: of each tap, counted from the colour that the unit makes: 0 for itself, 1 for the one after it, in the
        order red, green, blue, red.
    """

    offsets: tuple[Offset, ...]
    colours: tuple[int, ...]

    @property
    def window(self) -> int:
        """Side of the smallest square window, in pixels, that holds every tap."""
        return 1 + max(max(offset) for offset in self.offsets)

    def check(self, where: str) -> None:
        """Raise ValueError if the offsets or colours are out of range."""
        near = all(0 <= value < 16 for offset in self.offsets for value in offset)
        if not (len(self.colours) == len(self.offsets) in (3, 4) and near) or not set(self.colours) <= {0, 1, 2}:
            found = f"colours {shown(self.colours)} at {shown(self.offsets)}"
            raise ValueError(f"{where}: taps are of {found}, expected three or four of 0..2, in 0..15")


Taps = FixedTaps | SampledTaps | ChannelTaps | ColourTaps


def count_of(taps: Taps) -> int:
    """Return how many values a function of taps reads."""
    return len(taps.offsets) if isinstance(taps, ColourTaps) else 4
