"""LutUnit: the function of four 8-bit values, or three, that a model is composed of, as a network or as a table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lutra.model.description import ChannelTaps, ColourTaps, FixedTaps, NetworkSpec, Padding, SampledTaps, Unit
from lutra.model.layouts import Layout
from lutra.reference.lookup import lookup
from lutra.reference.sampling import AdaRL, AutoSample, round_through, shifted

LEVELS = 127
"""A unit's bounded output, -1..1, is stored as -127..127."""


class PointwiseNet(nn.Module):
    """A small network of four values (SR-LUT, CVPR 2021, section 3.1; MuLUT, ECCV 2022, section 3.4)."""

    def __init__(self, values: int, spec: NetworkSpec, taps: int = 4) -> None:
        """Build the layers for an output of `values` values and an input of `taps`."""
        super().__init__()
        self.spec = spec
        widths = [taps] + [spec.width * (i + 1 if spec.kind == "dense" else 1) for i in range(spec.depth + 1)]
        self.hidden = nn.ModuleList(nn.Linear(width, spec.width) for width in widths[:-1])
        self.last = nn.Linear(widths[-1], values)
        self.linear = nn.Linear(taps, values) if spec.linear else None
        self.activation = nn.ReLU() if spec.activation == "relu" else nn.GELU()

    def forward(self, taps: Tensor) -> Tensor:
        """Return the values (..., V) of taps (..., T) in 0..255: in levels, -127..127, not rounded."""
        if torch.is_grad_enabled():
            return self._values(taps)
        flat = taps.reshape(-1, taps.shape[-1])  # inference on whole images: bounded memory
        parts = [self._values(part) for part in torch.split(flat, 1 << 17)]
        return torch.cat(parts).reshape(*taps.shape[:-1], -1)

    def _values(self, taps: Tensor) -> Tensor:
        x = taps / 255
        features = self.activation(self.hidden[0](x))
        for layer in list(self.hidden)[1:]:
            new = self.activation(layer(features))
            features = torch.cat([features, new], dim=-1) if self.spec.kind == "dense" else new
        y = self.last(features)
        if self.linear is not None:
            y = y + self.linear(x)
        y = y.float()
        return LEVELS * (torch.tanh(y) if self.spec.bound == "tanh" else y.clamp(-1, 1))

    @torch.no_grad()
    def start_from(self, weights: Tensor, constant: float | Tensor) -> None:
        """Make the function the linear map `weights` (V, T) of the taps, plus `constant`, one or (V,), in levels."""
        if self.linear is None:
            raise ValueError("a network without its linear map cannot start from one")
        self.linear.weight.copy_(weights * 255 / LEVELS)
        self.linear.bias.copy_(torch.as_tensor(constant) / LEVELS)
        self.last.weight.zero_()
        self.last.bias.zero_()


class Table(nn.Module):
    """A table of int8 values: the form that a network is exported to, and that finetuning trains."""

    def __init__(self, layout: Layout, values: Tensor) -> None:
        """Keep the `values`: (layout.entries, V), in levels."""
        super().__init__()
        self.layout = layout
        self.values = nn.Parameter(values.to(torch.float32).clone())

    def forward(self, taps: Tensor) -> Tensor:
        """Return the interpolated values (..., V), in levels, of taps (..., 4) in 0..255."""
        return lookup(taps, self.quantised().to(taps.dtype), self.layout)

    def quantised(self) -> Tensor:
        """Return the values as they ship: rounded and limited to int8, with a straight-through gradient."""
        return round_through(self.values.clamp(-128, 127))


class TabledNet(nn.Module):
    """A network seen through the table it will become: sampled on the nodes, rounded, looked up, at every step.

    Training it trains the network, and the loss is that of the exported model. The network's cost for a step no
    longer grows with the batch.
    """

    nodes: Tensor

    def __init__(self, network: PointwiseNet, layout: Layout, top_node: int) -> None:
        """Sample `network` on a layout; `top_node`: the value fed for the last grid node, 255 or 256."""
        super().__init__()
        self.network = network
        self.layout = layout
        nodes = torch.from_numpy(layout.nodes()).to(torch.float32).clamp(max=top_node)
        self.register_buffer("nodes", nodes, persistent=False)

    def forward(self, taps: Tensor) -> Tensor:
        """Return the interpolated values (..., V), in levels, of taps (..., 4) in 0..255."""
        return lookup(taps, self.quantised().to(taps.dtype), self.layout)

    def quantised(self) -> Tensor:
        """Return the values of the table that the network is now, with a straight-through gradient: (entries, V)."""
        return round_through(self.network(self.nodes))


UnitFunction = PointwiseNet | TabledNet | Table


class LutUnit(nn.Module):
    """One unit of a description: gathers its taps under the rotation ensemble and applies its function."""

    def __init__(self, spec: Unit, function: UnitFunction, tap_bits: int | None = None) -> None:
        """Keep the `function`; export puts a `Table` in place of a `PointwiseNet` later."""
        super().__init__()
        self.spec = spec
        self.function: UnitFunction = function
        self.sampler = AutoSample(spec.taps, tap_bits) if isinstance(spec.taps, SampledTaps) else None
        self.adarl = AdaRL(tap_bits) if spec.previous else None

    def forward(self, planes: dict[str, Tensor], rotations: int, padding: Padding) -> Tensor:
        """Return the values of every pixel under every rotation.

        Args:
            planes: name -> (N, H, W) float, 0..255; of a model of three colours, each image's red, green and blue
                one after the other.
            rotations: 4, or 1 for a unit that sees one pixel.
            padding: how planes continue beyond their border.

        Returns:
            (rotations, N, H, W, V) in levels, of a unit with turns of its own for those alone; the values of rotation
            r are still in the rotated frame.
        """
        taps = self._gather(planes[self.spec.reads[0]], planes, rotations, padding)
        if self.adarl is not None and self.spec.previous:
            before = self._gather(planes[self.spec.previous], planes, rotations, padding)
            taps = self.adarl(before, taps)
        values: Tensor = self.function(taps)
        if self.spec.colour is None:
            return values
        around = (0, 0) * 3 + (self.spec.colour, 2 - self.spec.colour)  # nothing for the other colours
        return torch.nn.functional.pad(values.unsqueeze(2), around).flatten(1, 2)

    def _gather(self, plane: Tensor, planes: dict[str, Tensor], rotations: int, padding: Padding) -> Tensor:
        kind = self.spec.taps
        if isinstance(kind, ChannelTaps):
            return torch.stack([planes[name] for name in self.spec.reads], dim=-1).unsqueeze(0)
        if isinstance(kind, ColourTaps):
            return self._gather_colours(kind, plane, rotations, padding)
        if isinstance(kind, FixedTaps):
            taps = shifted(plane, kind.offsets, rotations, padding)
            return taps if self.spec.turns is None else taps[list(self.spec.turns)]
        assert self.sampler is not None
        sampled: Tensor = self.sampler(plane, rotations, padding)
        return sampled

    def _gather_colours(self, kind: ColourTaps, plane: Tensor, rotations: int, padding: Padding) -> Tensor:
        """Return the taps of every colour that the unit makes: (rotations, N, H, W, taps)."""
        images, own = plane.reshape(-1, 3, *plane.shape[1:]), self.spec.colour
        taps = []
        for offset, colour in zip(kind.offsets, kind.colours, strict=True):
            read = images.roll(-colour, 1).flatten(0, 1) if own is None else images[:, (own + colour) % 3]
            taps.append(shifted(read, [offset], rotations, padding))
        return torch.cat(taps, dim=-1)
