"""Random patches of training images: which ones a step sees depends on the seed and the step alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.degrade import generator_of
from lutra.training import patches
from lutra.training.pairs import Image, Images, channels_first, interleaved

Integers = NDArray[np.int64]


class _Places(NamedTuple):
    """The places of patches: image, plane, row and column of the first pixel of the input, each (N,)."""

    image: Integers
    channel: Integers
    row: Integers
    column: Integers


def check_sizes(images: Images, patch: int) -> None:
    """Raise ValueError, with the image's name, if an input is smaller than a patch of that side."""
    for name, (_, height, width) in zip(images.names, images.shapes, strict=True):
        if min(height, width) < patch:
            raise ValueError(f"{name}: {height}x{width} pixels, expected at least the patch of {patch}x{patch}")


class PatchSampler:
    """Random patches of one colour plane, or of several together, flipped and rotated at random.

    A batch is a function of the seed and the step alone: a resumed run, and any number of processes, see the same
    global batches.
    """

    def __init__(self, images: Images, patch: int, batch: int, seed: int, threads: int = 1, colours: int = 1) -> None:
        """Prepare to draw patches.

        Args:
            images: where they come from.
            patch: side in pixels of the input.
            batch: patches in a step, over all processes.
            seed: of all random numbers.
            threads: the number that copy patches.
            colours: planes that lie together in a patch: 1, or 3 for red, green and blue.

        Raises:
            ValueError: an image is smaller than a patch, or has no such planes.
        """
        check_sizes(images, patch)
        self.images, self.patch, self.batch, self.seed, self.threads = images, patch, batch, seed, threads
        self.colours = colours
        channels, heights, widths = images.shapes.T
        if (channels % colours).any():
            first = int(np.argmax(channels % colours > 0))
            raise ValueError(f"{images.names[first]}: found {channels[first]} channels, expected {colours}")
        self._ends = np.cumsum(channels // colours * (heights - patch + 1) * (widths - patch + 1))
        if images.shares:
            counts, shares = zip(*images.shares, strict=True)
            ends = self._ends[np.cumsum(counts) - 1]
            self._first, self._inside = np.append(0, ends[:-1]), np.diff(ends, prepend=0)
            self._shares = np.cumsum(shares) / sum(shares)

    def batch_at(self, step: int, rank: int = 0, world: int = 1) -> tuple[Image, Image]:
        """Return the patches of one process at one step.

        Returns:
            input (batch / world, colours, patch, patch) and target (batch / world, colours, patch * scale,
            patch * scale), uint8.

        Raises:
            ValueError: the batch cannot be shared out equally.
        """
        if self.batch % world:
            raise ValueError(f"batch of {self.batch} patches, expected a multiple of the {world} processes")
        generator = generator_of(self.seed, step)
        place = self._places(generator)
        turn = generator.integers(8, size=self.batch)
        share = self.batch // world
        first = rank * share
        mine = slice(first, first + share)
        located = self._locate(place[mine])
        target = self._gather(self.images.target_data, self.images.scale, turn[mine], located)
        per_patch = self.images.per_patch
        if per_patch is None:
            degraded = self._gather(self.images.input_data, 1, turn[mine], located)
        else:  # streams from 1: the places are drawn from stream 0
            numbered = enumerate(target, 1 + first)
            drawn = (per_patch.apply(interleaved(patch), step, self.seed, stream) for stream, patch in numbered)
            degraded = np.stack([channels_first(patch) for patch in drawn])
        return degraded, target

    def _places(self, generator: np.random.Generator) -> Integers:
        """Return the places of a batch, counted over all images and planes: in groups by their shares."""
        if not self.images.shares:
            return generator.integers(self._ends[-1], size=self.batch)
        group = np.searchsorted(self._shares[:-1], generator.random(self.batch), side="right")
        place: Integers = self._first[group] + generator.integers(self._inside[group])
        return place

    def _locate(self, place: Integers) -> _Places:
        """Return the images, planes, rows and columns of places that are counted over all images and planes."""
        index = np.searchsorted(self._ends, place, side="right")
        rest = place - np.concatenate([[0], self._ends])[index]
        _, height, width = self.images.shapes[index].T
        rows, columns = height - self.patch + 1, width - self.patch + 1
        channel, rest = np.divmod(rest, rows * columns)
        row, column = np.divmod(rest, columns)
        return _Places(index, channel, row, column)

    def _gather(self, data: Image, scale: int, turn: Integers, at: _Places) -> Image:
        _, heights, widths = self.images.shapes[at.image].T * scale
        channel = at.channel[:, None] * self.colours + np.arange(self.colours)
        row = (channel * heights[:, None] + at.row[:, None] * scale) * widths[:, None]
        starts = self.images.offsets[at.image, None] * scale**2 + row + at.column[:, None] * scale
        side, strides, turns = self.patch * scale, widths.repeat(self.colours), turn.repeat(self.colours)
        flat = np.asarray(data)  # a memmap's own slicing is slow
        cut = patches.cut(flat, starts.ravel(), strides, turns, side, self.threads)
        return cut.reshape(-1, self.colours, side, side)
