"""AutoLUT (CVPR 2025): learned sampling and adaptive residuals, on MuLUT or on SPF-LUT ("SPF-Light")."""

from __future__ import annotations

from typing import Literal

from lutra.model.description import INPUT, OUTPUT, Description, NetworkSpec, SampledTaps, Step, Unit
from lutra.model.families import spflut

NETWORK = NetworkSpec(kind="dense", bound="tanh", activation="gelu")
STARTS = "sdyeho"


def describe(
    scale: int,
    *,
    base: Literal["mulut", "spflut"] = "mulut",
    branches: int | None = None,
    kernel: int | None = None,
    stages: int | None = None,
) -> Description:
    """Describe AutoSample in place of patterns, and AdaRL between groups (sections 3.2 and 3.3).

    Args:
        scale: upscaling factor, 1..4.
        base: the system that it is built on.
        branches: parallel samplers per group; 3 on MuLUT, 1 on SPF-LUT ("SPF-Light") when None.
        kernel: side of the sampling window; 5 when None.
        stages: number of stages on MuLUT, 2 when None; SPF-LUT's are fixed.
    """
    count = branches or (3 if base == "mulut" else 1)
    taps = [SampledTaps(kernel or 5, STARTS[branch % len(STARTS)]) for branch in range(count)]
    options = {"base": base, "branches": count, "kernel": kernel or 5}
    if base == "spflut":
        if stages is not None:
            raise ValueError(f"autolut on spflut has a fixed cascade: 'stages' ({stages}) does not apply")
        steps = spflut.cascade(scale, [(str(branch), tap) for branch, tap in enumerate(taps)], residual=True)
        return Description("autolut", scale, steps, rounding="lookup", options=options)
    if base != "mulut":
        raise ValueError(f"autolut: base is {base!r}, expected 'mulut' or 'spflut'")
    depth = stages or 2
    inputs = [INPUT] + [f"stage{stage}" for stage in range(1, depth)]
    steps_list = []
    for stage in range(depth):
        last = stage == depth - 1
        units = tuple(
            Unit(
                f"s{stage}_{branch}",
                (inputs[stage],),
                tap,
                scale**2 if last else 1,
                inputs[stage - 1] if stage else None,
            )
            for branch, tap in enumerate(taps)
        )
        if last:
            steps_list.append(Step(units, (OUTPUT,), divisor=count, upscale=scale))
        else:
            steps_list.append(Step(units, (inputs[stage + 1],), divisor=4 * count, offset=127))
    options["stages"] = depth
    return Description("autolut", scale, tuple(steps_list), rounding="branch", top_node=256, options=options)
