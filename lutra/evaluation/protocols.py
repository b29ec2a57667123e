"""The field's protocols: how an image is degraded, what of it is scored, and by which measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.colour import rgb_to_y
from lutra.imaging.degrade import DEGRADATIONS, SEED, Degradation, Noise, Unclipped
from lutra.imaging.metrics import BLOCK, CEILING, SSIM_SIDE, psnr, psnr_b, psnr_y, ssim, ssim_y
from lutra.imaging.resize import Variant, imresize, modcrop
from lutra.model.tasks import TASKS, Measure, Option

Image = NDArray[np.uint8]
Scores = dict[str, float]

LABELS: dict[str, str] = {
    "psnr_y": "PSNR-Y, dB",
    "ssim_y": "SSIM-Y",
    "psnr": "PSNR, dB",
    "psnr_b": "PSNR-B, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
}
_PAIRS = "input: the set's own degraded images"


@dataclass(frozen=True)
class Protocol:
    """Protocol of one task with its options.

    task: a name in `lutra.model.tasks.TASKS`.
    degradation: what makes the input from a clean image.
    measures: what compares a restored image with the clean one; the first one ranks.
    made: how inputs are made, in words.
    scored: what is measured, in words.
    luma: whether colour images are reduced to their luma (BT.601, 16..235), rounded, first.
    pairs: whether inputs are the image set's own instead of made ones.
    """

    task: str
    degradation: Degradation
    measures: tuple[Measure, ...]
    made: str
    scored: str
    luma: bool = False
    pairs: bool = False

    @property
    def text(self) -> str:
        """The whole protocol in a sentence, which accompanies every number."""
        return f"{_PAIRS if self.pairs else self.made}; {self.scored}; PSNR at most {CEILING:g} dB; mean over images"

    @property
    def scale(self) -> float:
        """The factor by which each side grows from the input to the restored image."""
        return self.degradation.scale

    @property
    def whole_scale(self) -> int:
        """The scale of a task that images are prepared for, which is a whole number; else raises ValueError."""
        if self.scale != int(self.scale):
            raise ValueError(f"scale: found {self.scale:g}, expected a whole number")
        return int(self.scale)

    @property
    def border(self) -> int:
        """The pixels on each side that PSNR-Y leaves out: the scale, rounded up."""
        return ceil(self.scale)

    @property
    def main(self) -> Measure:
        """The measure that ranks."""
        return self.measures[0]

    @property
    def names(self) -> tuple[str, str]:
        """The labels of the input and the clean image on pictures."""
        return TASKS[self.task].labels

    @property
    def baseline_name(self) -> str:
        """The name of `baseline`: bicubic, or input where sizes stay."""
        return "bicubic" if self.scale > 1 else "input"

    def baseline(self, degraded: Image | Unclipped) -> Image:
        """Return what a restoration has to beat: the input, enlarged by bicubic interpolation where it is smaller."""
        image = degraded.clip(0, 255).astype(np.uint8)
        return imresize(image, self.scale) if self.scale > 1 else image

    def target(self, image: Image) -> Image:
        """Return the part of an image (H, W) or (H, W, 3) that is to be restored: cropped to fit, or its luma alone.

        Raises:
            ValueError: the image is gray, and the task restores colour.
        """
        if TASKS[self.task].colour and image.ndim == 2:
            raise ValueError(f"found a gray image, expected red, green and blue for {self.task}")
        return modcrop(self._planes(image), self.scale)

    def input(self, target: Image, number: int, own: Image | None = None, seed: int = SEED) -> Image:
        """Return the input that a target is restored from.

        Args:
            target: as `target` returns it.
            number: the image's place in its set, from 0.
            own: the set's own degraded image, which is the input if the protocol takes pairs.
            seed: the seed of made inputs; training uses another one than evaluation.

        Raises:
            ValueError: the protocol takes pairs, and there is no own image or its size does not fit the target's.
        """
        if not self.pairs:
            return self.degradation.apply(target, number, seed)
        if own is None:
            raise ValueError("found no degraded image, expected one for every clean image")
        own = self._planes(own)
        size = tuple(self.scale * side for side in own.shape[:2])
        if size != target.shape[:2] or own.ndim != target.ndim:
            found = f"{own.shape[1]}x{own.shape[0]} ({own.ndim} axes) for {target.shape[1]}x{target.shape[0]}"
            raise ValueError(f"degraded image: found {found}, expected 1/{self.scale:g} of the clean one's sides")
        return own

    def scored_input(self, target: Image, number: int, own: Image | None = None) -> Image | Unclipped:
        """Return the input as `input` does, but with the noise of papers unclipped, which no file holds."""
        degradation = self.degradation
        if isinstance(degradation, Noise) and degradation.noise == "paper" and not self.pairs:
            return degradation.unclipped(target, number)
        return self.input(target, number, own)

    def rank(self, restored: Image, target: Image) -> float:
        """Return the main measure alone, which training watches."""
        return _MEASURES[self.main](restored, target, self.border)

    def score(self, restored: Image, target: Image) -> Scores:
        """Return every measure of a restored image."""
        return {measure: _MEASURES[measure](restored, target, self.border) for measure in self.measures}

    @property
    def least(self) -> int:
        """The smallest side of a clean image, in pixels, that every measure takes."""
        sides = {"psnr_y": 2 * self.border + 1, "psnr_b": 2 * BLOCK, "ssim": SSIM_SIDE, "ssim_y": SSIM_SIDE}
        return max(sides.get(measure, 1) for measure in self.measures)

    def caption(self, scores: Mapping[str, float]) -> str:
        """Return the scores as one line, for pictures and tables."""
        return " / ".join(f"{scores[m]:.2f} dB" if m.startswith("psnr") else f"{scores[m]:.4f}" for m in self.measures)

    @property
    def legend(self) -> str:
        """The names of the numbers in `caption`, such as "PSNR-Y / SSIM-Y"."""
        return " / ".join(LABELS[measure].removesuffix(", dB") for measure in self.measures)

    def titled(self, name: str) -> str:
        """Return an image's name, which may be empty, with the scale if there is one, such as "baby.png, x4"."""
        return ", ".join(filter(None, [name, f"x{self.scale:g}" if self.scale > 1 else ""]))

    def _planes(self, image: Image) -> Image:
        return np.rint(rgb_to_y(image)).astype(np.uint8) if self.luma and image.ndim == 3 else image


_MEASURES: dict[str, Callable[[Image, Image, int], float]] = {
    "psnr_y": psnr_y,
    "ssim_y": lambda restored, target, border: ssim_y(restored, target),
    "psnr": lambda restored, target, border: psnr(restored, target),
    "psnr_b": lambda restored, target, border: psnr_b(restored, target),
    "ssim": lambda restored, target, border: ssim(restored, target),
}


def super_resolution(scale: float, bicubic: Variant = "uint8") -> Protocol:
    """Return the protocol of super-resolution: PSNR and SSIM of the luma against MATLAB's bicubic LR."""
    return of("sr", {"scale": scale, "bicubic": bicubic})


def of(task: str, options: Mapping[str, Any], *, pairs: bool = False) -> Protocol:
    """Return the protocol of a task with its options.

    Args:
        task: a name in `lutra.model.tasks.TASKS`.
        options: values of the task's options by name, as files give them: a list of two for a range.
        pairs: whether inputs are the image set's own.

    Raises:
        ValueError: the task or an option is not known, is missing or has an impossible value; names the option.
    """
    if task not in TASKS:
        raise ValueError(f"task: found {task!r}, expected one of {', '.join(TASKS)}")
    known = {option.name: option for option in TASKS[task].options}
    for name in options:
        if name not in known:
            raise ValueError(f"{name}: {task} has no such option, expected {', '.join(known)}")
    for name, option in known.items():
        if option.default is None and name not in options:
            raise ValueError(f"{name}: found nothing, expected it for {task}")
    try:
        values = {name: _value(option, options.get(name, option.default)) for name, option in known.items()}
        degradation = DEGRADATIONS[TASKS[task].degradation](**values)
        shown = _shown_values(TASKS[task].options, degradation)
        made, scored = (text.format(**shown) for text in (TASKS[task].made, TASKS[task].scored))
    except (TypeError, OverflowError):  # an integer may be too large for a number
        raise ValueError(f"{task}: found {str(dict(options))[:100]}, expected numbers, or [least, most]") from None
    return Protocol(task, degradation, TASKS[task].measures, made, scored, TASKS[task].planes == "luma", pairs)


def mean(scores: Mapping[str, Scores]) -> Scores:
    """Return the mean over images of every measure."""
    measures = next(iter(scores.values()))
    return {measure: fmean(row[measure] for row in scores.values()) for measure in measures}


def _value(option: Option, value: Any) -> Any:
    """Return an option's value as the degradation takes it; TypeError where it is of another kind."""
    if not option.kind.endswith("range"):
        if option.kind == "number" and not isinstance(value, int | float):
            raise TypeError
        return value
    ends = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        raise TypeError
    return tuple(_whole(option.name, end) for end in ends) if option.kind == "whole range" else ends


def _whole(name: str, value: float) -> int:
    if value != int(value):
        raise ValueError(f"{name}: found {value:g}, expected a whole number")
    return int(value)


def _shown_values(options: tuple[Option, ...], degradation: Degradation) -> dict[str, str]:
    """Return the degradation's fields in words, by their names, which a task's texts hold in braces."""
    values = asdict(degradation)
    texts = {one.name: one.texts[one.choices.index(values[one.name])] for one in options if one.texts}
    if "scale" in values:
        texts |= {"border": f"{ceil(values['scale'])}", "multiple": f"{Fraction(values['scale']).numerator}"}
    return {name: _shown(value) for name, value in values.items()} | texts


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        least, most = value
        return f"{least:g}" if least == most else f"{least:g} to {most:g}"
    return value if isinstance(value, str) else f"{value:g}"
