"""Evaluate a model on a folder of images: `lutra.evaluate`, and what `lutra evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

from lutra.evaluation import protocols, scoring
from lutra.evaluation.protocols import Protocol, Scores
from lutra.evaluation.scoring import Measures
from lutra.imaging.folders import find_images
from lutra.restore.restorer import Restorer, load


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on an image set.

    images: the scores of each image by its name, {image: {measure: value}}.
    mean: the mean of every measure over the images, such as {"psnr_y": 29.84, "ssim_y": 0.85}.
    protocol: how the inputs were made and what was measured.
    """

    images: Mapping[str, Scores]
    mean: Scores
    protocol: Protocol


def evaluate(
    model: str | PathLike[str] | Restorer,
    data: str | PathLike[str],
    *,
    options: Mapping[str, object] | None = None,
    task: str | None = None,
    pairs: bool = False,
    more: Measures | None = None,
) -> Evaluation:
    """Degrade clean images as a task does, restore them, and score the results by the field's protocol.

    Args:
        model: a model file, a name that `lutra.models` lists, an address, or a model that `lutra.load` returned.
        data: a folder of clean images, or the name of a set in $LUTRA_DATA or the folder `data` here.
        task: another task to degrade and score by, such as "photo"; None for the model's.
        options: values that replace the model's own options of its task, such as {"sigma": 50}; of a model of any size,
            also the scale, such as {"scale": 1.5}.
        pairs: whether to restore the set's own degraded images instead of making some.
        more: further measures by name, each a function of the restored and the clean image.

    Raises:
        ValueError: an image is damaged or does not fit the task, or an option is unknown.
        OSError: the model or the folder cannot be read.
    """
    restorer = model if isinstance(model, Restorer) else load(model)
    protocol = scoring.protocol_of(restorer.artifact, options, task=task, pairs=pairs)
    entries = find_images(scoring.find_folder(data), protocol.border, pairs=pairs)
    scored = scoring.score_set({"model": scoring.restoring(restorer, protocol)}, entries, protocol, more)
    scores = {one.sample.name: one.scores["model"] for one in scored}
    return Evaluation(scores, protocols.mean(scores), protocol)
