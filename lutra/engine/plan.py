"""An artifact as the flat plan that the compiled core runs: planes by number, steps, units, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lutra.model.anysize import Resample
from lutra.model.artifact import Artifact
from lutra.model.description import INPUT, OUTPUT, ROUNDINGS, ChannelTaps, ColourTaps, FixedTaps, SampledTaps, Unit

if TYPE_CHECKING:
    from lutra._core._lutra import Builder
    from lutra.engine.records import UnitRecord

AnyBuilder = TypeVar("AnyBuilder", "Builder", "UnitRecord")
"""A builder of the core, or one that records its calls."""


def build(artifact: Artifact, builder: type[AnyBuilder]) -> AnyBuilder:
    """Check the artifact's steps and tables, and copy them into a plan of the core.

    Raises:
        ValueError: a unit is a network, taps are real numbers, or a number is beyond what the engine supports.
    """
    description = artifact.description
    if not artifact.is_tables:
        raise ValueError("the model is a network: export its tables first")
    if description.tap_bits is None and any(
        isinstance(unit.taps, SampledTaps) or unit.previous for _, unit in description.units()
    ):
        raise ValueError("the model samples real-valued taps: export it in fixed point first")
    numbers = {INPUT: 0}
    for step in description.unit_steps:
        for name in step.writes:
            if name != OUTPUT:
                numbers.setdefault(name, len(numbers))
    outputs = _outputs(description.any_size)
    plan = builder(
        planes=len(numbers),
        scale=1 if outputs else description.scale,
        reflect=description.padding == "reflect",
        rounding=ROUNDINGS.index(description.rounding),
        tap_bits=description.tap_bits or 0,
        colours=description.colours,
    )
    try:
        for step in description.unit_steps:
            writes = [numbers[name] for name in step.writes if name != OUTPUT]
            plan.step(writes, step.divisor, step.offset, step.upscale, step.rotations)
            for unit in step.units:
                _add(plan, artifact, unit, numbers)
        if outputs:
            plan.outputs([numbers[name] for name in outputs])
    except TypeError:  # a number that does not fit the core's
        raise ValueError("the model's description holds a number beyond what the engine supports") from None
    return plan


def _outputs(last: Resample | None) -> tuple[str, ...]:
    """Return the planes that resampling reads, the pixels first; none where the result is an image."""
    return (last.reads, *last.kernel) if last else ()


def _add(plan: Builder | UnitRecord, artifact: Artifact, unit: Unit, numbers: dict[str, int]) -> None:
    table = np.ascontiguousarray(artifact.table(unit.name))
    layout = artifact.functions[unit.name].numbers()  # type: ignore[union-attr]  # not a network: build() checked
    if isinstance(unit.taps, ChannelTaps):
        # AdaRL would mix the four planes with themselves.
        plan.channel([numbers[name] for name in unit.reads], layout, table)
        return
    if isinstance(unit.taps, ColourTaps):  # a table of three axes reads the last tap twice, and has no axis for it
        offsets, shifts = ([*each, *each[-1:]][:4] for each in (unit.taps.offsets, unit.taps.colours))
        colour = -1 if unit.colour is None else unit.colour
        plan.coloured(numbers[unit.reads[0]], shifts, offsets, colour, layout, table)
        return
    previous, shares = -1, [0, 0, 0, 0]
    if unit.previous:
        previous = numbers[unit.previous]
        shares = [int(share) for share in artifact.tensors[f"{unit.name}.adarl_fixed"]]
    plane = numbers[unit.reads[0]]
    if isinstance(unit.taps, FixedTaps):
        plan.fixed(plane, previous, shares, list(unit.taps.offsets), layout, table, unit.turns or ())
    else:
        weights = np.ascontiguousarray(artifact.tensors[f"{unit.name}.sampler_fixed"])
        plan.sampled(plane, previous, shares, weights, layout, table)
