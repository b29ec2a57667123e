"""Check that the steps of a model fit together. Needs no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import get_args

from lutra.model.anysize import Border, Resample
from lutra.model.steps import (
    INPUT,
    LAYER_KINDS,
    MOST_CHANNELS,
    MOST_DIVISOR,
    MOST_ENTRIES,
    MOST_INPUTS,
    MOST_LEVELS,
    MOST_PLANES,
    MOST_REACH,
    MOST_STEPS,
    MOST_TAPS,
    MOST_UNITS,
    OUTPUT,
    AnyStep,
    BitsOfPixel,
    Bounds,
    Layer,
    LayerStep,
    Merge,
    Padding,
    Plane,
    Residual,
    Shift,
    Split,
    Step,
    Sum,
    Unit,
)
from lutra.model.taps import ChannelTaps, ColourTaps, FixedTaps, Offset

_NAME = re.compile(r"[\w-]{1,64}")
_SIGNED: Bounds = (-128, 127)


def checked_planes(scale: int, steps: Sequence[AnyStep], colours: int = 1) -> dict[str, Plane]:
    """Check the steps of a model of that scale and number of colours; return what its planes hold, the input's first.

    Raises:
        ValueError: a step, a unit or a layer is out of bounds, or reads what nothing wrote; the message names it.
    """
    if not 1 <= scale <= 8:
        raise ValueError(f"model description: scale is {shown(scale)}, expected 1..8")
    if not 1 <= len(steps) <= MOST_STEPS:
        raise ValueError(f"model description: found {len(steps)} steps, expected 1..{MOST_STEPS}")
    units = (unit for step in steps if isinstance(step, Step) for unit in step.units)
    mixes = not isinstance(steps[-1], Resample) and any(isinstance(unit.taps, ColourTaps) for unit in units)
    if colours not in ((1, 3) if mixes or isinstance(steps[-1], Merge) else (1,)):
        wanted = "1, or 3 in a model of layers or of colour taps"
        raise ValueError(f"model description: colours is {shown(colours)}, expected {wanted}")
    planes = {INPUT: Plane(colours)}
    names: set[str] = set()
    kind = _kind(steps[-1])
    for number, step in enumerate(steps, 1):
        where, last = f"model description, step {number}", number == len(steps)
        _check_place(step, kind, where, last=last)
        if isinstance(step, Resample):
            written = _resampled_plane(step, where, planes)
        elif isinstance(step, Step):
            written = _units_planes(step, where, scale if last else 1, planes)
            _take_names([unit.name for unit in step.units], "units", names, where)
        elif isinstance(step, Residual):
            written = _residual_plane(step, where, list(planes)[-1])
            _take_names([table.name for table in step.tables], "tables", names, where)
        else:
            written = _layers_planes(step, where, scale, planes)
            if isinstance(step, Sum) and step.layer:
                _take_names([step.layer.name], "layers", names, where)
        _check_writes(list(written), where, set(planes), last)
        planes |= written
    if len(planes) > MOST_PLANES:
        raise ValueError(f"model description: found {len(planes)} planes, expected at most {MOST_PLANES}")
    _check_end(scale, steps)
    return planes


def _check_place(step: AnyStep, kind: str, where: str, *, last: bool) -> None:
    """Check that a step is of the model's kind, and the last one where it makes the output from all the others'."""
    ends = isinstance(step, Merge | Resample)
    if _kind(step) != kind or (last and kind == "layers" and not ends) or (ends and not last):
        wanted = "steps of units alone, residuals alone, or steps of layers and one merge, the last"
        raise ValueError(f"{where}: expected {wanted}; a resampling may be the last after units")


def _resampled_plane(step: Resample, where: str, planes: dict[str, Plane]) -> dict[str, Plane]:
    """Check a resampling, and return the plane that it writes."""
    for name in (step.reads, *step.kernel):
        _read(name, where, planes)
    if step.border not in get_args(Border):
        raise ValueError(f"{where}: border is {shown(step.border)}, expected one of {get_args(Border)}")
    if len(planes) == 1:
        raise ValueError(f"{where}: resamples the input, expected steps of units before it")
    return {OUTPUT: Plane()}


def _check_end(scale: int, steps: Sequence[AnyStep]) -> None:
    """Check what the last step writes, and that steps which enlarge one after the other give the scale."""
    last = steps[-1]
    if (isinstance(last, Step) and last.writes != (OUTPUT,)) or (isinstance(last, Residual) and last.writes != OUTPUT):
        raise ValueError("model description: the last step must write 'output' alone")
    enlarged = math.prod(step.upscale for step in steps if isinstance(step, Residual))
    if isinstance(last, Residual) and enlarged != scale:
        raise ValueError(f"model description: its steps enlarge by {shown(enlarged)}, expected {scale}")


def _kind(step: AnyStep) -> str:
    return "units" if isinstance(step, Step | Resample) else "residuals" if isinstance(step, Residual) else "layers"


def _residual_plane(step: Residual, where: str, before: str) -> dict[str, Plane]:
    """Check a step that adds tables to the plane written before it, and return the plane that it writes."""
    if step.reads != before:
        raise ValueError(f"{where}: reads plane {shown(step.reads)}, expected '{before}', the one before it")
    if not 1 <= len(step.tables) <= MOST_UNITS or not 1 <= step.upscale <= 8 or not 1 <= step.low_bits <= 7:
        raise ValueError(f"{where}: needs 1..{MOST_UNITS} tables, an upscale of 1..8 and 1..7 low bits")
    for table in step.tables:
        _check_name(table.name, "table", where)
        if table.bits not in get_args(BitsOfPixel) or table.padding not in get_args(Padding):
            found = f"{shown(table.bits)} bits, padding {shown(table.padding)}"
            raise ValueError(f"{where}: table '{table.name}' has {found}, expected high or low, replicate or reflect")
        if not 1 <= len(table.taps) <= MOST_TAPS or step.entries(table) > MOST_ENTRIES:
            found = f"{len(table.taps)} taps"
            raise ValueError(f"{where}: table '{table.name}' has {found}, expected at most {MOST_ENTRIES} entries")
        _check_offsets(table.taps, where)
    return {step.writes: Plane()}


def _take_names(own: list[str], kind: str, names: set[str], where: str) -> None:
    for name in own:
        if name in names:
            raise ValueError(f"{where}: two {kind} are called '{name}'")
        names.add(name)


def _check_writes(written: list[str], where: str, planes: set[str], last: bool) -> None:
    for plane in written:
        if plane in planes or not _NAME.fullmatch(plane) or (plane == OUTPUT and not last):
            wanted = "new names of letters, digits, _ and -, and 'output' in the last step alone"
            raise ValueError(f"{where}: writes plane {shown(plane)}, expected {wanted}")


def _check_divisor(step: Step | Sum | Merge, where: str) -> None:
    offset = 0 if isinstance(step, Sum) else step.offset
    if not 1 <= step.divisor <= MOST_DIVISOR or abs(offset) > MOST_DIVISOR:
        wanted = f"1..{MOST_DIVISOR} and -{MOST_DIVISOR}..{MOST_DIVISOR}"
        raise ValueError(f"{where}: found a divisor or an offset out of range, expected {wanted}")


def _units_planes(step: Step, where: str, upscale: int, planes: dict[str, Plane]) -> dict[str, Plane]:
    """Check a step of units, and return the planes that it writes."""
    if not 1 <= len(step.units) <= MOST_UNITS or not step.writes or step.rotations not in (1, 4):
        raise ValueError(f"{where}: needs 1..{MOST_UNITS} units, planes to write and 1 or 4 rotations")
    _check_divisor(step, where)
    if step.upscale != upscale:
        raise ValueError(f"{where}: upscales by {shown(step.upscale)}, expected {upscale}")
    for unit in step.units:
        _check_unit(unit, step, where)
        unknown = [plane for plane in unit.planes if plane not in planes]
        if unknown:
            raise ValueError(f"{where}: unit '{unit.name}' reads plane {shown(unknown[0])}, which nothing wrote")
    repeated = [plane for number, plane in enumerate(step.writes) if plane in step.writes[:number]]
    _check_writes(repeated, where, set(step.writes), last=True)
    step.check_colours(planes[INPUT].channels, where)
    return dict.fromkeys(step.writes, planes[INPUT])


def _check_unit(unit: Unit, step: Step, where: str) -> None:
    _check_name(unit.name, "unit", where)
    if unit.values != step.values:
        raise ValueError(f"{where}: unit '{unit.name}' returns {shown(unit.values)} values, expected {step.values}")
    channel = isinstance(unit.taps, ChannelTaps)
    if len(unit.reads) != (4 if channel else 1):
        raise ValueError(f"{where}: unit '{unit.name}' reads {len(unit.reads)} planes")
    if channel and unit.previous:
        raise ValueError(f"{where}: unit '{unit.name}' mixes a previous plane into those of one pixel, expected none")
    if unit.turns is not None:
        _check_turns(unit.turns, unit, step, where)


def _check_turns(turns: tuple[int, ...], unit: Unit, step: Step, where: str) -> None:
    if step.rotations != 4 or step.upscale != 1 or not isinstance(unit.taps, FixedTaps):
        wanted = "them for fixed taps alone, in a step of 4 rotations that keeps the size"
        raise ValueError(f"{where}: unit '{unit.name}' has rotations of its own, expected {wanted}")
    if not turns or list(turns) != sorted(set(turns)) or not 0 <= turns[0] <= turns[-1] <= 3:
        raise ValueError(
            f"{where}: unit '{unit.name}' has the rotations {shown(turns)}, expected some of 0..3 in order"
        )


def _check_name(name: str, kind: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: {kind} is called {shown(name)}, expected letters, digits, _ and -, at most 64")


def _layers_planes(step: LayerStep, where: str, scale: int, planes: dict[str, Plane]) -> dict[str, Plane]:
    """Check a step of a model of layers, and return the planes that it writes."""
    if isinstance(step, Sum):
        return {step.writes: _summed(step, where, planes)}
    read = _read(step.reads, where, planes)
    if isinstance(step, Split):
        return _split(step, where, read)
    if isinstance(step, Shift):
        return {step.writes: _shifted(step, where, read)}
    _check_divisor(step, where)
    colours = planes[INPUT].channels
    if step.upscale != scale or read.channels != colours * scale**2 or step.rotations not in (1, 4):
        found = f"upscales {read.channels} channels by {shown(step.upscale)} in {shown(step.rotations)} rotations"
        raise ValueError(f"{where}: {found}, expected {colours * scale**2} channels by {scale} in 1 or 4")
    if step.adds not in ((), (INPUT,)) or (step.adds and scale != 1):
        raise ValueError(f"{where}: adds {shown(step.adds)}, expected nothing, or the input where sizes stay")
    return {OUTPUT: Plane(colours)}


def _shifted(step: Shift, where: str, read: Plane) -> Plane:
    """Check a shift, and return the plane that it writes."""
    if not len(step.offsets) == len(step.channels or range(read.channels)) <= MOST_CHANNELS or not step.offsets:
        raise ValueError(f"{where}: shifts by {len(step.offsets)} offsets, expected one for each channel")
    if not all(0 <= channel < read.channels for channel in step.sources):
        raise ValueError(f"{where}: takes channels {shown(step.channels)}, expected those of 0..{read.channels - 1}")
    _check_offsets(step.offsets, where)
    return Plane(len(step.offsets), read.bounds)


def _read(name: str, where: str, planes: dict[str, Plane]) -> Plane:
    if name not in planes:
        raise ValueError(f"{where}: reads plane {shown(name)}, which nothing wrote")
    return planes[name]


def _split(step: Split, where: str, read: Plane) -> dict[str, Plane]:
    if not 1 <= step.bits <= 7 or abs(step.offset) > MOST_DIVISOR:
        found = f"{shown(step.bits)} low bits and offset {shown(step.offset)}"
        raise ValueError(f"{where}: splits {found}, expected 1..7 bits and -{MOST_DIVISOR}..{MOST_DIVISOR}")
    low, high = ((bound + step.offset) >> step.bits for bound in read.bounds)
    _check_bounds((low, high), where)
    if step.writes[0] == step.writes[1]:
        raise ValueError(f"{where}: writes plane {shown(step.writes[0])} twice, expected two names")
    ones = read.channels
    return {step.writes[0]: Plane(ones, (low, high)), step.writes[1]: Plane(ones, (0, (1 << step.bits) - 1))}


def _summed(step: Sum, where: str, planes: dict[str, Plane]) -> Plane:
    """Check a sum, and return the plane that it writes."""
    _check_divisor(step, where)
    _check_bounds(step.bounds, where)
    if not 1 <= step.channels <= MOST_CHANNELS or not (step.layer or (step.adds and step.divisor == 1)):
        raise ValueError(f"{where}: needs 1..{MOST_CHANNELS} channels, and a layer or added planes and no divisor")
    for name in step.adds:
        if _read(name, where, planes).channels not in (1, step.channels):
            raise ValueError(f"{where}: adds plane {shown(name)}, which has another number of channels")
    if step.layer:
        _check_layer(step.layer, step.channels, where, planes)
    return Plane(step.channels, step.bounds)


def _check_layer(layer: Layer, channels: int, where: str, planes: dict[str, Plane]) -> None:
    _check_name(layer.name, "layer", where)
    read = _read(layer.reads, where, planes)
    if layer.kind not in LAYER_KINDS:
        raise ValueError(f"{where}: layer '{layer.name}' is {shown(layer.kind)}, expected one of {LAYER_KINDS}")
    if read.levels > MOST_LEVELS:
        found = f"a plane of {read.levels} levels"
        raise ValueError(f"{where}: layer '{layer.name}' reads {found}, expected at most {MOST_LEVELS}")
    if layer.kind == "depthwise" and read.channels not in (1, channels):
        found = f"{read.channels} channels"
        raise ValueError(f"{where}: layer '{layer.name}' reads {found} depthwise, expected 1 or {channels}")
    if not 1 <= len(layer.taps) <= MOST_TAPS or (layer.kind == "pointwise" and layer.taps != ((0, 0),)):
        wanted = f"1..{MOST_TAPS}, and the pixel alone where it is pointwise"
        raise ValueError(f"{where}: layer '{layer.name}' has {len(layer.taps)} taps, expected {wanted}")
    if layer.kind == "window" and len(layer.taps) * read.channels > MOST_INPUTS:
        found = f"{len(layer.taps)} taps of {read.channels} channels"
        raise ValueError(f"{where}: layer '{layer.name}' has {found}, expected at most {MOST_INPUTS} in all")
    _check_offsets(layer.taps, where)


def _check_offsets(offsets: tuple[Offset, ...], where: str) -> None:
    for offset in offsets:
        if len(offset) != 2 or any(abs(value) > MOST_REACH for value in offset):
            wanted = f"(row, column) in -{MOST_REACH}..{MOST_REACH}"
            raise ValueError(f"{where}: found an offset of {shown(offset)}, expected {wanted}")


def _check_bounds(bounds: Bounds, where: str) -> None:
    least, most = bounds
    if not _SIGNED[0] <= least <= most <= _SIGNED[1]:
        found = f"{shown(least)}..{shown(most)}"
        raise ValueError(f"{where}: writes values in {found}, expected bounds within {_SIGNED[0]}..{_SIGNED[1]}")
