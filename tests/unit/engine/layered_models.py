"""Random models of layers for the engine's tests."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lutra.model.artifact import Artifact
from lutra.model.description import INPUT, Description, Layer, Merge, Plane, Shift, Split, Sum
from lutra.model.forms import Function
from lutra.model.steps import AnyStep, Bounds
from lutra.model.taps import Offset
from lutra.model.vectors import Scaling, VectorLayout

STEPS = (1, 2, 4, 8, 16, 32, 64)


@dataclass
class Drawing:
    """A description under construction, step by step, from a generator."""

    generator: np.random.Generator
    most_channels: int = 32
    steps: list[AnyStep] = field(default_factory=list)
    planes: dict[str, Plane] = field(default_factory=dict)

    def number(self, least: int, most: int) -> int:
        return int(self.generator.integers(least, most + 1))

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def offset(self, reach: int) -> Offset:
        return self.number(-reach, reach), self.number(-reach, reach)

    def any_of(self, names: list[str]) -> str:
        return names[self.number(0, len(names) - 1)]

    def name(self) -> str:
        return f"p{len(self.steps)}"

    def bounds(self) -> Bounds:
        """At most 64 values, with or without negative ones."""
        levels = (4, 2, 8, 16, 64, 63, 37)[self.number(0, 6)]
        least = 0 if self.chance(0.5) else self.number(-levels, 0)
        return least, least + levels - 1

    def split(self) -> None:
        read = INPUT if len(self.planes) == 1 else self.any_of(list(self.planes))
        names, bits = (f"{self.name()}high", f"{self.name()}low"), self.number(2, 5)
        low, high = ((bound - 128) >> bits for bound in self.planes[read].bounds)
        self.steps.append(Split(read, names, -128, bits))
        channels = self.planes[read].channels
        self.planes |= {names[0]: Plane(channels, (low, high)), names[1]: Plane(channels, (0, (1 << bits) - 1))}

    def shift(self) -> None:
        read = self.any_of(list(self.planes))
        plane, written = self.planes[read], self.name()
        channels: tuple[int, ...] = ()
        if self.chance(0.3):
            channels = tuple(self.number(0, plane.channels - 1) for _ in range(self.number(1, self.most_channels)))
        offsets = tuple(self.offset(3) for _ in range(len(channels) or plane.channels))
        self.steps.append(Shift(read, written, offsets, channels))
        self.planes[written] = Plane(len(offsets), plane.bounds)

    def adds(self, channels: int) -> tuple[str, ...]:
        fitting = [name for name, plane in self.planes.items() if plane.channels in (1, channels)]
        return tuple(self.any_of(fitting) for _ in range((0, 1, 1, 2, 3)[self.number(0, 4)] if fitting else 0))

    def layer(self, channels: int) -> tuple[Layer, int]:
        """A layer of that many outputs, and its number of inputs."""
        name = f"{'scale' if self.chance(0.1) else 'layer'}{len(self.steps)}"
        read = self.any_of([name for name, plane in self.planes.items() if plane.levels <= 64])
        own = self.planes[read].channels
        if self.chance(0.2):
            taps = tuple(self.offset((0, 1, 4)[self.number(0, 2)]) for _ in range(self.number(1, 3)))
            return Layer(name.replace("scale", "layer"), "window", read, taps), own * len(taps)
        if own not in (1, channels) or (self.chance(0.5) and not name.startswith("scale")):
            return Layer(name.replace("scale", "layer"), "pointwise", read), own
        count = 1 if name.startswith("scale") else (1, 2, 5, 9)[self.number(0, 3)]
        taps = tuple(self.offset((0, 1, 4)[self.number(0, 2)]) for _ in range(count))
        return Layer(name, "depthwise", read, taps), count

    def sum(self, channels: int | None = None, bounds: Bounds | None = None) -> str:
        if channels is None:
            same = [plane.channels for plane in self.planes.values()]
            channels = self.number(1, self.most_channels) if self.chance(0.5) else same[self.number(0, len(same) - 1)]
        adds, written = self.adds(channels), self.name()
        layer, divisor = None, 1
        if not adds or self.chance(0.9):
            layer, inputs = self.layer(channels)
            divisor = (inputs, inputs, 1, 2, 3, 4, 16, 100)[self.number(0, 7)]
            divisor = 1 if layer.name.startswith("scale") else divisor
        step = Sum(layer, written, channels, bounds or self.bounds(), divisor, adds)
        self.steps.append(step)
        self.planes[written] = Plane(channels, step.bounds)
        return written


def drawn(seed: int, scale: int, colours: int = 1, *, most_channels: int = 32, steps: int = 4) -> Artifact:
    """A random model of layers with random functions."""
    drawing = Drawing(np.random.default_rng(seed), most_channels, planes={INPUT: Plane(colours)})
    drawing.split()
    for _ in range(drawing.number(0, steps)):
        (drawing.shift, drawing.split, drawing.sum, drawing.sum, drawing.sum)[drawing.number(0, 4)]()
    channels = colours * scale**2
    last = drawing.sum(channels, (-128, 127))
    if drawing.chance(0.2):
        drawing.steps.append(Shift(last, "moved", tuple(drawing.offset(3) for _ in range(channels))))
        last = "moved"
    divisor, rotations = (1, 1, 4, 3)[drawing.number(0, 3)], 1 if drawing.chance(0.3) else 4
    adds = (INPUT,) if scale == 1 and drawing.chance(0.5) else ()
    merge = Merge(last, scale, divisor, drawing.number(-50, 200), adds, rotations)
    padding = "reflect" if drawing.chance(0.3) else "replicate"
    description = Description("drawn", scale, (*drawing.steps, merge), padding, colours=colours)  # type: ignore[arg-type]
    return filled(description, drawing.generator)


def filled(description: Description, generator: np.random.Generator) -> Artifact:
    """A model of that description: vectors of small and large values, rounded or not, and scales."""
    functions: dict[str, Function] = {}
    tensors: dict[str, Any] = {}
    for step, layer in description.layers():
        form = description.form(step)
        if layer.name.startswith("scale"):
            functions[layer.name] = Scaling()
            tensors[f"{layer.name}.scales"] = generator.normal(0, 3, form.outputs).astype(np.float32)
            continue
        possible = [step for step in STEPS if form.levels % step == 0]
        drawn_steps = generator.choice(possible, (form.inputs, form.outputs))
        steps = 1 if generator.random() < 0.5 else tuple(tuple(map(int, row)) for row in drawn_steps)
        functions[layer.name] = layout = VectorLayout(steps, bool(generator.random() < 0.5))
        reach = generator.choice([3, 30, 128])
        values = generator.integers(-reach, reach, layout.samples(form))
        tensors[f"{layer.name}.vectors"] = values.astype(np.int8)
    return Artifact(description, functions, tensors)
