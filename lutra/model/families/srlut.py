"""SR-LUT (CVPR 2021): one unit of pattern s, four rotations, a plain sum."""

from __future__ import annotations

from lutra.model.description import INPUT, OUTPUT, PATTERNS, Description, FixedTaps, NetworkSpec, Step, Unit

NETWORK = NetworkSpec(kind="plain", bound="clamp")


def describe(scale: int, *, pattern: str = "s") -> Description:
    """Describe one table of scale * scale values, summed over four rotations without division (section 3).

    Four entries together span -508..508, which leaves room for overshoot.

    Args:
        scale: upscaling factor, 1..4.
        pattern: name of the taps' pattern; the paper compares shapes, and ships "s".
    """
    unit = Unit(f"s1_{pattern}", (INPUT,), FixedTaps(pattern, PATTERNS[pattern]), values=scale**2)
    step = Step((unit,), (OUTPUT,), divisor=1, upscale=scale)
    return Description("srlut", scale, (step,), round_units=False, options={"pattern": pattern})
