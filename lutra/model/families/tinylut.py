"""TinyLUT (NeurIPS 2024): a branch of layers over the high six bits and one over the low two, each with its scales."""

from __future__ import annotations

from lutra.model.description import INPUT, Description, Layer, Merge, Split, Sum
from lutra.model.steps import AnyStep, Bounds

NETWORK = None
CHANNELS = 16
WINDOW = tuple((row, column) for row in (-2, -1, 0) for column in (-2, -1, 0))
BRANCHES: dict[str, Bounds] = {"high": (-32, 31), "low": (0, 3)}
"""The planes that the branches read, with the bounds of all planes in them."""


def describe(scale: int) -> Description:
    """Describe the two branches, which meet before the pixel shuffle alone (section 3).

    The layers are called depth, point and up; scale1 and scale2 multiply what point and up read.

    Args:
        scale: upscaling factor, 1..4; 1 for restoration without upscaling, which adds the result to the input.
    """
    steps: list[AnyStep] = [Split(INPUT, ("high", "low"))]
    for branch, bounds in BRANCHES.items():
        depth, scale1, point, scale2, up = (f"{name}_{branch}" for name in ("depth", "scale1", "point", "scale2", "up"))
        residual = (scale2 + "_out",) if scale**2 == CHANNELS else ()
        steps += [
            Sum(Layer(depth, "depthwise", branch, WINDOW), depth + "_out", CHANNELS, bounds, 9, (branch,)),
            Sum(Layer(scale1, "depthwise", depth + "_out"), scale1 + "_out", CHANNELS, bounds),
            Sum(Layer(point, "pointwise", scale1 + "_out"), point + "_out", CHANNELS, bounds, 16, (scale1 + "_out",)),
            Sum(Layer(scale2, "depthwise", point + "_out"), scale2 + "_out", CHANNELS, bounds),
            Sum(Layer(up, "pointwise", scale2 + "_out"), up + "_out", scale**2, (-128, 127), 16, residual),
        ]
    steps += [
        Sum(None, "both", scale**2, (-128, 127), adds=("up_high_out", "up_low_out")),
        Merge("both", scale, offset=128) if scale > 1 else Merge("both", scale, adds=(INPUT,)),
    ]
    return Description("tinylut", scale, tuple(steps), padding="reflect")
