"""The field's protocols, one object a task: how an image is degraded, what of it is scored, and by which measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.colour import rgb_to_y
from lutra.imaging.degrade import INERTIA, SEED, Bicubic, Degradation, Jpeg, MotionBlur, Noise
from lutra.imaging.metrics import BLOCK, CEILING, SSIM_SIDE, psnr, psnr_b, psnr_y, ssim, ssim_y
from lutra.imaging.resize import Variant, imresize, modcrop
from lutra.model.description import TASKS

Measure = Literal["psnr_y", "ssim_y", "psnr", "psnr_b", "ssim"]
Image = NDArray[np.uint8]
Scores = dict[str, float]
Range = tuple[float, float]

LABELS: dict[str, str] = {
    "psnr_y": "PSNR-Y, dB",
    "ssim_y": "SSIM-Y",
    "psnr": "PSNR, dB",
    "psnr_b": "PSNR-B, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
}
_SSIM = "SSIM by an 11x11 Gaussian, sigma 1.5, valid region"
_PLANES = f"all planes, no border cut; {_SSIM}, mean over planes"
_SEED = "Philox, seed 0, counted by the image's place in its set"
_PAIRS = "input: the set's own degraded images"


@dataclass(frozen=True)
class Protocol:
    """How a task is evaluated.

    task: sr, denoise, deblock or deblur.
    degradation: what makes the input of a clean image.
    measures: of a restored image against the clean one; the first one ranks.
    made: how inputs are made, in words.
    scored: what is measured, in words.
    luma: whether colour images are reduced to their luma (BT.601, 16..235), rounded, first.
    pairs: whether inputs are the image set's own, in place of made ones.
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
        """All of it in a sentence, to stand beside every number."""
        return f"{_PAIRS if self.pairs else self.made}; {self.scored}; PSNR at most {CEILING:g} dB; mean over images"

    @property
    def scale(self) -> int:
        """How many times larger, per side, the restored image is than its input."""
        return self.degradation.scale

    @property
    def main(self) -> Measure:
        """The measure that ranks."""
        return self.measures[0]

    @property
    def names(self) -> tuple[str, str]:
        """What the input and the clean image are called on pictures."""
        return ("LR", "HR") if self.task == "sr" else ("input", "clean")

    @property
    def baseline_name(self) -> str:
        """What `baseline` is called: bicubic, or the input where sizes stay."""
        return "bicubic" if self.scale > 1 else "input"

    def baseline(self, degraded: Image) -> Image:
        """What a restoration has to beat: the input, enlarged by bicubic interpolation where it is smaller."""
        return imresize(degraded, self.scale) if self.scale > 1 else degraded

    def target(self, image: Image) -> Image:
        """What is to be restored of an image (H, W) or (H, W, 3): cropped to fit, and its luma where that is all."""
        return modcrop(self._planes(image), self.scale)

    def input(self, target: Image, number: int, own: Image | None = None, seed: int = SEED) -> Image:
        """The input that the target with that number in its set is restored from.

        Args:
            target: as `target` returns it.
            number: the image's place in its set, from 0.
            own: the set's own degraded image, which is the input where the protocol takes pairs.
            seed: of made inputs; training may see others than evaluation.

        Raises:
            ValueError: pairs are taken, and there is no own image or its size does not fit the target's.
        """
        if not self.pairs:
            return self.degradation.apply(target, number, seed)
        if own is None:
            raise ValueError("found no degraded image, expected one beside every clean image")
        own = self._planes(own)
        size = tuple(self.scale * side for side in own.shape[:2])
        if size != target.shape[:2] or own.ndim != target.ndim:
            found = f"{own.shape[1]}x{own.shape[0]} ({own.ndim} axes) for {target.shape[1]}x{target.shape[0]}"
            raise ValueError(f"degraded image: found {found}, expected 1/{self.scale} of the clean one's sides")
        return own

    def rank(self, restored: Image, target: Image) -> float:
        """The main measure alone, as training watches it."""
        return _MEASURES[self.main](restored, target, self.scale)

    def score(self, restored: Image, target: Image) -> Scores:
        """Every measure of a restored image."""
        return {measure: _MEASURES[measure](restored, target, self.scale) for measure in self.measures}

    @property
    def least(self) -> int:
        """The smallest side of a clean image, in pixels, that every measure takes."""
        sides = {"psnr_y": 2 * self.scale + 1, "psnr_b": 2 * BLOCK, "ssim": SSIM_SIDE, "ssim_y": SSIM_SIDE}
        return max(sides.get(measure, 1) for measure in self.measures)

    def caption(self, scores: Mapping[str, float]) -> str:
        """The scores in a line, as pictures and tables have them."""
        return " / ".join(f"{scores[m]:.2f} dB" if m.startswith("psnr") else f"{scores[m]:.4f}" for m in self.measures)

    @property
    def legend(self) -> str:
        """What `caption` holds: such as "PSNR-Y / SSIM-Y"."""
        return " / ".join(LABELS[measure].removesuffix(", dB") for measure in self.measures)

    def titled(self, name: str) -> str:
        """An image's name, which may be empty, with the scale where there is one: such as "baby.png, x4"."""
        return ", ".join(filter(None, [name, f"x{self.scale}" if self.scale > 1 else ""]))

    def _planes(self, image: Image) -> Image:
        return np.rint(rgb_to_y(image)).astype(np.uint8) if self.luma and image.ndim == 3 else image


def _ssim_of_planes(restored: Image, target: Image, scale: int) -> float:
    planes = zip(*(np.moveaxis(np.atleast_3d(image), 2, 0) for image in (restored, target)), strict=True)
    return fmean(ssim(a, b) for a, b in planes)


_MEASURES: dict[str, Callable[[Image, Image, int], float]] = {
    "psnr_y": psnr_y,
    "ssim_y": lambda restored, target, scale: ssim_y(restored, target),
    "psnr": lambda restored, target, scale: psnr(restored, target),
    "psnr_b": lambda restored, target, scale: psnr_b(restored, target),
    "ssim": _ssim_of_planes,
}


def super_resolution(scale: int, bicubic: Variant = "uint8") -> Protocol:
    """PSNR and SSIM on luma against MATLAB's bicubic LR; `scale` border pixels cut for PSNR."""
    made = f"LR: MATLAB bicubic x1/{scale} ({bicubic} variant) of HR cropped to a multiple of {scale}"
    scored = (
        f"PSNR and SSIM on Y (BT.601, 16..235) of uint8 RGB, {scale} border pixels cut for PSNR, none for SSIM "
        "(11x11 Gaussian, sigma 1.5, valid region)"
    )
    return Protocol("sr", Bicubic(scale, bicubic), ("psnr_y", "ssim_y"), made, scored)


def denoising(sigma: float | Range) -> Protocol:
    """PSNR over all pixels of images with Gaussian noise, plane by plane; the papers' sets are gray."""
    least, most = _ends(sigma)
    made = f"input: Gaussian noise of sigma {_shown(sigma)} ({_SEED}), rounded and clipped to uint8"
    return Protocol("denoise", Noise((least, most)), ("psnr", "ssim"), made, f"PSNR over {_PLANES}")


def deblocking(quality: int | tuple[int, int]) -> Protocol:
    """PSNR, PSNR-B and SSIM of JPEG-compressed luma."""
    least, most = _ends(quality)
    made = f"input: JPEG of quality {_shown(quality)} (libjpeg) of Y (BT.601, 16..235, rounded) or of the gray image"
    scored = f"PSNR and PSNR-B (8x8 blocks) of Y, no border cut; {_SSIM}"
    degradation = Jpeg((_whole(least), _whole(most)))
    return Protocol("deblock", degradation, ("psnr", "psnr_b", "ssim"), made, scored, luma=True)


def deblurring(length: float | Range = (5.0, 10.0), sigma: float = 1.0, inertia: float = INERTIA) -> Protocol:
    """PSNR over all planes of images under synthetic motion blur."""
    made = (
        f"input: blur of a random camera path of {_shown(length)} pixels, inertia {inertia:g}, then Gaussian noise of "
        f"sigma {sigma:g} ({_SEED}), rounded"
    )
    degradation = MotionBlur(_ends(length), sigma, inertia)
    return Protocol("deblur", degradation, ("psnr", "ssim"), made, f"PSNR over {_PLANES}")


_TASKS: dict[str, tuple[Callable[..., Protocol], tuple[str, ...], tuple[str, ...]]] = {
    # the constructor, the options it needs, the others that it knows
    "sr": (super_resolution, ("scale",), ("bicubic",)),
    "denoise": (denoising, ("sigma",), ()),
    "deblock": (deblocking, ("quality",), ()),
    "deblur": (deblurring, (), ("length", "sigma", "inertia")),
}
assert tuple(_TASKS) == TASKS


def of(task: str, options: Mapping[str, Any], *, pairs: bool = False) -> Protocol:
    """The protocol of a task with its options, as files give them: a list of two for a range.

    Args:
        task: sr, denoise, deblock or deblur.
        options: sr: scale, bicubic; denoise: sigma; deblock: quality; deblur: length, sigma, inertia.
        pairs: whether inputs are the image set's own.

    Raises:
        ValueError: the task or an option is not known, is missing or has an impossible value; names the option.
    """
    if task not in _TASKS:
        raise ValueError(f"task: found {task!r}, expected one of {', '.join(TASKS)}")
    make, needed, others = _TASKS[task]
    for name in options:
        if name not in needed + others:
            raise ValueError(f"{name}: {task} has no such option, expected {', '.join(needed + others)}")
    for name in needed:
        if name not in options:
            raise ValueError(f"{name}: found nothing, expected it for {task}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    try:
        protocol = make(**values)
    except (TypeError, OverflowError):  # an integer may be too large for a number
        raise ValueError(f"{task}: found {str(dict(options))[:100]}, expected numbers, or [least, most]") from None
    return replace(protocol, pairs=pairs)


def mean(scores: Mapping[str, Scores]) -> Scores:
    """The mean over images of every measure."""
    measures = next(iter(scores.values()))
    return {measure: fmean(row[measure] for row in scores.values()) for measure in measures}


def _ends(value: float | Range) -> Range:
    """A number as the range that holds it alone; TypeError for what is neither."""
    ends = value if isinstance(value, tuple) else (value, value)
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        raise TypeError
    return ends


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"quality: found {value:g}, expected a whole number")
    return int(value)


def _shown(value: float | Range) -> str:
    least, most = _ends(value)
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
