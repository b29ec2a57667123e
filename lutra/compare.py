"""`lutra compare`: several models on one image, as a labelled sheet with their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from lutra import artifact, sources
from lutra.artifact import Artifact
from lutra.evaluation import caption, score
from lutra.imaging.resize import Variant, imresize, modcrop
from lutra.imaging.sheet import Crop, Panel, comparison_sheet
from lutra.restoring import Restorer

Image = NDArray[np.uint8]


def draw(
    hr: Image,
    models: Mapping[str, Artifact],
    *,
    title: str = "",
    crop: Crop | None = None,
    bicubic: Variant = "uint8",
) -> PillowImage.Image:
    """Degrade an HR image, restore it with bicubic and every model, and draw LR, the results and HR.

    Args:
        hr: (H, W) or (H, W, 3) uint8; cropped to a multiple of the scale.
        models: by label, all of one scale, shown in this order.
        title: the label of the whole image, to which the scale is added.
        crop: the region that is zoomed, in pixels of HR; by default where the results differ most.
        bicubic: which variant of MATLAB's bicubic makes LR.

    Raises:
        ValueError: the models differ in scale, nothing installed runs one of them, the image is too small to score,
            or the crop is not within it.
    """
    scale = common_scale(models)
    hr = modcrop(hr, scale)
    lr = imresize(hr, 1 / scale, bicubic)
    restored = {"bicubic": imresize(lr, scale)}
    restored |= {label: Restorer(model).restore(lr) for label, model in models.items()}
    panels: list[Panel] = [("LR", "", lr)]
    for label, image in restored.items():
        panels.append((label, caption(score(image, hr, scale)), image))
    panels.append(("HR", "PSNR-Y / SSIM-Y", hr))
    return comparison_sheet(panels, title=f"{title}, x{scale}".removeprefix(", "), crop=crop)


def load_labelled(models: Sequence[str]) -> dict[str, Artifact]:
    """Load models, each a file, a name or an address as `lutra.load` takes it.

    Returns:
        Them by their files' names, with the folder's where files are named alike.

    Raises:
        ValueError: a model is damaged or unknown.
        OSError: one cannot be read.
    """
    paths = [Path(sources.find(model)) for model in models]
    stems = [path.stem for path in paths]
    labels = [
        f"{path.resolve().parent.name}/{path.stem}" if stems.count(path.stem) > 1 else path.stem for path in paths
    ]
    if len(set(labels)) < len(paths):
        labels = [str(path) for path in paths]
    return {label: artifact.load(path) for label, path in zip(labels, paths, strict=True)}


def common_scale(models: Mapping[str, Artifact]) -> int:
    """The scale of all the models; raises ValueError where they differ, or it is 1: nothing would be enlarged."""
    scales = {name: model.description.scale for name, model in models.items()}
    if len(set(scales.values())) != 1 or 1 in scales.values():
        found = ", ".join(f"{name} x{scale}" for name, scale in scales.items())
        raise ValueError(f"models to compare: found {found}, expected one scale for all, at least 2")
    return next(iter(scales.values()))


def parse_crop(text: str) -> Crop:
    """A region from "TOP,LEFT,HEIGHT,WIDTH" in pixels of HR; raises ValueError."""
    numbers = [number.strip() for number in text.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"crop is {text!r}, expected TOP,LEFT,HEIGHT,WIDTH in pixels, such as 40,100,64,64")
    return Crop(*map(int, numbers))
