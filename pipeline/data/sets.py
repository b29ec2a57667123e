"""Find the images of a set: in the catalogue, or in a folder of the user's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lutra.files import sha256_of
from lutra.imaging.decoding import open_image
from lutra.imaging.folders import Entry, find_images
from lutra.imaging.images import read_image
from lutra.imaging.resize import imresize
from lutra.training.pairs import evenly_spaced
from pipeline import PROJECT
from pipeline.data.catalogue import Downloaded, File, Packaged, Synthetic, catalogue
from pipeline.data.leaves import drawn
from pipeline.params import DeadLeavesParams, Params, reading

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSource:
    """An image that can be read, (H, W) or (H, W, 3) uint8, and its degraded version where the set has one."""

    name: str
    read: Callable[[], Image]
    shape: Callable[[], tuple[int, int, int]]
    """Returns its sides and its number of channels, 1 or 3, without decoding the image."""
    identity: Callable[[], str]
    """Returns text that differs where the pixels do, without decoding the image."""
    read_input: Callable[[], Image] | None = None
    group: str = ""
    """The name of the set, of an image to train on."""


def resolve(
    name: str,
    scale: int = 1,
    *,
    pairs: bool = False,
    leaves: DeadLeavesParams | None = None,
    cache: Path | None = None,
    project: Path = PROJECT,
) -> list[ImageSource]:
    """Return the images of a set of the catalogue, or of a folder (absolute, or relative to the project).

    Args:
        name: the name of the set or folder.
        scale: the scale of the degraded images to look for, where the set has several.
        pairs: whether every image must have its degraded version.
        leaves: the parameters of the synthetic set.
        cache: the folder that keeps the synthetic images, which are drawn now if it does not; None to draw each image
            when it is read.
        project: holds `data/`, where sets that were fetched lie.

    Raises:
        ValueError: there is no such set or folder, it was not fetched yet, a package is missing or of another
            version, a file is not the pinned one, or pairs are incomplete; tells what was found and expected.
    """
    sets = catalogue()
    found = sets.get(name)
    if found is not None and pairs and not isinstance(found, Downloaded):
        raise ValueError(f"image set {name!r}: has no degraded images, expected pairs")
    if isinstance(found, Packaged):
        return _packaged(found)
    if isinstance(found, Synthetic):
        return _synthetic(name, leaves or DeadLeavesParams(), cache)
    folder = project / name if found is None else project / "data" / name
    if folder.is_dir():
        size = found.shrink if found else 1
        return [_shrunk(_of_entry(entry), size) for entry in find_images(folder, scale, pairs=pairs)]
    if found is not None:
        raise ValueError(f"image set {name!r}: not here yet: run `python -m pipeline fetch {name}`")
    known = reading.one_of(name, list(sets))
    raise ValueError(f"image set {name!r}: no such folder, nor a set of data/catalogue.yaml: expected {known}")


def image_sources(params: Params, task: str, cache: Path | None = None) -> dict[str, list[ImageSource]]:
    """Return the images of a task by the folder they are prepared into.

    Training and validation share one set; every evaluation set has a folder of its own. `cache` is the folder that
    keeps synthetic images, as `resolve` takes it.

    Raises ValueError as `resolve` does, and when too few images or two sets of one name are given.
    """
    protocol = params.task(task).protocol()

    def sources(name: str) -> list[ImageSource]:
        return resolve(name, protocol.whole_scale, pairs=protocol.pairs, leaves=params.data.deadleaves, cache=cache)

    def sized(name: str, images: list[ImageSource]) -> list[ImageSource]:
        drawn_now = isinstance(catalogue().get(name), Synthetic)  # at the size that was asked for
        sizes = (1.0,) if drawn_now else params.factors(task)
        return [replace(_shrunk(image, size, named=len(sizes) > 1), group=name) for size in sizes for image in images]

    factor = min(params.factors(task))
    if factor < 1 and protocol.pairs:
        raise ValueError(f"data.shrink: found {factor:g} with the sets' own degraded images, expected 1")
    first, *others = params.train_sets(task)
    images = sources(first)
    held = params.data.validate
    if held >= len(images):
        raise ValueError(f"data.validate: found {held}, expected fewer than the {len(images)} images of {first}")
    chosen = evenly_spaced(held, len(images))
    train = [image for number, image in enumerate(images) if number not in chosen]
    sets = {
        "train": sized(first, train) + [image for name in others for image in sized(name, sources(name))],
        "validate": sized(first, [image for number, image in enumerate(images) if number in chosen]),
    }
    evaluations = params.evaluations(task)
    twice = [name for name, count in Counter(one.name for one in evaluations).items() if count > 1]
    if twice:
        raise ValueError(f"data.evaluate: found two sets called {twice[0]!r}, expected different names")
    return sets | {f"evaluate/{one.name}": sources(one.data) for one in evaluations}


def _shrunk(source: ImageSource, factor: float, *, named: bool = False) -> ImageSource:
    """Return a source that is read at a smaller size, by MATLAB's bicubic; `named` adds the size to its name."""
    if factor == 1:
        return source

    def shape() -> tuple[int, int, int]:
        width, height, channels = source.shape()
        return ceil(width * factor), ceil(height * factor), channels

    def identity() -> str:
        return f"{source.identity()} shrink={factor:g}"

    name = f"{source.name} at {factor:g}" if named else source.name
    return ImageSource(name, lambda: imresize(source.read(), factor), shape, identity)


def _of_entry(entry: Entry) -> ImageSource:
    degraded = entry.input
    return ImageSource(
        entry.name,
        lambda: read_image(entry.target),
        lambda: _shape(entry.target),
        lambda: sha256_of(entry.target),
        (lambda: read_image(degraded)) if degraded is not None else None,
    )


def _synthetic(name: str, settings: DeadLeavesParams, cache: Path | None) -> list[ImageSource]:
    photographs = [drawn.Photograph(source.identity, source.read) for source in resolve(settings.colours)]
    kept = None if cache is None else drawn.images(settings, photographs, cache)

    def image(number: int) -> Image:
        return drawn.image(settings, photographs, number) if kept is None else np.array(kept[number])

    shape = (settings.size, settings.size, 3)
    return [
        ImageSource(f"{name}-{number:05}", lambda number=number: image(number), lambda: shape, lambda: name)  # type: ignore[misc]
        for number in range(settings.images)
    ]


def _packaged(images: Packaged) -> list[ImageSource]:
    package = images.distribution()
    if images.version and package.version != images.version:
        raise ValueError(f"package {images.package} is version {package.version}, expected {images.version}")
    folder = Path(str(package.locate_file(images.folder)))
    return [
        ImageSource(
            file.name,
            lambda file=file: _pinned(folder, file),  # type: ignore[misc]
            lambda file=file: _pinned_shape(folder, file),  # type: ignore[misc]
            lambda file=file: f"{file.sha256} halve={file.halve}",  # type: ignore[misc]
        )
        for file in images.files
    ]


def _pinned_shape(folder: Path, file: File) -> tuple[int, int, int]:
    width, height, channels = _shape(folder / file.name)
    return (-(-width // 2), -(-height // 2), channels) if file.halve else (width, height, channels)


def _shape(path: Path) -> tuple[int, int, int]:
    """Return the sides and channels by the file's header; the sides change places where EXIF turns the image."""
    return open_image(
        path, lambda image: (*image.size, 1 if image.mode in ("L", "LA", "1") else 3), "expected an image"
    )


def _pinned(folder: Path, file: File) -> Image:
    path = folder / file.name
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file in the installed package")
    found = sha256_of(path)
    if found != file.sha256:
        raise ValueError(f"{path}: sha256 is {found}, expected {file.sha256}")
    image = read_image(path)
    return imresize(image, 0.5) if file.halve else image
