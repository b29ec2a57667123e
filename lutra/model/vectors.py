"""The functions of a layer at rest: vectors, how they are stored, scales, direct tables. Plain data; needs no torch.

A vector is a function of one small integer, v in lo..hi: the bounds of the plane that its layer reads.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model.steps import MOST_DIVISOR, MOST_LEVELS, Bounds, LayerForm

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Interpolation:
    """The places of a layer's values among its stored samples: arrays of (inputs, outputs, levels).

    A value is (samples[first] * (step - share) + samples[second] * share) / step.
    """

    first: Integers
    second: Integers
    share: Integers
    step: Integers


@dataclass(frozen=True)
class VectorLayout:
    """The layout in which the vectors of a layer are stored, in int8: input outermost, then output, then position.

    steps: one number for all vectors, or one for each (inputs x outputs), a power of two. Step 1 stores every value
        lo..hi; step s stores those at lo, lo + s, ..., hi + 1, and those between are interpolated.
    rounded: whether interpolated values are whole levels (halves rounded to even); else they are multiples of
        1 / step (ShiftLUT, CVPR 2026).
    ranges: the values that are stored, lo..hi, of each input, and of all its outputs (TinyLUT, NeurIPS 2024); the
        plane's own bounds where None. They are stored input outermost, then position, then output, at step 1. What
        lies beyond takes the nearest stored value.
    """

    steps: int | tuple[tuple[int, ...], ...] = 1
    rounded: bool = True
    ranges: tuple[Bounds, ...] | None = None

    def __post_init__(self) -> None:
        """Check every field; raises ValueError."""
        rows = self.steps if isinstance(self.steps, tuple) else ((self.steps,),)
        if len({len(row) for row in rows}) != 1 or not rows[0] or not all(map(_is_step, sum(rows, ()))):
            wanted = f"powers of two up to {MOST_LEVELS}, one, or one for each input and output"
            raise ValueError(f"steps of vectors are {shown(self.steps)}, expected {wanted}")
        if self.ranges is None:
            return
        if not all(-MOST_DIVISOR <= least <= most <= MOST_DIVISOR for least, most in self.ranges):
            raise ValueError(f"ranges of vectors are {shown(self.ranges)}, expected the least and the largest value")
        if self.steps != 1 or not self.rounded:
            raise ValueError(f"vectors with ranges have the steps {shown(self.steps)}, expected 1, and whole levels")

    def check(self, name: str, form: LayerForm) -> None:
        """Check that it is a layout of a layer of that size; raises ValueError."""
        rows = self.steps if isinstance(self.steps, tuple) else ()
        if rows and (len(rows), len(rows[0])) != (form.inputs, form.outputs):
            found = f"{len(rows)} x {len(rows[0])}"
            raise ValueError(f"layer '{name}' has steps of {found} vectors, expected {form.inputs} x {form.outputs}")
        if form.levels % self.denominator_of_steps:
            raise ValueError(
                f"layer '{name}' has vectors at a step of {self.denominator_of_steps}, which {form.levels} levels "
                "are no multiple of"
            )
        if self.ranges is not None and len(self.ranges) != form.inputs:
            raise ValueError(f"layer '{name}' has {len(self.ranges)} ranges, expected {form.inputs}")

    @property
    def denominator_of_steps(self) -> int:
        """The largest step, of which all others are divisors."""
        return self.steps if isinstance(self.steps, int) else max(map(max, self.steps))

    @property
    def denominator(self) -> int:
        """D: the values are multiples of 1 / D."""
        return 1 if self.rounded else self.denominator_of_steps

    def samples(self, form: LayerForm) -> int:
        """Return the number of samples that a layer of that size stores."""
        if self.ranges is not None:
            return form.outputs * sum(most - least + 1 for least, most in self.ranges)
        return int(self.counts(form).sum())

    def _steps(self, form: LayerForm) -> Integers:
        return np.broadcast_to(np.array(self.steps, np.int64), (form.inputs, form.outputs))

    def counts(self, form: LayerForm) -> Integers:
        """Return the number of samples of each vector without ranges: (inputs, outputs)."""
        steps = self._steps(form)
        return form.levels // steps + (steps > 1)

    def places(self, form: LayerForm) -> Interpolation:
        """Return where the values of a layer of that size stand among its samples."""
        level = np.arange(form.levels)
        step = np.ascontiguousarray(np.broadcast_to(self._steps(form)[..., None], (*self._steps(form).shape, 1)))
        if self.ranges is not None:
            least, most = np.array(self.ranges, np.int64).T[..., None, None]
            row = (level + form.bounds[0]).clip(least, most) - least
            starts = form.outputs * _starts(most - least + 1)
            first = starts + row * form.outputs + np.arange(form.outputs)[None, :, None]
            return Interpolation(first, first, np.zeros_like(first), np.ones_like(first))
        first = _starts(self.counts(form))[..., None] + level // step
        share = level % step
        return Interpolation(first, first + (share > 0), share, np.broadcast_to(step, first.shape))

    def expanded(self, samples: NDArray[np.int8], form: LayerForm) -> NDArray[np.int32]:
        """Return the values of a layer's vectors, as multiples of 1 / `denominator`: (inputs, outputs, levels)."""
        at = self.places(form)
        wide = samples.astype(np.int64)
        parts = wide[at.first] * (at.step - at.share) + wide[at.second] * at.share
        if self.rounded:
            return np.asarray(np.rint(parts / at.step), np.int32)
        return np.asarray(parts * (self.denominator // at.step), np.int32)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {"kind": "vectors", **asdict(self)}


@dataclass(frozen=True)
class Scaling:
    """A product with a learned number for each channel, rounded, in float32 (TinyLUT, NeurIPS 2024).

    It is the function of a depthwise layer of one tap.
    """

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {"kind": "scaling"}


@dataclass(frozen=True)
class Direct:
    """The entries of a `DirectTable`, (entries, values) in int8."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {"kind": "direct"}


MOST_SCALE = 64.0
"""Limit of a scale's size."""


def scaled(scales: NDArray[np.float32], form: LayerForm) -> NDArray[np.int32]:
    """Return round(v * scale) of every value and channel, the product in float32: (1, channels, levels)."""
    values = np.arange(form.bounds[0], form.bounds[1] + 1, dtype=np.float32)
    return np.asarray(np.rint(values * scales[None, :, None]), np.int32)


def function_of_layer_from_json(data: Any) -> VectorLayout | Scaling | Direct:
    """Rebuild what `to_json` returned, checking every field.

    Raises:
        ValueError: a field is missing, unknown or out of range.
    """
    if data == {"kind": "scaling"}:
        return Scaling()
    if data == {"kind": "direct"}:
        return Direct()
    if not isinstance(data, dict) or set(data) != {"kind", "steps", "rounded", "ranges"} or data["kind"] != "vectors":
        raise ValueError(
            f"function of a layer is {shown(data)}, expected vectors, scaling or direct, with all their fields"
        )
    steps, rounded, ranges = data["steps"], data["rounded"], data["ranges"]
    if not isinstance(rounded, bool):
        raise ValueError(f"'rounded' of vectors is {shown(rounded)}, expected true or false")
    if type(steps) is not int:
        steps = _rows(steps, "steps")
    pairs = None
    if ranges is not None:
        rows = _rows(ranges, "ranges")
        if any(len(row) != 2 for row in rows):
            raise ValueError(f"'ranges' of vectors are {shown(ranges)}, expected pairs")
        pairs = tuple((row[0], row[1]) for row in rows)
    return VectorLayout(steps, rounded, pairs)


def _rows(data: Any, key: str) -> tuple[tuple[int, ...], ...]:
    if not isinstance(data, list) or not all(
        isinstance(row, list) and all(type(number) is int for number in row) for row in data
    ):
        raise ValueError(f"'{key}' of vectors are {shown(data)}, expected rows of whole numbers")
    return tuple(map(tuple, data))


def _is_step(number: int) -> bool:
    return 1 <= number <= MOST_LEVELS and math.log2(number).is_integer()


def _starts(counts: Integers) -> Integers:
    """Return the sum of all counts before each, in C order: (as `counts`)."""
    ends = counts.cumsum().reshape(counts.shape)
    return np.asarray(ends - counts)
