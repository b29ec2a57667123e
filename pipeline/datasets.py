"""Where images come from (catalogue or folder), and how prepared images and patches are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from lutra import patches
from lutra.imaging.files import list_images, read_image
from lutra.imaging.resize import imresize
from pipeline import mistakes

PROJECT = Path(__file__).resolve().parent.parent
CATALOGUE = PROJECT / "data" / "catalogue.yaml"
Image = NDArray[np.uint8]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Entry):
    """One image of a set."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    halve: bool = False


class ImageSet(_Entry):
    """An image set of the catalogue: files of an installed Python package."""

    title: str
    home: str
    licence: str
    package: str
    folder: str
    files: tuple[File, ...]
    version: str | None = None


@dataclass(frozen=True)
class Source:
    """One image that can be read: (H, W) or (H, W, 3) uint8."""

    name: str
    read: Callable[[], Image]


def catalogue(path: Path = CATALOGUE) -> dict[str, ImageSet]:
    """The image sets by name; ValueError if the file is not as it should be."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text())
        return TypeAdapter(dict[str, ImageSet]).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def resolve(name: str, project: Path = PROJECT) -> list[Source]:
    """The images of a set of the catalogue, or of a folder (absolute, or relative to the project).

    Raises:
        ValueError: there is no such set or folder, a package is missing or of another version, a file is not the
            pinned one; the message names what was found and what was expected.
    """
    sets = catalogue()
    if name in sets:
        return _packaged(sets[name])
    folder = project / name
    if folder.is_dir():
        return [Source(path.name, lambda path=path: read_image(path)) for path in list_images(folder)]  # type: ignore[misc]
    known = mistakes.one_of(name, list(sets))
    raise ValueError(f"image set {name!r}: no such folder, nor a set of data/catalogue.yaml: expected {known}")


def _packaged(images: ImageSet) -> list[Source]:
    wanted = images.package + (f"=={images.version}" if images.version else "")
    try:
        package = metadata.distribution(images.package)
    except metadata.PackageNotFoundError:
        raise ValueError(f"package {images.package} is not installed: run `pip install {wanted}`") from None
    if images.version and package.version != images.version:
        raise ValueError(f"package {images.package} is version {package.version}, expected {images.version}")
    folder = Path(str(package.locate_file(images.folder)))
    return [Source(file.name, lambda file=file: _pinned(folder, file)) for file in images.files]  # type: ignore[misc]


def _pinned(folder: Path, file: File) -> Image:
    path = folder / file.name
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file in the installed package")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != file.sha256:
        raise ValueError(f"{path}: sha256 is {found}, expected {file.sha256}")
    image = read_image(path)
    return imresize(image, 0.5) if file.halve else image


class PackedImages:
    """Prepared images, memory-mapped: decoding is done, and processes that read them share the memory.

    `hr.npy` and `lr.npy` hold all images one after the other as uint8, each as planes (C, H, W).
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: as `prepare` wrote it; FileNotFoundError or ValueError if it is not."""
        index = folder / "index.json"
        if not index.is_file():
            raise FileNotFoundError(f"{index}: not found; run `python -m pipeline prepare` with this root first")
        content: dict[str, Any] = json.loads(index.read_text())
        self.scale: int = content["scale"]
        self.names: list[str] = [image["name"] for image in content["images"]]
        self.shapes = np.array([image["lr_shape"] for image in content["images"]], dtype=np.int64)
        self.lr_data = np.load(folder / "lr.npy", mmap_mode="r")
        self.hr_data = np.load(folder / "hr.npy", mmap_mode="r")
        sizes = self.shapes.prod(axis=1)
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        if len(self.lr_data) != self.offsets[-1] or len(self.hr_data) != self.offsets[-1] * self.scale**2:
            raise ValueError(f"{folder}: its arrays do not have the sizes that index.json gives")

    def __len__(self) -> int:
        return len(self.names)

    def lr(self, index: int) -> Image:
        """The low-resolution image: (C, h, w)."""
        return self._view(self.lr_data, index, 1)

    def hr(self, index: int) -> Image:
        """The high-resolution image: (C, h * scale, w * scale)."""
        return self._view(self.hr_data, index, self.scale)

    def _view(self, data: Image, index: int, scale: int) -> Image:
        channels, height, width = (int(value) for value in self.shapes[index])
        start, end = (int(offset) * scale**2 for offset in self.offsets[index : index + 2])
        return data[start:end].reshape(channels, height * scale, width * scale)


def stacked(images: PackedImages, pixels: int = 1 << 18) -> list[tuple[Image, Image]]:
    """All images' planes, those of one size together up to about so many LR pixels: LR (N, h, w) and HR."""
    batches: list[tuple[Image, Image]] = []
    for shape in np.unique(images.shapes, axis=0):
        alike = np.flatnonzero((images.shapes == shape).all(axis=1))
        together = max(1, int(pixels // shape.prod()))
        for start in range(0, len(alike), together):
            chosen = alike[start : start + together]
            batches.append(
                (
                    np.concatenate([images.lr(index) for index in chosen]),
                    np.concatenate([images.hr(index) for index in chosen]),
                )
            )
    return batches


class PatchSampler:
    """Random patches of one colour plane, flipped and rotated at random.

    A batch is a function of the seed and the step alone: a resumed run, and any number of processes, see the same
    global batches.
    """

    def __init__(self, images: PackedImages, patch: int, batch: int, seed: int, threads: int = 1) -> None:
        """`patch`: side in LR pixels; `batch`: patches over all processes; `threads`: for copying patches.

        Raises:
            ValueError: an image is smaller than a patch.
        """
        for name, (_, height, width) in zip(images.names, images.shapes, strict=True):
            if min(height, width) < patch:
                raise ValueError(f"{name}: {height}x{width} LR pixels, expected at least the patch of {patch}x{patch}")
        self.images, self.patch, self.batch, self.seed, self.threads = images, patch, batch, seed, threads
        positions = images.shapes[:, 0] * (images.shapes[:, 1] - patch + 1) * (images.shapes[:, 2] - patch + 1)
        self._ends = np.cumsum(positions)

    def batch_at(self, step: int, rank: int = 0, world: int = 1) -> tuple[Image, Image]:
        """The patches of one process at one step.

        Returns:
            lr (batch / world, 1, patch, patch), hr (batch / world, 1, patch * scale, patch * scale), uint8.

        Raises:
            ValueError: the batch cannot be shared out equally.
        """
        if self.batch % world:
            raise ValueError(f"batch of {self.batch} patches, expected a multiple of the {world} processes")
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, step]))
        place = generator.integers(self._ends[-1], size=self.batch)
        turn = generator.integers(8, size=self.batch)
        share = self.batch // world
        mine = slice(rank * share, (rank + 1) * share)
        index, channel, row, column = self._locate(place[mine])
        lr = self._gather(self.images.lr_data, 1, turn[mine], index, channel, row, column)
        hr = self._gather(self.images.hr_data, self.images.scale, turn[mine], index, channel, row, column)
        return lr[:, None], hr[:, None]

    def _locate(self, place: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Image, plane, row and column of positions counted over all images and planes: every one is as likely."""
        index = np.searchsorted(self._ends, place, side="right")
        rest = place - np.concatenate([[0], self._ends])[index]
        _, height, width = self.images.shapes[index].T
        rows, columns = height - self.patch + 1, width - self.patch + 1
        channel, rest = np.divmod(rest, rows * columns)
        row, column = np.divmod(rest, columns)
        return index, channel, row, column

    def _gather(
        self,
        data: Image,
        scale: int,
        turn: NDArray[np.int64],
        index: NDArray[np.int64],
        channel: NDArray[np.int64],
        row: NDArray[np.int64],
        column: NDArray[np.int64],
    ) -> Image:
        _, heights, widths = self.images.shapes[index].T * scale
        starts = self.images.offsets[index] * scale**2 + (channel * heights + row * scale) * widths + column * scale
        flat = np.asarray(data)  # a memmap's own slicing is slow
        return patches.gather(flat, starts, widths, turn, self.patch * scale, self.threads)
