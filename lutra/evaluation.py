"""Scoring by the field's super-resolution protocol: degrade HR images, restore them, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.files import list_images, read_image
from lutra.imaging.metrics import psnr_y, ssim_y
from lutra.imaging.resize import Variant, imresize, modcrop

PROTOCOL = (
    "LR: MATLAB bicubic x1/{scale} ({bicubic} variant) of HR cropped to a multiple of {scale}; PSNR and SSIM on Y "
    "(BT.601, 16..235) of uint8 RGB, {scale} border pixels cut for PSNR, none for SSIM (11x11 Gaussian, sigma 1.5, "
    "valid region); mean over images"
)
Image = NDArray[np.uint8]
Scores = dict[str, float]


def score(restored: Image, hr: Image, scale: int) -> Scores:
    """PSNR-Y in dB, `scale` border pixels cut, and SSIM-Y of a restored image; both (H, W) or (H, W, 3) uint8."""
    return {"psnr_y": psnr_y(restored, hr, scale), "ssim_y": ssim_y(restored, hr)}


def caption(scores: Scores) -> str:
    """Both scores in a line, as pictures are labelled with."""
    return f"{scores['psnr_y']:.2f} dB / {scores['ssim_y']:.4f}"


def evaluate_folder(
    restore: Callable[[Image], Image], folder: Path, scale: int, bicubic: Variant = "uint8"
) -> dict[str, Scores]:
    """Scores of every HR image in a folder, by name.

    Args:
        restore: from LR (H, W) or (H, W, 3) uint8 to the same, `scale` times larger.
        folder: HR images.
        scale: upscaling factor; 1 scores the restoration of the image itself.
        bicubic: which variant of MATLAB's bicubic makes LR.

    Raises:
        ValueError: there is no image, or one is damaged or of an unknown kind; names the file.
    """
    scores = {}
    for path in list_images(folder):
        hr = modcrop(read_image(path), scale)
        lr = imresize(hr, 1 / scale, bicubic) if scale > 1 else hr
        scores[path.name] = score(restore(lr), hr, scale)
    return scores


def mean(scores: Mapping[str, Scores]) -> Scores:
    """The mean over images of every measure."""
    measures = next(iter(scores.values()))
    return {measure: fmean(row[measure] for row in scores.values()) for measure in measures}
