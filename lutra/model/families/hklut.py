"""HKLUT (IJCAI 2024): stages that enlarge by two, each a sum of small tables of the high and of the low four bits."""

from __future__ import annotations

from lutra.model.description import INPUT, OUTPUT, Description, DirectTable, Offset, Residual
from lutra.model.steps import BitsOfPixel

NETWORK = None
TAPS: dict[BitsOfPixel, dict[str, tuple[Offset, ...]]] = {
    "high": {"h": ((0, 0), (0, 1), (0, 2)), "d": ((0, 0), (1, 1), (2, 2)), "b": ((0, 0), (1, 2), (2, 1))},
    "low": {"h": ((0, 0), (0, 1)), "d": ((0, 0), (1, 1))},
}
"""The taps of the patterns (section 3): three pixels of high bits, two of low bits."""
STAGES = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2)}
"""The factors of the stages, by scale."""


def describe(scale: int) -> Description:
    """Describe two stages for scale 4, else one; tables are called s0_high_h and so on.

    Args:
        scale: upscaling factor, 1..4.
    """
    planes = [INPUT] + [f"stage{stage}" for stage in range(1, len(STAGES[scale]))] + [OUTPUT]
    steps = []
    for stage, upscale in enumerate(STAGES[scale]):
        tables = tuple(
            DirectTable(f"s{stage}_{bits}_{name}", bits, taps, "reflect" if bits == "high" else "replicate")
            for bits, patterns in TAPS.items()
            for name, taps in patterns.items()
        )
        steps.append(Residual(tables, planes[stage], planes[stage + 1], upscale))
    return Description("hklut", scale, tuple(steps), padding="reflect")
