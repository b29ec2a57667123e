"""A folder of photographs as images to train on."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Protocol

from lutra.imaging.degrade import Degradation
from lutra.imaging.folders import find_images
from lutra.imaging.images import read_image
from lutra.training.pairs import Image, Images


class MakesPairs(Protocol):
    """A way to make pairs from clean images: a protocol of `lutra.evaluation.protocols`, or an object like it."""

    @property
    def scale(self) -> float:
        """How many times larger, per side, a target is than its input."""

    @property
    def degradation(self) -> Degradation:
        """The degradation that makes inputs; one that draws noise makes a new input for every patch."""

    def target(self, image: Image) -> Image:
        """Return the part of an image that is restored: its planes, cropped to a multiple of the scale."""

    def input(self, target: Image, number: int, own: Image | None = None, seed: int = 0) -> Image:
        """Return the degraded input of a target that has that number in its set."""


def read_images(folder: str | Path, task: MakesPairs, seed: int = 1) -> Images:
    """Read a folder of clean images and degrade them.

    Args:
        folder: images, or one of the layouts that `lutra.imaging.folders` knows.
        task: how an image is cropped and degraded, such as `protocols.of("sr", {"scale": 4})`.
        seed: of the random numbers of the degradation; scores are measured with seed 0.

    Raises:
        ValueError, OSError: an image cannot be read; names the file.
    """
    pairs = []
    for number, entry in enumerate(find_images(folder, ceil(task.scale))):
        target = task.target(read_image(entry.target))
        pairs.append((entry.name, task.input(target, number, seed=seed), target))
    return Images.of(pairs, task.degradation if task.degradation.per_patch else None)
