"""Score models by their task's protocol: degrade clean images, restore them, compare the results with them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from lutra.evaluation import protocols
from lutra.evaluation.protocols import Protocol, Scores
from lutra.files import write_whole
from lutra.imaging.degrade import Unclipped
from lutra.imaging.folders import Entry
from lutra.imaging.images import read_image
from lutra.imaging.sheet import Crop, Panel, comparison_sheet
from lutra.model.artifact import Artifact
from lutra.model.tasks import TASKS
from lutra.restore.restorer import Restorer
from lutra.restore.sizes import Target
from lutra.terminal import printable

Image = NDArray[np.uint8]
Restore = Callable[[Any], Image]
Measures = Mapping[str, Callable[[Image, Image], float]]
"""Measures besides the protocol's, by name: from restored and clean image to a number."""


@dataclass(frozen=True)
class Sample:
    """One image to score: its name, what is restored, and the clean image; (H, W) or (H, W, 3) uint8.

    The input is int16 where noise is not clipped (`Protocol.scored_input`).
    """

    name: str
    input: Image | Unclipped
    target: Image


@dataclass(frozen=True)
class Scored:
    """A sample with what each method made of it, and the scores of that."""

    sample: Sample
    restored: dict[str, Image]
    scores: dict[str, Scores]


def protocol_of(
    model: Artifact, options: Mapping[str, object] | None = None, *, task: str | None = None, pairs: bool = False
) -> Protocol:
    """Return the protocol of the task that a model was trained for, or of another one.

    Args:
        model: has a task, the task's options and a scale.
        options: values that replace the model's own, such as {"sigma": 50}; of a model of any size, also its scale.
        task: a name in `lutra.model.tasks.TASKS`; None for the model's task.
        pairs: whether inputs are the image set's own.

    Raises:
        ValueError: an option that the task needs is neither in the model nor given, or the task does not have it.
    """
    name = task or model.task
    enlarges = TASKS[name].enlarges
    if not enlarges and model.description.scale != 1:
        raise ValueError(f"scale is {model.description.scale}, expected 1 for task {name}")
    found = dict(model.options) if name == model.task else {}
    found |= {option: value for option, value in (options or {}).items() if value is not None}
    if enlarges and not (model.description.any_size and "scale" in found):
        found["scale"] = model.description.scale
    return protocols.of(name, found, pairs=pairs)


def find_folder(data: str | os.PathLike[str]) -> Path:
    """Find an image set: a folder, or a name in $LUTRA_DATA, or else in the folder `data` here.

    Raises:
        FileNotFoundError: there is none; states where it was looked for.
    """
    if Path(data).exists():
        return Path(data)
    home = Path(os.environ.get("LUTRA_DATA") or "data")
    if not (home / data).is_dir():
        wanted = "expected a folder of clean images (in a checkout, `python -m pipeline fetch` brings published sets)"
        raise FileNotFoundError(f"{data}: found no such folder, nor {home / data}; {wanted}")
    return home / data


def restoring(model: Restorer, protocol: Protocol) -> Restore:
    """Return what restores a protocol's inputs: the model, at the protocol's scale where it has any size."""
    if not model.any_size or protocol.scale == model.scale:
        return model.restore_planes
    return lambda image: model.restore(image, size=Target(scale=protocol.scale))


def score(sample: Sample, methods: Mapping[str, Restore], protocol: Protocol, more: Measures | None = None) -> Scored:
    """Restore one image by every method and score the results.

    Args:
        sample: the image.
        methods: models or other methods by name, each from an input to an image `protocol.scale` times larger.
        protocol: how results are scored; its `baseline` is a method too.
        more: further measures.

    Raises:
        ValueError: an image does not suit a method or a measure.
    """
    restored = {name: restore(sample.input) for name, restore in methods.items()}
    scores = {name: protocol.score(image, sample.target) for name, image in restored.items()}
    for name, image in restored.items():
        scores[name] |= {label: measure(image, sample.target) for label, measure in (more or {}).items()}
    return Scored(sample, restored, scores)


def score_set(
    methods: Mapping[str, Restore], entries: Sequence[Entry], protocol: Protocol, more: Measures | None = None
) -> Iterator[Scored]:
    """Degrade, restore and score the images of a set, one after the other.

    Args:
        methods: as `score` takes them.
        entries: the images; their places decide their random degradations.
        protocol: how inputs are made and results are scored.
        more: further measures.

    Raises:
        ValueError: an image is damaged, of an unknown kind or has no fitting input; names the file.
    """
    for number in range(len(entries)):
        yield score_entry(methods, entries, number, protocol, more)


def score_entry(
    methods: Mapping[str, Restore],
    entries: Sequence[Entry],
    number: int,
    protocol: Protocol,
    more: Measures | None = None,
) -> Scored:
    """Do what `score_set` does with the image that has that number in its set."""
    entry = entries[number]
    clean = read_image(entry.target)
    own = read_image(entry.input) if protocol.pairs and entry.input else None
    try:
        target = protocol.target(clean)
        sample = Sample(entry.name, protocol.scored_input(target, number, own), target)
        return score(sample, methods, protocol, more)
    except ValueError as error:
        raise ValueError(f"{entry.target}: {error}") from None


def sheet(scored: Scored, protocol: Protocol, title: str = "", crop: Crop | None = None) -> PillowImage.Image:
    """Draw a labelled sheet of input, restorations and clean image, with their scores.

    Args:
        scored: an image with its restorations in the order shown, the baseline first. The input is not shown where it
            is the baseline, or where its pixels are no whole ones of the clean image.
        protocol: how it was scored.
        title: the label of the whole image.
        crop: the region that is zoomed, in pixels of the clean image; by default where the results differ most.
    """
    first, last = protocol.names
    degraded = scored.sample.input.clip(0, 255).astype(np.uint8)
    panels: list[Panel] = [(first, "", degraded)] if protocol.scale > 1 and protocol.scale == protocol.border else []
    panels += [(label, protocol.caption(scored.scores[label]), image) for label, image in scored.restored.items()]
    panels.append((last, protocol.legend, scored.sample.target))
    return comparison_sheet(panels, title=title, crop=crop)


def draw_extremes(
    methods: Mapping[str, Restore],
    entries: Sequence[Entry],
    protocol: Protocol,
    scores: Mapping[str, Scores],
    folder: Path,
    count: int,
) -> Iterator[Path]:
    """Draw sheets of the images that score best and worst: best-1-NAME.png and so on.

    Args:
        methods, entries, protocol: as `evaluate` takes them.
        scores: by image, those that decide.
        folder: where to write.
        count: how many of either; no image is drawn twice.

    Yields:
        The files, as they are written.
    """
    shown = {protocol.baseline_name: protocol.baseline, **methods}
    order = sorted(range(len(entries)), key=lambda number: -scores[entries[number].name][protocol.main])
    best = order[: min(count, (len(order) + 1) // 2)]
    worst = [number for number in order[::-1][:count] if number not in best]
    for kind, numbers in (("best", best), ("worst", worst)):
        for place, number in enumerate(numbers, 1):
            found = score_entry(shown, entries, number, protocol)
            picture = io.BytesIO()
            sheet(found, protocol, title=printable(found.sample.name)).save(picture, format="PNG")
            path = folder / f"{kind}-{place}-{Path(found.sample.name).stem}.png"
            write_whole(path, picture.getvalue())
            yield path


def csv_of(scores: Mapping[str, Scores]) -> str:
    """Return the scores as CSV: a row for each image, then their mean; bytes in names that are no UTF-8 are escaped."""
    text = io.StringIO()
    columns = list(next(iter(scores.values())))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *columns])
    for name, row in [*scores.items(), ("mean", protocols.mean(scores))]:
        name = name.encode(errors="backslashreplace").decode()
        writer.writerow([name, *(f"{row[column]:.6f}" for column in columns)])
    return text.getvalue()
