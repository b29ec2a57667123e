"""Images to train on: pairs of a degraded input and its clean target, all planes one after the other in two arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.degrade import Degradation

Image = NDArray[np.uint8]

FLAT = 1.0
"""Standard deviation in levels below which every plane of a flat image stays."""


class Images:
    """Pairs of images in memory, or memory-mapped."""

    shares: tuple[tuple[int, float], ...] = ()
    """Groups of images that lie one after the other: how many images, and the share of the patches that come from
    them; the shares sum to 1. Empty where every place in the images is equally likely."""

    def __init__(
        self,
        names: Sequence[str],
        shapes: NDArray[np.int64],
        scale: int,
        input_data: Image,
        target_data: Image,
        per_patch: Degradation | None = None,
    ) -> None:
        """Keep the arrays; nothing is copied.

        Args:
            names: one for each image, for messages.
            shapes: of the inputs, as planes (C, h, w): (N, 3).
            scale: targets are that many times larger per side.
            input_data: (size,): all inputs one after the other, each as planes (C, h, w).
            target_data: (size * scale**2,): all targets, each as planes (C, h * scale, w * scale).
            per_patch: degrades every patch when it is drawn, in place of the stored inputs; None to use these.
        """
        self.names, self.shapes, self.scale = list(names), shapes, scale
        self.input_data, self.target_data, self.per_patch = input_data, target_data, per_patch
        self.offsets = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))])

    @staticmethod
    def of(pairs: Sequence[tuple[str, Image, Image]], per_patch: Degradation | None = None) -> Images:
        """Return pairs as one set.

        Args:
            pairs: name, input (h, w) or (h, w, C), and target, which is larger by the same whole number for all.
            per_patch: as for the constructor.

        Raises:
            ValueError: there are no pairs, or the sizes of one do not fit; names it.
        """
        if not pairs:
            raise ValueError("images: found none, expected at least one")
        planes = [(name, channels_first(degraded), channels_first(target)) for name, degraded, target in pairs]
        scale = planes[0][2].shape[1] // planes[0][1].shape[1]
        for name, degraded, target in planes:
            channels, height, width = degraded.shape
            if target.shape != (expected := (channels, height * scale, width * scale)):
                raise ValueError(f"{name}: found a target of shape {target.shape}, expected {expected}")
        return Images(
            [name for name, _, _ in planes],
            np.array([degraded.shape for _, degraded, _ in planes], dtype=np.int64),
            scale,
            np.concatenate([degraded.ravel() for _, degraded, _ in planes]),
            np.concatenate([target.ravel() for _, _, target in planes]),
            per_patch,
        )

    def split(self, held_out: int) -> tuple[Images, Images]:
        """Return the images to train on and those held out, which are evenly spaced among all.

        Args:
            held_out: how many to hold out: at least one, and not all.

        Raises:
            ValueError: there are not enough images.
        """
        if not 0 < held_out < len(self):
            raise ValueError(f"held_out: found {held_out}, expected 1 to {len(self) - 1} of {len(self)} images")
        chosen = evenly_spaced(held_out, len(self))
        rest = [index for index in range(len(self)) if index not in chosen]
        return self._subset(rest, self.per_patch), self._subset(sorted(chosen), None)

    def __len__(self) -> int:
        return len(self.names)

    def input(self, index: int) -> Image:
        """Return the degraded image: (C, h, w)."""
        return self._view(self.input_data, index, 1)

    def target(self, index: int) -> Image:
        """Return the clean image: (C, h * scale, w * scale)."""
        return self._view(self.target_data, index, self.scale)

    @cached_property
    def ranking(self) -> list[int]:
        """The images that rank a model's states: all but flat ones, or all if every one is flat.

        A flat image's error is near 0, so its PSNR jumps by tens of dB when the error changes by one level; in a
        mean it would outweigh all other images.
        """
        shown = [index for index in range(len(self)) if self.target(index).std(axis=(1, 2)).max() >= FLAT]
        return shown or list(range(len(self)))

    def _subset(self, chosen: Sequence[int], per_patch: Degradation | None) -> Images:
        pairs = [
            (self.names[index], interleaved(self.input(index)), interleaved(self.target(index))) for index in chosen
        ]
        return Images.of(pairs, per_patch)

    def _view(self, data: Image, index: int, scale: int) -> Image:
        channels, height, width = (int(value) for value in self.shapes[index])
        start, end = (int(offset) * scale**2 for offset in self.offsets[index : index + 2])
        return data[start:end].reshape(channels, height * scale, width * scale)


def evenly_spaced(chosen: int, count: int) -> set[int]:
    """Return that many evenly spaced places among `count`."""
    return {(2 * number + 1) * count // (2 * chosen) for number in range(chosen)}


def interleaved(planes: Image) -> Image:
    """Return planes (C, H, W) as an image: (H, W, C), or (H, W) for one plane."""
    return planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1)


class Stacked(Sequence[tuple[Image, Image]]):
    """The planes of all images in batches of one size: input (N, h, w) and target.

    A batch is read each time it is asked for, so that memory does not grow with the set.
    """

    def __init__(self, images: Images, pixels: int = 1 << 18) -> None:
        """Choose the batches; each holds at least one image, and at most about `pixels` values of inputs."""
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


def channels_first(image: Image) -> Image:
    """Return an image (H, W) or (H, W, C) as planes: (C, H, W)."""
    return np.atleast_3d(image).transpose(2, 0, 1)
