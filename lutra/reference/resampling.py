"""Resampling with a kernel for every pixel (LeRF): float64, in the order stated, which the engine repeats bit for bit.

No operation is fused with another: each one rounds. The exponential is that of `weights`, not of a library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lutra.model.anysize import POLYNOMIAL, POWERS, SIXTEENTHS, Axis, Border, Geometry, Grid
from lutra.reference import lookup
from lutra.reference.lookup import grids

_LEAST, _MOST = -320, 8
_TWOS = torch.tensor([2.0**power for power in range(_LEAST, _MOST)], dtype=torch.float64)
POINTS_AT_ONCE = 1 << 16
"""Number of outputs that are resampled at once without gradients; bounds the memory."""


@dataclass(frozen=True)
class Places:
    """The places of the outputs: the neighbours above and to the left of each, and its distances from them.

    All four broadcast to (rows, columns): a grid has (rows, 1) and (1, columns).
    """

    top: Tensor
    left: Tensor
    down: Tensor
    across: Tensor

    @staticmethod
    def of(rows: Axis, columns: Axis, device: torch.device) -> Places:
        """Return the places of a grid of two axes, or of the places (rows, columns) of a warp along both."""
        vertical, horizontal = (torch.from_numpy(axis.first).long().to(device) for axis in (rows, columns))
        down, across = (torch.from_numpy(axis.distance).to(device) for axis in (rows, columns))
        if vertical.ndim == 2:
            return Places(vertical, horizontal, down, across)
        return Places(vertical[:, None], horizontal[None], down[:, None], across[None])

    def parts(self) -> Iterator[Places]:
        """Yield bands of rows of a warp's places that are small enough to resample at once."""
        count = max(1, POINTS_AT_ONCE // self.left.shape[1])
        for first in range(0, self.top.shape[0], count):
            of = slice(first, first + count)
            yield Places(self.top[of], self.left[of], self.down[of], self.across[of])


def on_grid(planes: Tensor, border: Border, grid: Grid) -> Tensor:
    """Return the means of pixels on a grid, not rounded: by the compiled core on the CPU, which computes the same.

    Args:
        planes: (N, 4, H, W), the pixels and the kernel's three planes, 0..255.
        border, grid: as in `lutra.model.anysize`.

    Returns:
        (N, rows, columns) float64.
    """
    if lookup.chosen(planes) == "compiled":
        return grids.means_on_grid(planes, border, grid)
    places = Places.of(grid.rows, grid.columns, planes.device)
    return resampled(planes[:, 0], planes[:, 1:].unbind(1), border, places)


def in_parts(planes: Tensor, border: Border, layout: Geometry) -> Iterator[Tensor]:
    """Yield what `on_grid` returns, or the same at the places of a warp, in bands of rows from the top."""
    planes = planes.double()
    if isinstance(layout, Grid):
        for part in layout.parts(POINTS_AT_ONCE):
            yield on_grid(planes, border, part)
        return
    for band in layout.bands():
        for places in Places.of(*band, planes.device).parts():
            yield resampled(planes[:, 0], planes[:, 1:].unbind(1), border, places)


def resampled(pixels: Tensor, kernel: Sequence[Tensor], border: Border, places: Places) -> Tensor:
    """Return the means of pixels at the places, not rounded.

    The four neighbours are summed in the order top left, bottom left, top right, bottom right.

    Args:
        pixels: (N, H, W), integers 0..255.
        kernel: the planes of correlation and steepness along rows and columns, each (N, H, W), integers 0..255.
        border: as in `lutra.model.anysize.Resample`.
        places: where the outputs lie.

    Returns:
        (N, rows, columns) float64.
    """
    height, width = pixels.shape[-2:]
    correlation, vertical, horizontal = _parameters(kernel)
    curves = [steep * steep * (-0.5 * SIXTEENTHS) for steep in (vertical, horizontal)]
    slope = correlation * vertical * horizontal
    around = 1 if border == "replicate" else 0
    total = weight = torch.zeros((), dtype=torch.float64, device=pixels.device)
    for right in (0, 1):
        for below in (0, 1):
            y, x = places.top + below, places.left + right
            inside = (y >= -around) & (y < height + around) & (x >= -around) & (x < width + around)
            y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
            dy, dx = places.down - below, places.across - right
            steps = dy * dy * curves[0][:, y, x] + dx * (dy * slope[:, y, x] + dx * curves[1][:, y, x])
            own = weights(steps)
            total = total + own * (pixels[:, y, x].double() * inside)
            weight = weight + own
    return total / weight


def weights(steps: Tensor) -> Tensor:
    """Return 2^(steps / 16), float64, within 1e-11 of the exact power.

    The steps are split into a whole number n, halves rounded to even, and the rest in -0.5..0.5, of which a
    polynomial takes the power, from the highest term down. The result is (polynomial * 2^((n mod 16) / 16)) *
    2^(n div 16).

    Args:
        steps: (...) float64, -5000..16.
    """
    whole = steps.detach().round()
    rest = steps - whole
    power = torch.full_like(rest, POLYNOMIAL[-1])
    for coefficient in POLYNOMIAL[-2::-1]:
        power = power * rest + coefficient
    number = whole.long()
    sixteenth = torch.from_numpy(POWERS).to(steps.device)[number & 15]
    return power * sixteenth * _TWOS.to(steps.device)[(number >> 4) - _LEAST]


def _parameters(kernel: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the correlation times `SIXTEENTHS`, and the steepness along rows and columns; each float64."""
    correlation, vertical, horizontal = (plane.float() / torch.tensor(255.0, device=plane.device) for plane in kernel)
    return (2 * correlation - 1).double() * SIXTEENTHS, (10 * vertical).double(), (10 * horizontal).double()
