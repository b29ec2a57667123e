"""MuLUT (ECCV 2022, TPAMI 2024): groups of parallel units, in stages."""

from __future__ import annotations

from lutra.model.description import INPUT, OUTPUT, PATTERNS, Description, FixedTaps, NetworkSpec, Step, Unit

NETWORK = NetworkSpec(kind="dense", bound="tanh")


def describe(scale: int, *, patterns: str = "sdy", stages: int = 2) -> Description:
    """Describe stages in series, each a sum of one unit per pattern (sections 3.2 and 3.3).

    All but the last stage return an image of the same size, around 127; the last one upscales.

    Args:
        scale: upscaling factor, 1..4.
        patterns: names of the patterns used in parallel, one letter each.
        stages: number of stages, at least 1.
    """
    steps = []
    for stage in range(1, stages + 1):
        last = stage == stages
        reads = INPUT if stage == 1 else f"stage{stage - 1}"
        upscale = scale if last else 1
        units = tuple(
            Unit(f"s{stage}_{name}", (reads,), FixedTaps(name, PATTERNS[name]), upscale**2) for name in patterns
        )
        if last:
            steps.append(Step(units, (OUTPUT,), divisor=len(patterns), upscale=scale))
        else:
            steps.append(Step(units, (f"stage{stage}",), divisor=4 * len(patterns), offset=127))
    return Description("mulut", scale, tuple(steps), options={"patterns": patterns, "stages": stages})
