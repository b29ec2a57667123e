"""Prepared images as training and evaluation read them: memory-mapped."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lutra.evaluation import protocols
from lutra.imaging.degrade import Degradation
from lutra.training.pairs import Images

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
        """The degradation; ValueError for an unknown task or option."""
        return protocols.of(self.task, self.options).degradation


class Index(_Record):
    """The content of index.json of a folder of prepared images.

    sha256: of the arrays' values, by file. shares: as `lutra.training.pairs.Images` has them.
    """

    scale: Annotated[int, Field(ge=1, le=64)]
    images: Annotated[list[ImageRecord], Field(min_length=1)]
    sha256: dict[str, str] = {}
    shares: list[tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(gt=0, le=1)]]] = []
    drawn_anew: DrawnRecord | None = None

    @property
    def sizes(self) -> list[int]:
        """The number of values of every input."""
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
    if index.shares and (counted := sum(count for count, _ in index.shares)) != len(index.images):
        raise ValueError(f"{path}: damaged: shares: found {counted} images, expected {len(index.images)}; {_AGAIN}")
    return index


def verify(data: Path, *parts: str) -> None:
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
        for name, array in ((INPUT, images.input_map), (TARGET, images.target_map)):
            with (images.folder / name).open("rb") as file:  # not the map, whose touched pages count as memory
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


class PackedImages(Images):
    """Prepared images, memory-mapped: decoding is done, and processes that read them share the memory.

    `target.npy` and `input.npy` hold all images one after the other as uint8, each as planes (C, H, W).
    """

    def __init__(self, folder: Path) -> None:
        """Map a `folder` that `prepare` wrote; FileNotFoundError or ValueError if it is missing or damaged."""
        index = read_index(folder)
        self.folder = folder
        values = sum(index.sizes)  # of Python's integers, which do not overflow
        self.input_map = _array(folder / INPUT, values)
        self.target_map = _array(folder / TARGET, values * index.scale**2)
        super().__init__(
            [image.name for image in index.images],
            np.array([image.input_shape for image in index.images], dtype=np.int64),
            index.scale,
            self.input_map,
            self.target_map,
            index.drawn_anew.degradation if index.drawn_anew else None,
        )
        self.shares = tuple(index.shares)
