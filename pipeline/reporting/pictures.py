"""Evaluation images for the report's before-and-after view: the most telling part of each, lossless, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from lutra.evaluation.protocols import LABELS, Protocol
from lutra.imaging.sheet import Crop, choose_crop
from lutra.restore.restorer import Restorer
from lutra.training.pairs import interleaved
from pipeline.data.packed import PackedImages
from pipeline.reporting.papers import order

Image = NDArray[np.uint8]
WIDTH, HEIGHT = 384, 288  # most pixels of a clean image that are shown; twice the size still fits a page
THUMBNAIL = 144
BUDGET = 10_000_000  # characters of data URIs on a page; one image is shown however many models there are
PER_SET = 3


@dataclass(frozen=True)
class Version:
    """One version of an image: its title, its score in words or "", its pixels as a data URI."""

    label: str
    score: str
    uri: str


@dataclass(frozen=True)
class Example:
    """One evaluation image: its part that is shown, in pixels of the clean image, in all versions."""

    data: str
    name: str
    crop: Crop
    size: tuple[int, int]
    thumbnail: str
    versions: tuple[Version, ...]

    @property
    def characters(self) -> int:
        """The number of characters that it adds to the page."""
        return len(self.thumbnail) + sum(len(version.uri) for version in self.versions)


def pictures(
    folder: Path, models: Mapping[str, Restorer], protocol: Protocol, budget: int = BUDGET
) -> tuple[Example, ...]:
    """Return the first images of every set, taken in turns until the budget is spent.

    Args:
        folder: of the prepared evaluation sets, a folder each.
        models: by the name of their experiment.
        protocol: of the task.
        budget: characters of data URIs.
    """
    found: list[Example] = []
    for picture in _in_turns(folder, models, protocol):
        budget -= picture.characters
        if budget < 0 and found:
            break
        found.append(picture)
    return tuple(sorted(found, key=lambda picture: order(picture.data)))


def _in_turns(folder: Path, models: Mapping[str, Restorer], protocol: Protocol) -> Iterator[Example]:
    sets = {path.name: PackedImages(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    names = sorted(sets, key=order)
    turns = zip_longest(*([(name, index) for index in range(min(PER_SET, len(sets[name])))] for name in names))
    for name, index in (place for turn in turns for place in turn if place is not None):
        yield _picture(sets[name], name, index, models, protocol)


def _picture(
    images: PackedImages, data: str, index: int, models: Mapping[str, Restorer], protocol: Protocol
) -> Example:
    degraded, target = interleaved(images.input(index)), interleaved(images.target(index))
    first, last = protocol.names
    results = {protocol.baseline_name: protocol.baseline(degraded)}
    results |= {name: model.restore_planes(degraded) for name, model in models.items()}
    crop = window(list(results.values())[1:], target, protocol.whole_scale)
    versions = [
        Version(name, _score(image, target, protocol), lossless(crop.of(image))) for name, image in results.items()
    ]
    if protocol.whole_scale > 1:
        sides = (side // protocol.whole_scale for side in (crop.top, crop.left, crop.height, crop.width))
        versions.insert(0, Version(first, "as its pixels are", lossless(Crop(*sides).of(degraded))))
    versions.append(Version(last, "", lossless(crop.of(target))))
    size = (target.shape[1], target.shape[0])
    return Example(data, Path(images.names[index]).stem, crop, size, _thumbnail(target, crop), tuple(versions))


def window(methods: list[Image], target: Image, scale: int, width: int = WIDTH, height: int = HEIGHT) -> Crop:
    """Return the part that is shown, around the detail where the methods differ most; all of a small image.

    Its place and sides are multiples of the scale, so that it cuts no pixel of the input.
    """
    telling = choose_crop(methods, target, align=scale)
    top, rows = _span(telling.top + telling.height // 2, height, target.shape[0], scale)
    left, columns = _span(telling.left + telling.width // 2, width, target.shape[1], scale)
    return Crop(top, left, rows, columns)


def _span(centre: int, length: int, whole: int, step: int) -> tuple[int, int]:
    """Return start and length, multiples of `step`, of about `length` around `centre` within 0..whole."""
    length = min(length, whole) // step * step
    start = min(max(centre - length // 2, 0), whole - length)
    return start // step * step, length


def lossless(image: Image) -> str:
    """Return an image (H, W) or (H, W, 3) as a data URI: lossless WebP."""
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, format="WEBP", lossless=True, method=4)
    return _uri(buffer, "webp")


def _thumbnail(target: Image, crop: Crop) -> str:
    """Return the whole image, small, with a frame around the part that is shown."""
    whole = PillowImage.fromarray(np.ascontiguousarray(target)).convert("RGB")
    share = THUMBNAIL / max(whole.size)
    small = whole.resize((max(1, round(whole.width * share)), max(1, round(whole.height * share))))
    left, top = crop.left * share, crop.top * share
    box = (left, top, left + crop.width * share - 1, top + crop.height * share - 1)
    if crop.width * crop.height < target.shape[0] * target.shape[1]:
        ImageDraw.Draw(small).rectangle(box, outline="#ffffff", width=2)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return _uri(buffer, "jpeg")


def _score(image: Image, target: Image, protocol: Protocol) -> str:
    return f"{protocol.rank(image, target):.2f} {LABELS[protocol.main].partition(', ')[2]}"


def _uri(buffer: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
