"""The taps of a unit: shifted planes, AutoSample's learned means, and AdaRL's mix of two stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lutra.model.description import MIX_BITS, PATTERNS, WEIGHT_BITS, Offset, Padding, SampledTaps
from lutra.model.fixedpoint import adarl_shares, sampling_weights


def rotated(offset: Offset, rotation: int) -> Offset:
    """Return the offset in the image of an offset (row, column) in the image turned by 90 * `rotation` degrees."""
    row, column = offset
    for _ in range(rotation):
        row, column = column, -row
    return row, column


def _border(size: int, reach: int, padding: Padding, device: torch.device) -> Tensor:
    """Return the source index of every position from -reach to size - 1 + reach."""
    position = torch.arange(-reach, size + reach, device=device)
    if padding == "replicate" or size == 1:
        return position.clamp(0, size - 1)
    period = 2 * (size - 1)
    position = position.remainder(period)
    return torch.minimum(position, period - position)


def padded(planes: Tensor, reach: int, padding: Padding) -> Tensor:
    """Return planes (..., H, W) continued by `reach` pixels on every side."""
    height, width = planes.shape[-2:]
    rows = _border(height, reach, padding, planes.device)
    columns = _border(width, reach, padding, planes.device)
    return planes[..., rows, :][..., columns]


def shifted(plane: Tensor, offsets: Sequence[Offset], rotations: int, padding: Padding) -> Tensor:
    """Return the pixels at the offsets from every pixel, under each rotation of the image.

    Rotating the image counter-clockwise, looking right and down, and rotating back is the same as looking along
    the rotated offsets: the image itself stays where it is.

    Args:
        plane: (N, H, W).
        offsets: (row, column) of each tap.
        rotations: 1 or 4.
        padding: "replicate" or "reflect" (mirrored about the border pixel).

    Returns:
        (rotations, N, H, W, len(offsets)).
    """
    height, width = plane.shape[-2:]
    reach = max(max(abs(value) for value in offset) for offset in offsets)
    around = padded(plane, reach, padding)
    views = []
    for rotation in range(rotations):
        for offset in offsets:
            row, column = rotated(offset, rotation)
            views.append(around[:, reach + row :, reach + column :][:, :height, :width])
    stacked = torch.stack(views, dim=-1)
    return stacked.reshape(*plane.shape, rotations, len(offsets)).movedim(-2, 0)


def round_through(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes straight through."""
    return x + (x.detach().round() - x.detach())


def fixed_point(x: Tensor, bits: int) -> Tensor:
    """Round half up to multiples of 2^-bits; the gradient passes straight through."""
    exact = x.detach()
    return x + (torch.floor(exact * 2.0**bits + 0.5) / 2.0**bits - exact)


class AutoSample(nn.Module):
    """Four learned weighted means of a window (AutoLUT, CVPR 2025, section 3.2).

    `logits`: (4, kernel * kernel), before the softmax.
    `tap_bits`: None for real taps, as published; else weights and taps are in fixed point, as in the engine.
    `shipped`: the int16 weights of a loaded artifact, used for as long as the logits are the `loaded` ones.
    """

    loaded: Tensor | None
    shipped: Tensor | None

    def __init__(self, taps: SampledTaps, tap_bits: int | None = None) -> None:
        """Start with most weight on the offsets of the pattern `taps.start`, as far as the window holds them."""
        super().__init__()
        self.kernel = taps.kernel
        self.tap_bits = tap_bits
        start = torch.zeros(4, taps.kernel, taps.kernel)
        for tap, (row, column) in enumerate(PATTERNS[taps.start]):
            start[tap, min(row, taps.kernel - 1), min(column, taps.kernel - 1)] = 4.0
        self.logits = nn.Parameter(start.flatten(1))
        self.register_buffer("loaded", None, persistent=False)
        self.register_buffer("shipped", None, persistent=False)

    def load(self, logits: Tensor, shipped: Tensor) -> None:
        """Take the weights of an artifact: real numbers (4, kernel * kernel), and the integers that they ship as."""
        self.logits = nn.Parameter(logits)
        self.loaded, self.shipped = logits.clone(), shipped

    def forward(self, plane: Tensor, rotations: int, padding: Padding) -> Tensor:
        """Return the taps (rotations, N, H, W, 4) of a plane (N, H, W) in 0..255."""
        offsets = [(row, column) for row in range(self.kernel) for column in range(self.kernel)]
        taps = shifted(plane, offsets, rotations, padding) @ self.weights().T.to(plane.dtype)
        return taps if self.tap_bits is None else fixed_point(taps, self.tap_bits)

    def weights(self) -> Tensor:
        """Return the means' weights: (4, kernel * kernel), each row summing to 1."""
        # The softmax in steps: torch's rounds otherwise with another number of threads, where there is no AVX-512
        powers = (self.logits - self.logits.detach().amax(dim=-1, keepdim=True)).exp()
        weights = powers / powers.sum(dim=-1, keepdim=True)
        if self.tap_bits is None:
            return weights
        return weights + (self.quantised().to(weights.dtype) / 2.0**WEIGHT_BITS - weights.detach())

    def quantised(self) -> Tensor:
        """Return the weights as they ship: (4, kernel * kernel) int16, in units of 2^-WEIGHT_BITS."""
        # Elsewhere exp may round otherwise, so that the loaded numbers would become other integers.
        if self.shipped is not None and self.loaded is not None and torch.equal(self.logits, self.loaded):
            return self.shipped
        return torch.from_numpy(sampling_weights(self.logits.detach().cpu().numpy())).to(self.logits.device)


class AdaRL(nn.Module):
    """Mixes the taps of the previous group's input into a unit's own (AutoLUT, CVPR 2025, section 3.3).

    `mix`: (4,), the share of the previous group's taps, clamped to 0..1.
    `tap_bits`: None for real numbers; else the share is a multiple of 2^-MIX_BITS and taps are in fixed point.
    """

    def __init__(self, tap_bits: int | None = None) -> None:
        """Start with a small share, so that the gradient is not cut off by the clamp."""
        super().__init__()
        self.tap_bits = tap_bits
        self.mix = nn.Parameter(torch.full((4,), 0.05))

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        """Return mix * previous + (1 - mix) * current; both are (..., 4)."""
        shares = self.shares().to(current.dtype)
        mixed = shares * previous + (1 - shares) * current
        return mixed if self.tap_bits is None else fixed_point(mixed, self.tap_bits)

    def shares(self) -> Tensor:
        """Return the previous group's share of every tap: (4,), 0..1."""
        mix = self.mix.clamp(0, 1)
        if self.tap_bits is None:
            return mix
        return mix + (self.quantised().to(mix.dtype) / 2.0**MIX_BITS - mix.detach())

    def quantised(self) -> Tensor:
        """Return the share as it ships: (4,) int16, in units of 2^-MIX_BITS."""
        return torch.from_numpy(adarl_shares(self.mix.detach().cpu().numpy())).to(self.mix.device)
