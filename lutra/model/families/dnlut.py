"""DnLUT (CVPR 2025): colours mixed in pairs, L-shaped tables of three taps, and a table of a pixel's three colours."""

from __future__ import annotations

from lutra.model.description import INPUT, OUTPUT, ColourTaps, Description, NetworkSpec, Step, Unit

NETWORK = NetworkSpec(kind="dense", bound="tanh")
PAIRS = ("rg", "gb", "br")
PAIR = ColourTaps(((0, 0), (0, 1), (0, 1), (0, 0)), (1, 1, 0, 0))
"""The taps of the pairwise mixer: the second colour of the pair, then the first, on a window of 1x2 pixels."""
CORNER = ColourTaps(((0, 0), (0, 1), (1, 1)), (0, 0, 0))
"""The L shape, which covers 3x3 pixels under four rotations."""
PIXEL = ColourTaps(((0, 0),) * 3, (0, 1, 2))


def describe(scale: int) -> Description:
    """Describe a mixer of pairs, three L-shaped tables, a table of the pixel, an L, a mixer and an L.

    Args:
        scale: upscaling factor, 1..4; the paper has 1 alone. The last table makes the pixels of the enlarged block.
    """
    steps = (
        mixed("mix1", INPUT),
        _same("l1", "mix1", CORNER),
        _same("l2", "l1", CORNER),
        _same("l3", "l2", CORNER),
        _same("pixel", "l3", PIXEL, rotations=1),
        _same("l4", "pixel", CORNER),
        mixed("mix2", "l4"),
        Step((Unit("l5", ("mix2",), CORNER, scale**2),), (OUTPUT,), divisor=1, upscale=scale),
    )
    return Description("dnlut", scale, steps, colours=3)


def mixed(name: str, reads: str) -> Step:
    """Return the pairwise channel mixer: a table for each pair of colours, which makes the first of them."""
    units = (Unit(f"{name}_{pair}", (reads,), PAIR, 1, colour=number) for number, pair in enumerate(PAIRS))
    return Step(tuple(units), (name,), divisor=4, offset=127)


def _same(name: str, reads: str, taps: ColourTaps, rotations: int = 4) -> Step:
    """Return a step of one table, which makes each of the three colours."""
    return Step((Unit(name, (reads,), taps, 1),), (name,), divisor=rotations, offset=127, rotations=rotations)
