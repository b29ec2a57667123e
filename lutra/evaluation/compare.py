"""`lutra compare`: several models on one image, as a labelled sheet with their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from lutra.evaluation.protocols import Protocol
from lutra.evaluation.scoring import Restore, Sample, protocol_of, score, sheet
from lutra.imaging.degrade import Bicubic
from lutra.imaging.sheet import Crop
from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.restore import sources
from lutra.restore.restorer import Restorer

Image = NDArray[np.uint8]


def draw_sheet(
    clean: Image, models: Mapping[str, Artifact], *, title: str = "", crop: Crop | None = None
) -> PillowImage.Image:
    """Degrade a clean image, restore it with every model, and draw input, baseline, results and clean image.

    Args:
        clean: (H, W) or (H, W, 3) uint8; cropped to a multiple of the scale.
        models: by label, all of one task and scale, shown in this order.
        title: the label of the whole image, to which the scale is added.
        crop: the region that is zoomed, in pixels of the clean image; by default where the results differ most.

    Raises:
        ValueError: the models differ in task or scale, nothing installed runs one of them, the image is too small to
            score, or the crop is not within it.
    """
    protocol = common_protocol(models)
    target = protocol.target(clean)
    methods: dict[str, Restore] = {protocol.baseline_name: protocol.baseline}
    methods |= {label: Restorer(model).restore_planes for label, model in models.items()}
    scored = score(Sample(title, protocol.input(target, 0), target), methods, protocol)
    return sheet(scored, protocol, title=protocol.titled(title), crop=crop)


def load_labelled(models: Sequence[str]) -> dict[str, Artifact]:
    """Load models, each a file, a name or an address as `lutra.load` takes it.

    Returns:
        The models by their files' names, with the folder's name where files have the same name.

    Raises:
        ValueError: a model is damaged or unknown.
        OSError: one cannot be read.
    """
    paths = [Path(sources.find_model(model)) for model in models]
    stems = [path.stem for path in paths]
    labels = [
        f"{path.resolve().parent.name}/{path.stem}" if stems.count(path.stem) > 1 else path.stem for path in paths
    ]
    if len(set(labels)) < len(paths):
        labels = [str(path) for path in paths]
    return {label: artifact.load(path) for label, path in zip(labels, paths, strict=True)}


def common_protocol(models: Mapping[str, Artifact]) -> Protocol:
    """Return the protocol of all the models; raises ValueError where they differ in task, options or scale."""
    found = {name: protocol_of(model) for name, model in models.items()}
    first = next(iter(found.values()))
    unchanged = first.scale == 1 and isinstance(first.degradation, Bicubic)
    if unchanged or any(protocol != first for protocol in found.values()):
        shown = ", ".join(f"{name} {_named(models[name])}" for name in found)
        raise ValueError(f"models to compare: found {shown}, expected one task and scale for all, sr of at least x2")
    return first


def _named(model: Artifact) -> str:
    options = "".join(f" {name} {value}" for name, value in model.options.items())
    return f"{model.task} x{model.description.scale}{options}"


def parse_crop(text: str) -> Crop:
    """Return the region of "TOP,LEFT,HEIGHT,WIDTH" in pixels of HR; raises ValueError."""
    numbers = [number.strip() for number in text.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"crop is {text!r}, expected TOP,LEFT,HEIGHT,WIDTH in pixels, such as 40,100,64,64")
    return Crop(*map(int, numbers))
