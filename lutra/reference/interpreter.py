"""The torch interpreter: runs a description with networks or tables in its units. It defines every result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lutra.model.anysize import Geometry, Grid
from lutra.model.description import INPUT, MIX_BITS, OUTPUT, ColourTaps, Description, Step
from lutra.reference import layers, lookup, resampling, residuals
from lutra.reference.layers import LayerFunction, Scales, Vectors
from lutra.reference.lookup import compiled
from lutra.reference.residuals import DirectEntries
from lutra.reference.sampling import round_through
from lutra.reference.units import LutUnit, PointwiseNet

BAND_PIXELS = 1 << 18
"""Number of input pixels that are restored at once; bounds the reference's memory to about a gigabyte."""


class LutModel(nn.Module):
    """A restoration model: a description, one `LutUnit` for each of its units, and the function of each layer."""

    def __init__(
        self,
        description: Description,
        units: Mapping[str, LutUnit],
        functions: Mapping[str, nn.Module] | None = None,
    ) -> None:
        """Keep the `units` and the `functions` of layers and direct tables, each of the description, by name."""
        super().__init__()
        self.description = description
        self.units = nn.ModuleDict({_key(unit.name): units[unit.name] for _, unit in description.units()})
        named = {_key(name): (functions or {})[name] for name in _named_functions(description)}
        self.functions = nn.ModuleDict(named)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Restore planes, without the last clip, for losses that need the overshoot.

        Args:
            image: (N, colours, H, W) float, integers 0..255. Where the description has one colour, images are
                restored plane by plane.
            scale: the factor of a model of any size; None for the model's.

        Returns:
            (N, colours, scale * H, scale * W) float; rounded to integers in every model but SR-LUT's network and LeRF.
        """
        if self.description.any_size:
            planes, border = self.resampling_planes(image), self.description.any_size.border
            return resampling.on_grid(planes, border, self.grid(image, scale)).unsqueeze(1)
        if self.description.is_layered:
            return layers.restored(image, self.description, self.layers_by_name())
        if not self.description.has_units:
            return residuals.restored(image, self.description, self.direct_by_name())
        made = self.planes(image, len(self.description.unit_steps))[OUTPUT]
        return made.reshape(*image.shape[:2], *made.shape[1:])

    def planes(self, image: Tensor, steps: int) -> dict[str, Tensor]:
        """Return the planes, each (N * colours, H, W), after the first `steps` steps, with the input.

        Args:
            image: (N, colours, H, W).
            steps: how many of the steps to run.
        """
        planes = {INPUT: image.flatten(0, 1)}
        for number in range(steps):
            planes.update(self._run(number, planes))
        return planes

    @torch.no_grad()
    def restore(self, image: Tensor) -> Tensor:
        """Restore planes (N, colours, H, W) uint8 to planes (N, colours, scale * H, scale * W) uint8.

        Large images are restored in bands of rows that overlap by the model's radius; the result is the same.
        """
        if self.description.any_size:
            return self.restore_at(image, self.grid(image))
        return self._in_bands(image, self)

    def resampling_planes(self, image: Tensor) -> Tensor:
        """Return what the resampling of a model of any size reads: the pixels and the kernel's planes, (N, 4, H, W)."""
        step = self.description.any_size
        assert step is not None
        planes = self.planes(image, len(self.description.unit_steps))
        return torch.stack([planes[name] for name in (step.reads, *step.kernel)], dim=1)

    @torch.no_grad()
    def restore_at(self, image: Tensor, layout: Geometry) -> Tensor:
        """Restore planes (N, 1, H, W) uint8 by a model of any size: (N, 1, rows, columns) uint8."""
        assert self.description.any_size is not None
        planes, border = self._in_bands(image, self.resampling_planes), self.description.any_size.border
        parts = resampling.in_parts(planes, border, layout)
        return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts], dim=1).unsqueeze(1)

    def grid(self, image: Tensor, scale: int | None = None) -> Grid:
        """Return the grid of an image that a model of any size enlarges by `scale`; None for the model's."""
        height, width = image.shape[-2:]
        return Grid.scaled(height, width, scale or self.description.scale)

    def _in_bands(self, image: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `make`'s result for an image, (N, C, ...) uint8, in bands of rows that overlap by the radius."""
        n, _, height, width = image.shape
        real = torch.float32 if self.is_exact_in_single else torch.float64
        radius, scale = self.description.radius, 1 if self.description.any_size else self.description.scale
        rows = max(radius, BAND_PIXELS // (n * width), 1)
        bands = []
        for top in range(0, height, rows):
            first, end = max(0, top - radius), min(height, top + rows + radius)
            band = make(image[:, :, first:end].to(real)).round().clamp(0, 255).to(torch.uint8)
            bands.append(band[:, :, (top - first) * scale : (min(height, top + rows) - first) * scale])
        return torch.cat(bands, dim=2)

    @property
    def is_exact_in_single(self) -> bool:
        """Tell whether float32 holds every sum and distinguishes every quotient from a tie; True for networks.

        Sums are multiples of 2^-b, with b fractional bits of taps and interval together; a float32 holds 24 bits.
        Quotients that are no ties lie at least 1 / (divisor * 2^(b + 1)) away from one; a float32 of 0..255 holds 16
        fractional bits. A mixture of AdaRL has 8 + MIX_BITS + tap_bits bits.
        """
        if not self.description.has_units:
            return True  # sums of layers have at most 64 multiples of 1/64 in 8 bits; residuals are defined in 32 bits
        tap_bits = self.description.tap_bits or 0
        for step in self.description.unit_steps:
            functions = [self.unit(unit.name).function for unit in step.units]
            if any(isinstance(function, PointwiseNet) for function in functions):
                return True
            layouts = [function.layout for function in functions if not isinstance(function, PointwiseNet)]
            bits = tap_bits + max(max(layout.numbers()[:2]) for layout in layouts)
            divisor = step.divisor << bits
            most = (len(step.units) * step.rotations * 128 << bits) + abs(step.offset) * divisor
            if most >= 1 << 24 or divisor >= 1 << 14:
                return False
        return 8 + MIX_BITS + tap_bits <= 24

    def restore_image(self, image: NDArray[np.uint8], layout: Geometry | None = None) -> NDArray[np.uint8]:
        """Restore an image (H, W) or (H, W, C) uint8 on the device of the model.

        Each channel is restored on its own, or all three together where the description has three colours: then
        another number of channels raises ValueError. A model of any size makes the outputs of `layout`, if there is
        one.
        """
        device = next((parameter.device for parameter in self.parameters()), torch.device("cpu"))
        planes = torch.from_numpy(np.atleast_3d(image).transpose(2, 0, 1).copy())
        if len(planes) % self.description.colours:
            raise ValueError(f"image has {len(planes)} channels, expected {self.description.colours}")
        together = planes.reshape(-1, self.description.colours, *planes.shape[1:]).to(device)
        planes = self.restore_at(together, layout) if layout else self.restore(together)
        restored: NDArray[np.uint8] = planes.flatten(0, 1).cpu().numpy()
        return restored[0] if image.ndim == 2 else np.ascontiguousarray(restored.transpose(1, 2, 0))

    def _run(self, number: int, planes: dict[str, Tensor]) -> dict[str, Tensor]:
        step = self.description.unit_steps[number]
        total = self.sums(number, planes)
        result = total / step.divisor + step.offset
        if self._levels(step):
            result = round_through(result)
        if step.writes != (OUTPUT,):
            result = result.clamp(0, 255)
        n, height, width, count, scale, _ = result.shape
        result = result.permute(3, 0, 1, 4, 2, 5).reshape(count, n, height * scale, width * scale)
        return dict(zip(step.writes, result, strict=True))

    def _levels(self, step: Step) -> bool:
        networks = any(isinstance(self.unit(unit.name).function, PointwiseNet) for unit in step.units)
        return self.description.round_units or not networks

    def unit(self, name: str) -> LutUnit:
        """Return the unit of that name."""
        unit = self.units[_key(name)]
        assert isinstance(unit, LutUnit)
        return unit

    def by_name(self) -> dict[str, LutUnit]:
        """Return every unit by its name in the description."""
        return {spec.name: self.unit(spec.name) for _, spec in self.description.units()}

    def layer(self, name: str) -> LayerFunction:
        """Return the function of the layer of that name."""
        return self.layers_by_name()[name]

    def layers_by_name(self) -> dict[str, LayerFunction]:
        """Return the function of every layer by its name in the description."""
        return {name: own for name, own in self.functions_by_name().items() if isinstance(own, Vectors | Scales)}

    def replace_function(self, name: str, function: LayerFunction) -> None:
        """Put another function in a layer."""
        self.functions[_key(name)] = function

    def direct_by_name(self) -> dict[str, DirectEntries]:
        """Return the entries of every direct table by its name in the description."""
        return {name: own for name, own in self.functions_by_name().items() if isinstance(own, DirectEntries)}

    def functions_by_name(self) -> dict[str, nn.Module]:
        """Return the function of every layer and direct table by its name in the description."""
        return {name: self.functions[_key(name)] for name in _named_functions(self.description)}

    def lut_units(self) -> Iterator[LutUnit]:
        """Yield every unit, in the description's order."""
        return (self.unit(spec.name) for _, spec in self.description.units())

    def train_samplers(self, trained: bool) -> None:
        """Choose whether training also changes AutoSample's weights and AdaRL's shares."""
        for unit in self.lut_units():
            for module in (unit.sampler, unit.adarl):
                if module is not None:
                    module.requires_grad_(trained)

    def sums(self, number: int, planes: dict[str, Tensor]) -> Tensor:
        """Return a step's units summed over its rotations: (N, H, W, planes, upscale, upscale), in levels."""
        step = self.description.unit_steps[number]
        fused = lookup.chosen(planes[step.units[0].reads[0]]) == "compiled"
        units = [self.unit(spec.name) for spec in step.units]
        if not fused or any(isinstance(unit.function, PointwiseNet) for unit in units):
            return self._reference_sum(step, planes)
        if any(isinstance(unit.spec.taps, ColourTaps) for unit in units):
            total = torch.stack([self._compiled_sum(number, planes, colour) for colour in range(3)], dim=1).flatten(
                0, 1
            )
        else:
            total = self._compiled_sum(number, planes)
        return total.reshape(*total.shape[:3], -1, step.upscale, step.upscale)

    def _compiled_sum(self, number: int, planes: dict[str, Tensor], colour: int | None = None) -> Tensor:
        """Return the same from one call of the compiled core, for units that are all tables: (N, H, W, values).

        With a colour, of those planes of the batch alone.
        """
        step = self.description.unit_steps[number]
        units = [self.unit(spec.name) for spec in compiled.units_of(step, colour)]
        functions = [unit.function for unit in units if not isinstance(unit.function, PointwiseNet)]
        read = [planes[name] for name in compiled.planes_read(step)]
        if colour is not None:
            read = [plane[own::3] for plane in read for own in range(3)]
        real = read[0].dtype
        total: Tensor = compiled.ensemble(
            read,
            [function.quantised().to(real) for function in functions],
            [unit.sampler.weights().to(real) for unit in units if unit.sampler is not None],
            [unit.adarl.shares().to(real) for unit in units if unit.adarl is not None],
            self._plan(number, colour),
        )
        return total

    def _plan(self, number: int, colour: int | None) -> str:
        step, described = self.description.unit_steps[number], self.description
        layouts = tuple(self.unit(spec.name).function.layout for spec in compiled.units_of(step, colour))
        numbers = described.rounding, described.padding, described.tap_bits
        return compiled.plan_of(step, layouts, *numbers, colour=colour)

    # What `torch.compiler.assume_constant_result` sets, without its import of torch's compiler, which takes seconds.
    _plan._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def _reference_sum(self, step: Step, planes: dict[str, Tensor]) -> Tensor:
        rounding = self.description.rounding
        total: Tensor | None = None
        for spec in step.units:
            unit = self.unit(spec.name)
            values = unit(planes, step.rotations, self.description.padding)
            if isinstance(unit.function, PointwiseNet) and self.description.round_units:
                values = round_through(values)
            running = None if rounding == "branch" else total
            for rotation, rotated in enumerate(values.reshape(*values.shape[:-1], -1, step.upscale, step.upscale)):
                turned = torch.rot90(rotated, -rotation, dims=(-2, -1))
                running = turned if running is None else running + turned
                # A step without the rotation ensemble has no running sum: its result is rounded once.
                if rounding != "exact" and step.rotations > 1 and self._levels(step):
                    running = round_through(running)
            assert running is not None
            total = total + running if rounding == "branch" and total is not None else running
        assert total is not None
        return total


def _named_functions(description: Description) -> list[str]:
    """Return the names of a description's layers and direct tables."""
    return [own.name for of in (description.layers(), description.direct_tables()) for _, own in of]


def _key(name: str) -> str:
    """Return a unit's name in a ModuleDict: never that of the dict's attributes, such as "keys" or "training"."""
    return f"unit {name}" if hasattr(nn.ModuleDict(), name) else name
