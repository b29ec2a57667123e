"""The functions of layers, and how a model of layers restores: the definition of every number in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from lutra.model.description import INPUT, Description, Layer, LayerForm, Merge, Shift, Split, Sum, furthest
from lutra.model.taps import Offset
from lutra.model.vectors import VectorLayout
from lutra.reference import lookup
from lutra.reference.lookup import layered
from lutra.reference.sampling import padded, round_through


class Vectors(nn.Module):
    """The vectors of a layer, as they are stored: what training changes.

    `samples`: all of them in the artifact's order, in levels, as real numbers.
    """

    first: Tensor
    second: Tensor
    share: Tensor
    hats: Tensor

    def __init__(self, layout: VectorLayout, form: LayerForm, samples: Tensor | None = None) -> None:
        """Keep the `samples`, or zeros."""
        super().__init__()
        layout.check("new", form)
        self.layout, self.form = layout, form
        start = torch.zeros(layout.samples(form)) if samples is None else samples.to(torch.float32).clone()
        self.samples = nn.Parameter(start)
        at = layout.places(form)
        self.register_buffer("first", torch.from_numpy(at.first), persistent=False)
        self.register_buffer("second", torch.from_numpy(at.second), persistent=False)
        self.register_buffer("share", torch.from_numpy(at.share / at.step).float(), persistent=False)
        if self.steps_are_one:
            self.register_buffer("hats", _hats(self.first[0, 0], self.second[0, 0], self.share[0, 0]), persistent=False)

    @property
    def steps_are_one(self) -> bool:
        """Whether all vectors have the same step, and no ranges."""
        return isinstance(self.layout.steps, int) and self.layout.ranges is None

    def quantised(self) -> Tensor:
        """Return the samples as they ship: rounded and limited to int8, with a straight-through gradient."""
        return round_through(self.samples.clamp(-128, 127))

    def values(self) -> Tensor:
        """Return every value of every vector, in levels: (inputs, outputs, levels); exact in 32 bits."""
        samples = self.quantised()
        if self.steps_are_one:  # the same, faster
            whole = samples.reshape(self.form.inputs, self.form.outputs, -1)
            values = whole if self.layout.steps == 1 else whole @ self.hats.T
        else:
            first, second = samples[self.first], samples[self.second]
            values = first + (second - first) * self.share
        return round_through(values) if self.layout.rounded else values


def _hats(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Return the weight of each sample in each value of a vector: (levels, samples)."""
    weights = torch.zeros(len(first), int(second.max()) + 1)
    level = torch.arange(len(first))
    weights[level, second] = share
    weights[level, first] += 1 - share
    return weights


class Scales(nn.Module):
    """The scales of a layer (TinyLUT): `scales`, (channels,)."""

    def __init__(self, form: LayerForm, scales: Tensor | None = None) -> None:
        """Keep the `scales`, or ones."""
        super().__init__()
        self.form = form
        self.scales = nn.Parameter(torch.ones(form.outputs) if scales is None else scales.to(torch.float32).clone())

    def values(self) -> Tensor:
        """Return the rounded product of every value and scale: (1, channels, levels)."""
        least, most = self.form.bounds
        numbers = torch.arange(least, most + 1, dtype=torch.float32, device=self.scales.device)
        return round_through(self.scales[None, :, None] * numbers)


LayerFunction = Vectors | Scales
ValuesAndSlopes = tuple[Tensor, Tensor]


def restored(image: Tensor, description: Description, functions: Mapping[str, LayerFunction]) -> Tensor:
    """Return what a model of layers makes of images, before the last clip: (N, colours, scale * H, scale * W).

    Args:
        image: (N, colours, H, W) float, integers 0..255.
        description: the model.
        functions: the function of each layer, by its name.
    """
    merge = description.steps[-1]
    assert isinstance(merge, Merge)
    values = {name: function.values().to(image.dtype) for name, function in functions.items()}
    if lookup.chosen(image) == "compiled" and layered.suits(image, description, values):
        total = layered.restored(image, description, values)
    else:
        total = _rotations_summed(image, merge, description, values)
    result = round_through(total / merge.divisor) + merge.offset
    return result + image if merge.adds else result


def _rotations_summed(image: Tensor, merge: Merge, description: Description, values: Mapping[str, Tensor]) -> Tensor:
    total: Tensor | None = None
    vectors = {name: (value, layered.slopes(value)) for name, value in values.items()}
    for rotation in range(merge.rotations):
        planes = {INPUT: torch.rot90(image, rotation, dims=(-2, -1))}
        for step in description.steps[:-1]:
            planes |= _written(step, planes, description, vectors)
        shuffled = torch.pixel_shuffle(planes[merge.reads], merge.upscale)
        turned = torch.rot90(shuffled, -rotation, dims=(-2, -1))
        total = turned if total is None else total + turned
    assert total is not None
    return total


def _written(
    step: object, planes: Mapping[str, Tensor], description: Description, vectors: Mapping[str, ValuesAndSlopes]
) -> dict[str, Tensor]:
    """Return the planes that a step writes, each (N, C, H, W)."""
    if isinstance(step, Split):
        whole = planes[step.reads] + step.offset
        high = torch.floor(whole / 2**step.bits)
        low = whole - high.detach() * 2**step.bits
        return {step.writes[0]: high, step.writes[1]: low}
    if isinstance(step, Shift):
        moved = _around(planes[step.reads], step.offsets, description)
        channels = [moved(offset)[:, [channel]] for channel, offset in zip(step.sources, step.offsets, strict=True)]
        return {step.writes: torch.cat(channels, dim=1)}
    assert isinstance(step, Sum)
    total: Tensor | float = 0.0
    if step.layer:
        summed = _summed(step.layer, planes[step.layer.reads], description, *vectors[step.layer.name])
        total = round_through(summed / step.divisor)
    for name in step.adds:
        total = total + planes[name]
    assert isinstance(total, Tensor)
    n, _, height, width = total.shape
    return {step.writes: total.clamp(*step.bounds).expand(n, step.channels, height, width)}


def _summed(layer: Layer, plane: Tensor, description: Description, values: Tensor, slopes: Tensor) -> Tensor:
    """Return the sum of a layer's vectors: (N, outputs, H, W)."""
    least = description.planes[layer.reads].bounds[0]
    if lookup.chosen(plane) == "gpu":
        from lutra.reference.lookup import gpu_sums  # needs Triton

        reach = furthest(layer.taps)
        whole = padded(plane, reach, description.padding)
        return gpu_sums.layer_sum(whole, values, slopes, layer.taps, reach, least)
    look = _looked_up(values, slopes, least)
    total: Tensor | float = 0.0
    at, channels = _around(plane, layer.taps, description), plane.shape[1]
    for number, tap in enumerate(layer.taps):
        seen = at(tap).movedim(1, -1)
        if layer.kind == "depthwise":
            total = total + look(number, seen)
            continue
        for channel in range(channels):
            total = total + look(number * channels + channel, seen[..., channel, None])
    assert isinstance(total, Tensor)
    return total.movedim(-1, 1)


def _around(plane: Tensor, offsets: Sequence[Offset], description: Description) -> Callable[[Offset], Tensor]:
    """Return a function that gives a plane's values at an offset, one of `offsets`, from every pixel."""
    reach, (height, width) = furthest(offsets), plane.shape[-2:]
    whole = padded(plane, reach, description.padding)
    return lambda offset: whole[..., reach + offset[0] :, reach + offset[1] :][..., :height, :width]


def _looked_up(values: Tensor, slopes: Tensor, least: int) -> Callable[[int, Tensor], Tensor]:
    """Return a function of an input and its plane (N, H, W, C) that gives the values (N, H, W, outputs).

    C is 1, or that of the outputs, each of which then reads a channel of its own. The gradient to the plane is the
    slope of the vectors, the mean of those to both sides.
    """

    def look(number: int, plane: Tensor) -> Tensor:
        found = _entries(values[number], plane.detach() - least)
        if not plane.requires_grad:
            return found
        return found + _entries(slopes[number], plane.detach() - least) * (plane - plane.detach())

    return look


def _entries(vectors: Tensor, places: Tensor) -> Tensor:
    """Return the entries of vectors (outputs, levels) at places (N, H, W, 1 or outputs): (N, H, W, outputs)."""
    at = places.long()
    if at.shape[-1] == 1:
        return vectors.T.contiguous()[at[..., 0]]
    return vectors.flatten()[at + vectors.shape[1] * torch.arange(len(vectors), device=vectors.device)]
