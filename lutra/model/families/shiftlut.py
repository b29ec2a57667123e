"""ShiftLUT (CVPR 2026): blocks of a depthwise layer, a shift of every channel and a pointwise layer, on 6 + 2 bits."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.model.description import INPUT, Description, Layer, Merge, Offset, Shift, Split, Sum
from lutra.model.steps import MOST_REACH, AnyStep, Bounds, LayerKind

NETWORK = None
SIX_BITS: Bounds = (-32, 31)
EIGHT_BITS: Bounds = (-128, 127)
SIDES: tuple[Offset, ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))
CORNERS: tuple[Offset, ...] = ((1, 1), (-1, -1), (1, -1), (-1, 1))
ALONE: tuple[Offset, ...] = ((0, 0),) * 5 + SIDES + ((1, 1), (-1, -1), (0, 2), (2, 0), (0, 1), (1, 0), (1, 2))
"""Offsets of a single block, which has to look further."""
WINDOW = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))


def describe(
    scale: int,
    *,
    blocks: int = 1,
    channels: int = 16,
    offsets: Sequence[Sequence[Sequence[int]]] | None = None,
    colours: int = 1,
) -> Description:
    """Describe blocks in series over the high bits; the low bits add to the first (section 3).

    Args:
        scale: upscaling factor, 1..4; 1 for restoration without upscaling, which adds the result to the input.
        blocks: number of blocks; the paper has 1 (S), 2 (M) and 8 (L).
        channels: feature planes of every layer.
        offsets: (dy, dx) of every channel of every block: blocks x channels x 2, each -15..15; None for a fixed
            spread of -1..2 (one block) or -1..1 (more), most of them (0, 0).
        colours: 3 to read red, green and blue together and write all three; 1, as in the paper, for each by itself.
    """
    options: dict[str, object] = {"blocks": blocks, "channels": channels}
    shifts = _spread(blocks, channels)
    if offsets is not None:
        shifts = _checked(offsets, blocks, channels)
        options["offsets"] = [[list(pair) for pair in block] for block in shifts]
    steps: list[AnyStep] = [Split(INPUT, ("high", "low"))]
    state, low = "high", "low"
    first: LayerKind = "depthwise"
    adds: tuple[str, ...] = (state, "low0")
    if colours > 1:  # every channel starts from a colour, and sees all of them
        options["colours"] = colours
        own = tuple(channel % colours for channel in range(channels))
        steps += [Shift(name, f"{name}s", ((0, 0),) * channels, own) for name in (state, low)]
        low, first, adds = "lows", "window", ("highs", "low0")
    steps.append(Sum(Layer("dw0_low", first, "low", WINDOW), "low0", channels, (0, 3), 9, (low,)))
    for block, shift in enumerate(shifts):
        seen, moved, after = f"depthwise{block}", f"shifted{block}", f"pointwise{block}"
        window = Layer(f"dw{block}", "depthwise" if block else first, state, WINDOW)
        steps += [
            Sum(window, seen, channels, SIX_BITS, 9, adds),
            Shift(seen, moved, shift),
            Sum(Layer(f"pw{block}", "pointwise", moved), after, channels, SIX_BITS, channels, (moved,)),
        ]
        state, adds = after, (after,)
    outputs = colours * scale**2
    head: tuple[str, ...] = ()
    if colours == 1 < outputs <= channels:  # each pixel of a block starts from a plane, as all 16 do at x4
        head = (state,)
        if outputs < channels:
            head = ("head",)
            steps.append(Shift(state, "head", ((0, 0),) * outputs, tuple(range(outputs))))
    steps += [
        Sum(Layer("up", "pointwise", state), "up", outputs, EIGHT_BITS, channels, head),
        Merge("up", scale, offset=128) if scale > 1 else Merge("up", scale, adds=(INPUT,)),
    ]
    return Description("shiftlut", scale, tuple(steps), options=options, colours=colours)


def _spread(blocks: int, channels: int) -> list[tuple[Offset, ...]]:
    """Return offsets that trained well: most channels stay, the others look around, elsewhere in each block."""
    if blocks == 1:
        return [tuple(ALONE[channel % len(ALONE)] for channel in range(channels))]
    return [tuple(_offset(block, 16 * channel // channels) for channel in range(channels)) for block in range(blocks)]


def _offset(block: int, place: int) -> Offset:
    """Return the offset at a place of 0..15: six places of every other block move, two of those between."""
    if block % 2:
        return SIDES[(block // 2 + place - 14) % 4] if place >= 14 else (0, 0)
    if place >= 14:
        return CORNERS[(block + place - 14) % 4]
    return SIDES[(block + place - 10) % 4] if place >= 10 else (0, 0)


def _checked(offsets: Sequence[Sequence[Sequence[int]]], blocks: int, channels: int) -> list[tuple[Offset, ...]]:
    wanted = f"{blocks} blocks of {channels} pairs (dy, dx) in -{MOST_REACH}..{MOST_REACH}"
    try:
        found = [tuple((int(dy), int(dx)) for dy, dx in block) for block in offsets]
    except (TypeError, ValueError):
        raise ValueError(f"option 'offsets' is {str(offsets)[:80]!r}, expected {wanted}") from None
    whole = all(type(value) is int for block in offsets for pair in block for value in pair)
    near = all(abs(value) <= MOST_REACH for block in found for pair in block for value in pair)
    if not whole or not near or len(found) != blocks or any(len(block) != channels for block in found):
        shape = f"{len(found)} blocks of {sorted({len(block) for block in found})} pairs"
        raise ValueError(f"option 'offsets' holds {shape}, expected {wanted}")
    return found
