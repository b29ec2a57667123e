"""Prepared images as training and evaluation read them: memory-mapped, whole or in random patches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lutra.evaluation import protocols
from lutra.imaging.degrade import Degradation, generator_of
from lutra.training import patches

Image = NDArray[np.uint8]
FLAT = 1.0
"""Standard deviation in levels below which every plane of a flat image stays."""


INPUT, TARGET = "input.npy", "target.npy"
_AGAIN = "run `python -m pipeline prepare` with this root again"


class _Record(BaseModel):
    """Part of an index: of exactly these types, and whatever else a later version adds."""

    model_config = ConfigDict(frozen=True, strict=True)


class ImageRecord(_Record):
    """An image: its name, and its input's shape (C, h, w)."""

    name: str
    input_shape: tuple[
        Annotated[int, Field(ge=1, le=4)],
        Annotated[int, Field(ge=1, le=1 << 20)],
        Annotated[int, Field(ge=1, le=1 << 20)],
    ]


class DrawnRecord(_Record):
    """The task that degrades each patch when it is drawn."""

    task: str
    options: dict[str, Any]

    @property
    def degradation(self) -> Degradation:
        """What degrades; ValueError for a task or options that there are not."""
        return protocols.of(self.task, self.options).degradation


class Index(_Record):
    """What index.json of a folder of prepared images holds; `sha256`: of the arrays' values, by file."""

    scale: Annotated[int, Field(ge=1, le=64)]
    images: Annotated[list[ImageRecord], Field(min_length=1)]
    sha256: dict[str, str] = {}
    drawn_anew: DrawnRecord | None = None

    @property
    def sizes(self) -> list[int]:
        """How many values every input has."""
        return [math.prod(image.input_shape) for image in self.images]


def read_index(folder: Path) -> Index:
    """Read index.json of a folder of prepared images.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged; says where and what was expected.
    """
    path = folder / "index.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run `python -m pipeline prepare` with this root first")
    try:
        index = Index.model_validate_json(path.read_bytes())
        if index.drawn_anew is not None:
            _ = index.drawn_anew.degradation
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{path}: damaged: {place}: {first['msg']}; {_AGAIN}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: damaged: drawn_anew: {error}; {_AGAIN}") from None
    return index


def check(data: Path, *parts: str) -> None:
    """Compare prepared images with the SHA-256 that prepare wrote, which takes about a second for every gigabyte.

    Args:
        data: the prepared folder of a task.
        parts: folders in it, such as "train".

    Raises:
        FileNotFoundError, ValueError: a file is missing, damaged, or not what prepare wrote; names it.
    """
    for part in parts:
        images = PackedImages(data / part)
        expected = read_index(data / part).sha256
        for name, array in ((INPUT, images.input_data), (TARGET, images.target_data)):
            with (images.folder / name).open("rb") as file:  # read, for touched pages of a map count as memory
                file.seek(array.offset)
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected.get(name):
                wanted = expected.get(name, "one in index.json")
                raise ValueError(f"{images.folder / name}: sha256 is {found}, expected {wanted}; {_AGAIN}")


def _array(path: Path, size: int) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Return the values of a .npy file, memory-mapped.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no .npy file of that many uint8 in one dimension; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; {_AGAIN}")
    try:
        data = np.lib.format.open_memmap(path, mode="r")
        found = f"{data.dtype} of shape {data.shape}"
        fits = data.dtype == np.uint8 and data.shape == (size,)
    except Exception:  # whatever NumPy's reader raises on a stranger's header
        found, fits = "a file that NumPy cannot read", False
    if not fits:
        raise ValueError(f"{path}: found {found}, expected uint8 of shape ({size},); {_AGAIN}")
    return data


class PackedImages:
    """Prepared images, memory-mapped: decoding is done, and processes that read them share the memory.

    `target.npy` and `input.npy` hold all images one after the other as uint8, each as planes (C, H, W).
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: as `prepare` wrote it; FileNotFoundError or ValueError if it is not."""
        index = read_index(folder)
        self.folder, self.scale = folder, index.scale
        self.names = [image.name for image in index.images]
        self.shapes = np.array([image.input_shape for image in index.images], dtype=np.int64)
        self.drawn_anew = index.drawn_anew.degradation if index.drawn_anew else None
        """What degrades every patch anew, in place of the stored inputs; None where they are as good."""
        values = sum(index.sizes)  # of Python's integers, which do not overflow
        self.input_data = _array(folder / INPUT, values)
        self.target_data = _array(folder / TARGET, values * self.scale**2)
        self.offsets = np.concatenate([[0], np.cumsum(self.shapes.prod(axis=1))])

    def __len__(self) -> int:
        return len(self.names)

    def input(self, index: int) -> Image:
        """The degraded image: (C, h, w)."""
        return self._view(self.input_data, index, 1)

    def target(self, index: int) -> Image:
        """The clean image: (C, h * scale, w * scale)."""
        return self._view(self.target_data, index, self.scale)

    @cached_property
    def ranking(self) -> list[int]:
        """The images that rank a model's states: all but flat ones, or all where every one is flat.

        A flat image's error is near 0, so its PSNR jumps by tens of dB where the error changes by one level: in a
        mean it would outweigh all others.
        """
        shown = [index for index in range(len(self)) if self.target(index).std(axis=(1, 2)).max() >= FLAT]
        return shown or list(range(len(self)))

    def _view(self, data: Image, index: int, scale: int) -> Image:
        channels, height, width = (int(value) for value in self.shapes[index])
        start, end = (int(offset) * scale**2 for offset in self.offsets[index : index + 2])
        return data[start:end].reshape(channels, height * scale, width * scale)


def interleaved(planes: Image) -> Image:
    """Planes (C, H, W) as an image: (H, W, C), or (H, W) for one plane."""
    return planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1)


class Stacked(Sequence[tuple[Image, Image]]):
    """All images' planes in batches, those of one size together: input (N, h, w) and target.

    A batch is read each time it is asked for, so that memory does not grow with the set.
    """

    def __init__(self, images: PackedImages, pixels: int = 1 << 18) -> None:
        """`pixels`: up to about so many values of inputs in a batch; at least one image."""
        self._images = images
        self._chosen: list[NDArray[np.int64]] = []
        for shape in np.unique(images.shapes, axis=0):
            alike = np.flatnonzero((images.shapes == shape).all(axis=1))
            together = max(1, int(pixels // shape.prod()))
            self._chosen += [alike[start : start + together] for start in range(0, len(alike), together)]

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, number: int) -> tuple[Image, Image]: ...
    @overload
    def __getitem__(self, number: slice) -> list[tuple[Image, Image]]: ...
    def __getitem__(self, number: int | slice) -> tuple[Image, Image] | list[tuple[Image, Image]]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        chosen = self._chosen[number]
        return (
            np.concatenate([self._images.input(index) for index in chosen]),
            np.concatenate([self._images.target(index) for index in chosen]),
        )


class PatchSampler:
    """Random patches of one colour plane, flipped and rotated at random.

    A batch is a function of the seed and the step alone: a resumed run, and any number of processes, see the same
    global batches.
    """

    def __init__(self, images: PackedImages, patch: int, batch: int, seed: int, threads: int = 1) -> None:
        """`patch`: side in pixels of the input; `batch`: patches over all processes; `threads`: for copying patches.

        Raises:
            ValueError: an image is smaller than a patch.
        """
        for name, (_, height, width) in zip(images.names, images.shapes, strict=True):
            if min(height, width) < patch:
                raise ValueError(f"{name}: {height}x{width} pixels, expected at least the patch of {patch}x{patch}")
        self.images, self.patch, self.batch, self.seed, self.threads = images, patch, batch, seed, threads
        positions = images.shapes[:, 0] * (images.shapes[:, 1] - patch + 1) * (images.shapes[:, 2] - patch + 1)
        self._ends = np.cumsum(positions)

    def batch_at(self, step: int, rank: int = 0, world: int = 1) -> tuple[Image, Image]:
        """The patches of one process at one step.

        Returns:
            input (batch / world, 1, patch, patch), target (batch / world, 1, patch * scale, patch * scale), uint8.

        Raises:
            ValueError: the batch cannot be shared out equally.
        """
        if self.batch % world:
            raise ValueError(f"batch of {self.batch} patches, expected a multiple of the {world} processes")
        generator = generator_of(self.seed, step)
        place = generator.integers(self._ends[-1], size=self.batch)
        turn = generator.integers(8, size=self.batch)
        share = self.batch // world
        first = rank * share
        mine = slice(first, first + share)
        located = self._locate(place[mine])
        target = self._gather(self.images.target_data, self.images.scale, turn[mine], *located)
        anew = self.images.drawn_anew
        if anew is None:
            degraded = self._gather(self.images.input_data, 1, turn[mine], *located)
        else:  # streams from 1: the places are drawn from stream 0
            numbered = enumerate(target, 1 + first)
            degraded = np.stack([anew.apply(patch, step, self.seed, stream) for stream, patch in numbered])
        return degraded[:, None], target[:, None]

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
