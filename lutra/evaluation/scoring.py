"""Scoring a model by its task's protocol: degrade clean images, restore them, compare."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from lutra.evaluation import protocols
from lutra.evaluation.protocols import Protocol, Scores
from lutra.files import write_whole
from lutra.imaging.files import read_image
from lutra.imaging.folders import Entry
from lutra.imaging.sheet import Crop, Panel, comparison_sheet
from lutra.model.artifact import Artifact
from lutra.model.tasks import TASKS
from lutra.terminal import printable

Image = NDArray[np.uint8]
Restore = Callable[[Image], Image]
Measures = Mapping[str, Callable[[Image, Image], float]]
"""Measures beyond the protocol's, by name: from restored and clean image to a number."""


@dataclass(frozen=True)
class Evaluated:
    """One image: what was restored from what, and the scores."""

    name: str
    input: Image
    target: Image
    restored: Image
    scores: Scores


def protocol_of(model: Artifact, options: Mapping[str, object] | None = None, *, pairs: bool = False) -> Protocol:
    """The protocol of the task that a model was trained for.

    Args:
        model: says its task, the task's options and its scale.
        options: in place of the model's own, such as {"sigma": 50}; None for the model's.
        pairs: whether inputs are the image set's own.

    Raises:
        ValueError: an option that the task needs is neither in the model nor given, or the task does not have it.
    """
    enlarges = TASKS[model.task].enlarges
    if not enlarges and model.description.scale != 1:
        raise ValueError(f"scale is {model.description.scale}, expected 1 for task {model.task}")
    found = dict(model.options) | {name: value for name, value in (options or {}).items() if value is not None}
    if enlarges:
        found["scale"] = model.description.scale
    return protocols.of(model.task, found, pairs=pairs)


def find_folder(data: str) -> Path:
    """The folder of an image set: a folder, or a name in $LUTRA_DATA, else in the folder `data` here.

    Raises FileNotFoundError that says where it was looked for.
    """
    if Path(data).exists():
        return Path(data)
    home = Path(os.environ.get("LUTRA_DATA") or "data")
    if not (home / data).is_dir():
        raise FileNotFoundError(
            f"{data}: no such folder, nor {home / data}; `python -m pipeline fetch` brings sets there"
        )
    return home / data


def evaluate(
    restore: Restore, entries: Sequence[Entry], protocol: Protocol, more: Measures | None = None
) -> Iterator[Evaluated]:
    """Degrade, restore and score images, one after the other.

    Args:
        restore: from input (H, W) or (H, W, 3) uint8 to the same, `protocol.scale` times larger.
        entries: the images; their places decide their random degradations.
        protocol: of the task.
        more: further measures.

    Raises:
        ValueError: an image is damaged, of an unknown kind or has no fitting input; names the file.
    """
    for number, entry in enumerate(entries):
        yield evaluate_one(restore, entry, number, protocol, more)


def evaluate_one(
    restore: Restore, entry: Entry, number: int, protocol: Protocol, more: Measures | None = None
) -> Evaluated:
    """As `evaluate`, the one image with that number in its set."""
    target = protocol.target(read_image(entry.target))
    own = read_image(entry.input) if protocol.pairs and entry.input else None
    try:
        degraded = protocol.input(target, number, own)
        restored = restore(degraded)
        scores = protocol.score(restored, target)
        scores |= {name: measure(restored, target) for name, measure in (more or {}).items()}
    except ValueError as error:
        raise ValueError(f"{entry.target}: {error}") from None
    return Evaluated(entry.name, degraded, target, restored, scores)


def sheet(
    degraded: Image,
    target: Image,
    restored: Mapping[str, tuple[Image, Mapping[str, float]]],
    protocol: Protocol,
    title: str = "",
    crop: Crop | None = None,
) -> PillowImage.Image:
    """A labelled sheet of input, restorations and clean image, with their scores.

    Args:
        degraded: the input, (h, w) or (h, w, 3) uint8; not shown where the baseline is the input.
        target: the clean image, (H, W) or (H, W, 3) uint8.
        restored: images with their scores by label, in the order shown: the baseline first.
        protocol: of the task.
        title: the label of the whole image.
        crop: the region that is zoomed, in pixels of the clean image; by default where the results differ most.
    """
    first, last = protocol.names
    panels: list[Panel] = [(first, "", degraded)] if protocol.scale > 1 else []
    panels += [(label, protocol.caption(scores), image) for label, (image, scores) in restored.items()]
    panels.append((last, protocol.legend, target))
    return comparison_sheet(panels, title=title, crop=crop)


def draw_extremes(
    restore: Restore,
    entries: Sequence[Entry],
    protocol: Protocol,
    scores: Mapping[str, Scores],
    label: str,
    folder: Path,
    count: int,
) -> Iterator[Path]:
    """Draw sheets of the images that score best and worst: best-1-NAME.png and so on.

    Args:
        restore, entries, protocol: as of `evaluate`, which gave the `scores`.
        label: what the restoration is called.
        folder: where to write.
        count: how many of either; no image is drawn twice.

    Yields:
        The files, as they are written.
    """
    order = sorted(range(len(entries)), key=lambda number: -scores[entries[number].name][protocol.main])
    best = order[: min(count, (len(order) + 1) // 2)]
    worst = [number for number in order[::-1][:count] if number not in best]
    for kind, numbers in (("best", best), ("worst", worst)):
        for place, number in enumerate(numbers, 1):
            found = evaluate_one(restore, entries[number], number, protocol)
            baseline = protocol.baseline(found.input)
            shown = {protocol.baseline_name: (baseline, protocol.score(baseline, found.target))}
            shown[label] = (found.restored, found.scores)
            picture = io.BytesIO()
            sheet(found.input, found.target, shown, protocol, title=printable(found.name)).save(picture, format="PNG")
            path = folder / f"{kind}-{place}-{Path(found.name).stem}.png"
            write_whole(path, picture.getvalue())
            yield path


def table(scores: Mapping[str, Scores]) -> str:
    """Return CSV of the scores: a row an image, then their mean; escapes stand for bytes in names that are no UTF-8."""
    text = io.StringIO()
    columns = list(next(iter(scores.values())))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *columns])
    for name, row in [*scores.items(), ("mean", protocols.mean(scores))]:
        name = name.encode(errors="backslashreplace").decode()
        writer.writerow([name, *(f"{row[column]:.6f}" for column in columns)])
    return text.getvalue()
