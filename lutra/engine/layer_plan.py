"""A model of layers as the flat plan that the compiled core runs: planes by number, and every rotation written out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from lutra.model.artifact import Artifact
from lutra.model.description import INPUT
from lutra.model.steps import Bounds, Layer, Merge, Shift, Split, Sum
from lutra.model.taps import Offset

if TYPE_CHECKING:
    from lutra._core._lutra import LayerBuilder
    from lutra.engine.records import LayerRecord

AnyBuilder = TypeVar("AnyBuilder", "LayerBuilder", "LayerRecord")
"""A builder of the core, or one that records its calls."""

Source = tuple[int, int, int, int]
"""A channel of a plane, at an offset from the pixel: (plane, channel, row, column)."""


def turned(offset: Offset, rotation: int) -> Offset:
    """Return the offset in the image of a pixel that has that offset in the rotated image."""
    row, column = offset
    for _ in range(rotation):
        row, column = column, -row
    return row, column


def turned_square(side: int, rotation: int) -> list[int]:
    """Return, for each place of a block of the output in order, the channel that a rotation puts there."""
    places = np.arange(side * side).reshape(side, side)
    return [int(channel) for channel in np.rot90(places, -rotation).ravel()]


@dataclass(frozen=True)
class View:
    """Channels of a plane of the core, each moved by an offset."""

    plane: int
    offsets: tuple[Offset, ...]
    bounds: Bounds
    channels: tuple[int, ...]

    def source(self, channel: int, tap: Offset = (0, 0)) -> Source:
        """Return a channel at a tap; channel 0 is every channel of a plane that has one."""
        channel = channel if len(self.offsets) > 1 else 0
        row, column = self.offsets[channel]
        return self.plane, self.channels[channel], row + tap[0], column + tap[1]

    @cached_property
    def is_still(self) -> bool:
        """Whether no channel is moved."""
        return not any(map(any, self.offsets))


class _Planner:
    """Writes the operations of a description, step by step.

    views: the views of each plane, one for each rotation; they are equal where rotating changes nothing.
    chains: the calls that write the operations, by the first rotation that needs them.
    """

    def __init__(self, artifact: Artifact, plan: LayerBuilder | LayerRecord, rotations: int) -> None:
        self.artifact, self.plan = artifact, plan
        self.chains: list[list[Callable[[], None]]] = [[] for _ in range(rotations)]
        self.views = {INPUT: [_whole(0, artifact.description.colours, (0, 255))] * rotations}

    def new(self, channels: int, bounds: Bounds) -> View:
        """Return a new plane of the core."""
        return _whole(self.plan.plane(channels, *bounds), channels, bounds)

    def write(self, rotation: int, operation: Callable[..., None], *arguments: object) -> None:
        """Keep an operation for the chain of a rotation, the first that needs it."""
        self.chains[rotation].append(partial(operation, *arguments))

    def still(self, name: str) -> list[View]:
        """Return the views of a plane, after copying channels that are moved.

        Beyond the border a moved channel continues with its own values, so moving it again needs a copy.
        """
        copies: dict[View, View] = {}
        for rotation, view in enumerate(self.views[name]):
            if view in copies:
                continue
            copies[view] = view if view.is_still else self.new(len(view.offsets), view.bounds)
            if not view.is_still:
                moved = _array(view.source(channel) for channel in range(len(view.offsets)))
                self.write(rotation, self.plan.sum, -1, copies[view].plane, *view.bounds, _array([]), moved)
        self.views[name] = [copies[view] for view in self.views[name]]
        return self.views[name]

    def split(self, step: Split) -> None:
        """Write a split, once for each view of what it reads."""
        made: dict[View, tuple[View, View]] = {}
        high, low = (self.artifact.description.planes[name].bounds for name in step.writes)
        for rotation, view in enumerate(self.views[step.reads]):
            if view not in made:
                channels = len(view.offsets)
                made[view] = self.new(channels, high), self.new(channels, low)
                writes, read = [written.plane for written in made[view]], _array(map(view.source, range(channels)))
                self.write(rotation, self.plan.split, writes, step.offset, step.bits, read)
        for number, name in enumerate(step.writes):
            self.views[name] = [made[view][number] for view in self.views[step.reads]]

    def shift(self, step: Shift) -> None:
        """Move views: a shift takes no operation."""
        self.views[step.writes] = [
            View(
                view.plane,
                tuple(turned(offset, rotation) for offset in step.offsets),
                view.bounds,
                tuple(view.channels[source] for source in step.sources),
            )
            for rotation, view in enumerate(self.still(step.reads))
        ]

    def sum(self, step: Sum) -> None:
        """Write a sum, once for all rotations that read the same."""
        layer = self.layer(step, step.layer) if step.layer else -1
        made: dict[tuple[Source, ...], View] = {}
        views = []
        for rotation in range(len(self.views[INPUT])):
            inputs = self.inputs(step.layer, step.channels, rotation) if step.layer else []
            read = [self.views[name][rotation] for name in step.adds]
            adds = [view.source(channel) for channel in range(step.channels) for view in read]
            key = (*inputs, *adds)
            if key not in made:
                made[key] = self.new(step.channels, step.bounds)
                written = made[key].plane
                self.write(rotation, self.plan.sum, layer, written, *step.bounds, _array(inputs), _array(adds))
            views.append(made[key])
        self.views[step.writes] = views

    def layer(self, step: Sum, layer: Layer) -> int:
        """Copy a layer's values, and return its number."""
        values, denominator = self.artifact.vectors(layer.name)
        if np.abs(values).max() > np.iinfo(np.int16).max:
            raise ValueError(f"layer '{layer.name}' holds a value beyond what the engine supports")
        least = self.artifact.description.planes[layer.reads].bounds[0]
        entries = np.ascontiguousarray(values, np.int16)
        return self.plan.layer(least, denominator, step.divisor, self.shares_inputs(layer), entries)

    def shares_inputs(self, layer: Layer) -> bool:
        """Tell whether all outputs of a layer read the same pixels."""
        return layer.kind != "depthwise" or len(self.views[layer.reads][0].offsets) == 1

    def inputs(self, layer: Layer, outputs: int, rotation: int) -> list[Source]:
        """Return what a layer reads: once for all outputs, or for each."""
        view = (self.still(layer.reads) if any(map(any, layer.taps)) else self.views[layer.reads])[rotation]
        taps = [turned(tap, rotation) for tap in layer.taps]
        if layer.kind != "depthwise":
            return [view.source(channel, tap) for tap in taps for channel in range(len(view.offsets))]
        channels = range(1 if self.shares_inputs(layer) else outputs)
        return [view.source(channel, tap) for channel in channels for tap in taps]

    def merge(self, step: Merge) -> None:
        """Write the chains of all rotations, and the merge."""
        for chain in self.chains:
            for write in chain:
                write()
            self.plan.chain()
        colours, square = range(self.artifact.description.colours), step.upscale**2
        inputs = [
            view.source(colour * square + place)
            for colour in colours
            for rotation, view in enumerate(self.views[step.reads])
            for place in turned_square(step.upscale, rotation)
        ]
        adds = [self.views[name][0].source(colour) for colour in colours for name in step.adds]
        self.plan.merge(step.rotations, step.divisor, step.offset, _array(inputs), _array(adds))


def build_layers(artifact: Artifact, builder: type[AnyBuilder]) -> AnyBuilder:
    """Copy the layers of a model into a plan of the core.

    Raises:
        ValueError: a number is beyond what the engine supports.
    """
    description = artifact.description
    plan = builder(description.scale, description.padding == "reflect", description.colours)
    merge = description.steps[-1]
    assert isinstance(merge, Merge)
    planner = _Planner(artifact, plan, merge.rotations)
    for step in description.steps:
        if isinstance(step, Split):
            planner.split(step)
        elif isinstance(step, Shift):
            planner.shift(step)
        elif isinstance(step, Sum):
            planner.sum(step)
    planner.merge(merge)
    return plan


def _whole(plane: int, channels: int, bounds: Bounds) -> View:
    return View(plane, ((0, 0),) * channels, bounds, tuple(range(channels)))


def _array(sources: Iterable[Source]) -> NDArray[np.int32]:
    return np.array(list(sources), np.int32).reshape(-1, 4)
