"""SPF-LUT (CVPR 2024): four groups in cascade, a channel unit over their planes, and an up group."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.model.description import (
    INPUT,
    OUTPUT,
    PATTERNS,
    ChannelTaps,
    Description,
    FixedTaps,
    NetworkSpec,
    Step,
    Taps,
    Unit,
)

NETWORK = NetworkSpec(kind="dense", bound="tanh")
GROUPS = 4


def describe(scale: int, *, patterns: str = "sdy") -> Description:
    """Describe the cascade with one unit per pattern in every group (section 3.1, figure 3).

    Args:
        scale: upscaling factor, 1..4; 1 for restoration without upscaling.
        patterns: names of the patterns used in parallel, one letter each.
    """
    branches = [(name, FixedTaps(name, PATTERNS[name])) for name in patterns]
    return Description("spflut", scale, cascade(scale, branches), rounding="lookup", options={"patterns": patterns})


def cascade(scale: int, branches: Sequence[tuple[str, Taps]], *, residual: bool = False) -> tuple[Step, ...]:
    """Return the steps for named taps; `residual` gives every group the input of the group before it too (AdaRL)."""
    count = len(branches)
    inputs = [INPUT] + [f"carry{group}" for group in range(1, GROUPS)]
    kept = tuple(f"kept{group}" for group in range(1, GROUPS + 1))
    mixed = tuple(f"mixed{group}" for group in range(1, GROUPS + 1))
    steps = []
    for group in range(GROUPS):
        writes = (kept[group],) if group == GROUPS - 1 else (kept[group], inputs[group + 1])
        previous = inputs[group - 1] if residual and group > 0 else None
        units = tuple(
            Unit(f"s{group + 1}c0_{name}", (inputs[group],), taps, len(writes), previous) for name, taps in branches
        )
        steps.append(Step(units, writes, divisor=4 * count, offset=127))
    channel = Unit("s5_channel", kept, ChannelTaps(), GROUPS)
    steps.append(Step((channel,), mixed, divisor=1, offset=127, rotations=1))
    up = tuple(
        Unit(f"s6c{plane}_{name}", (mixed[plane],), taps, scale**2, inputs[plane] if residual else None)
        for plane in range(GROUPS)
        for name, taps in branches
    )
    steps.append(Step(up, (OUTPUT,), divisor=4 * count, upscale=scale))
    return tuple(steps)
