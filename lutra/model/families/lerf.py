"""LeRF (CVPR 2023, T-PAMI 2025): tables give every pixel a kernel, and the image is resampled to any size by them."""

from __future__ import annotations

from lutra.model.anysize import Border
from lutra.model.description import INPUT, PATTERNS, Description, FixedTaps, NetworkSpec, Resample, Step, Unit

NETWORK = NetworkSpec(kind="dense", bound="tanh")
FEATURES = "features"
KERNEL = ("correlation", "steepness_rows", "steepness_columns")


def describe(scale: int, *, patterns: str = "sct", border: Border = "replicate") -> Description:
    """Describe a step that prepares the pixels, one that gives each its kernel, and the resampling (section 3).

    A unit of the second step is applied at half of the rotations: s2_s0 at 0 and 180 degrees, s2_s1 at 90 and 270,
    because a kernel that is turned by 90 degrees is another one.

    Args:
        scale: the factor of calls that ask for no size, 1..4; the model restores to any size.
        patterns: names of the patterns used in parallel, one letter each.
        border: "replicate", or "zero" as published, which makes the border darker.
    """
    taps = {name: FixedTaps(name, PATTERNS[name]) for name in patterns}
    prepared = tuple(Unit(f"s1_{name}", (INPUT,), taps[name], 1) for name in patterns)
    kernels = tuple(
        Unit(f"s2_{name}{turn}", (FEATURES,), taps[name], len(KERNEL), turns=(turn, turn + 2))
        for name in patterns
        for turn in (0, 1)
    )
    steps = (
        Step(prepared, (FEATURES,), divisor=len(patterns)),
        Step(kernels, KERNEL, divisor=4 * len(patterns), offset=127),
        Resample(FEATURES, KERNEL, border),
    )
    return Description("lerf", scale, steps, options={"patterns": patterns, "border": border})
