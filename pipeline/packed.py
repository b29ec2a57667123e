"""Prepared images as training and evaluation read them: memory-mapped, whole or in random patches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lutra import patches, protocols
from lutra.imaging.degrade import generator_of

Image = NDArray[np.uint8]


class PackedImages:
    """Prepared images, memory-mapped: decoding is done, and processes that read them share the memory.

    `target.npy` and `input.npy` hold all images one after the other as uint8, each as planes (C, H, W).
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: as `prepare` wrote it; FileNotFoundError or ValueError if it is not."""
        index = folder / "index.json"
        if not index.is_file():
            raise FileNotFoundError(f"{index}: not found; run `python -m pipeline prepare` with this root first")
        content: dict[str, Any] = json.loads(index.read_text())
        self.scale: int = content["scale"]
        self.names: list[str] = [image["name"] for image in content["images"]]
        self.shapes = np.array([image["input_shape"] for image in content["images"]], dtype=np.int64)
        self.input_data = np.load(folder / "input.npy", mmap_mode="r")
        self.target_data = np.load(folder / "target.npy", mmap_mode="r")
        drawn = content.get("drawn_anew")
        self.drawn_anew = protocols.of(drawn["task"], drawn["options"]).degradation if drawn else None
        """What degrades every patch anew, in place of the stored inputs; None where they are as good."""
        sizes = self.shapes.prod(axis=1)
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        if len(self.input_data) != self.offsets[-1] or len(self.target_data) != self.offsets[-1] * self.scale**2:
            raise ValueError(f"{folder}: its arrays do not have the sizes that index.json gives")

    def __len__(self) -> int:
        return len(self.names)

    def input(self, index: int) -> Image:
        """The degraded image: (C, h, w)."""
        return self._view(self.input_data, index, 1)

    def target(self, index: int) -> Image:
        """The clean image: (C, h * scale, w * scale)."""
        return self._view(self.target_data, index, self.scale)

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
