"""ShiftLUT's networks as their paper trains them, for the benchmark of training: small networks behind every vector.

They take the place of the vectors of a model of `shiftlut`; offsets are fixed, as in the paper's second stage
(ShiftLUT, CVPR 2026, section 3, and its published code).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lutra.reference.sampling import round_through

FEATURES = 28
WINDOW = [(row, column) for row in range(3) for column in range(3)]


class Depthwise(nn.Module):
    """An affine map for each tap of a 3x3 window and each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(9, channels, 1, 1) * (2 / 9) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(9, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded mean over the taps: (N, channels, H, W), of x (N, 1 or channels, H, W)."""
        height, width = x.shape[-2:]
        around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        total: Tensor | float = 0.0
        for tap, (row, column) in enumerate(WINDOW):
            seen = around[..., row : row + height, column : column + width]
            total = total + round_through((self.weight[tap] * seen + self.bias[tap]).clamp(-128, 127))
        assert isinstance(total, Tensor)
        return round_through(total / 9)


class Pointwise(nn.Module):
    """A network for each input channel, each with dense layers: 1 value in, `outputs` values out."""

    def __init__(self, channels: int, outputs: int, dense: int) -> None:
        super().__init__()
        self.channels, self.outputs = channels, outputs
        widths = [1, *(FEATURES * (layer + 1) for layer in range(dense + 1))]
        hidden = [nn.Conv2d(channels * width, channels * FEATURES, 1, groups=channels) for width in widths[:-1]]
        self.hidden = nn.ModuleList(hidden)
        self.last = nn.Conv2d(channels * widths[-1], channels * outputs, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded mean over the channels: (N, outputs, H, W), of x (N, channels, H, W)."""
        n, _, height, width = x.shape
        features = torch.relu(self.hidden[0](x))
        for layer in list(self.hidden)[1:]:
            new = torch.relu(layer(features))
            both = [part.reshape(n, self.channels, -1, height, width) for part in (features, new)]
            features = torch.cat(both, dim=2).reshape(n, -1, height, width)
        each = round_through(self.last(features).clamp(-128, 127))
        return round_through(each.reshape(n, self.channels, self.outputs, height, width).mean(dim=1))


class ShiftNetwork(nn.Module):
    """The whole model with networks in place of vectors, rotations as one batch."""

    def __init__(self, offsets: list[tuple[tuple[int, int], ...]], scale: int, channels: int = 16) -> None:
        super().__init__()
        self.offsets, self.scale, self.channels = offsets, scale, channels
        self.low = Depthwise(channels)
        self.depthwise = nn.ModuleList(Depthwise(channels) for _ in offsets)
        self.pointwise = nn.ModuleList(Pointwise(channels, channels, 1) for _ in offsets)
        self.up = Pointwise(channels, scale**2, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Return the restored planes before the last clip: (N, 1, scale * H, scale * W), of square images."""
        turned = torch.cat([torch.rot90(image, turn, dims=(-2, -1)) for turn in range(4)])
        parts = self._planes(turned).chunk(4)
        total = sum(torch.rot90(part, -turn, dims=(-2, -1)) for turn, part in enumerate(parts))
        assert isinstance(total, Tensor)
        return total + 128

    def _planes(self, image: Tensor) -> Tensor:
        whole = image - 128
        high = torch.floor(whole / 4)
        low = whole - 4 * high
        state = (self.depthwise[0](high) + high + (self.low(low) + low).clamp(0, 3)).clamp(-32, 31)
        for block, offsets in enumerate(self.offsets):
            if block:
                state = (self.depthwise[block](state) + state).clamp(-32, 31)
            moved = _shifted(state, offsets)
            state = (self.pointwise[block](moved) + moved).clamp(-32, 31)
        out = self.up(state)
        if self.scale**2 <= self.channels:
            out = out + state[:, : self.scale**2]
        return functional.pixel_shuffle(out.clamp(-128, 127), self.scale)


def _shifted(state: Tensor, offsets: tuple[tuple[int, int], ...]) -> Tensor:
    reach = max(abs(step) for offset in offsets for step in offset)
    around = functional.pad(state, (reach,) * 4, mode="replicate")
    height, width = state.shape[-2:]
    channels = [
        around[:, channel, reach + row : reach + row + height, reach + column : reach + column + width]
        for channel, (row, column) in enumerate(offsets)
    ]
    return torch.stack(channels, dim=1)
