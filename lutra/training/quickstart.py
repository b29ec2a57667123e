"""Read a folder of images to train on, make a new model to train, and write a trained one to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from lutra.imaging.degrade import Degradation
from lutra.imaging.folders import find_images
from lutra.imaging.images import read_image
from lutra.model import artifact, families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout, Layout
from lutra.reference.build import untrained
from lutra.reference.convert import to_artifact
from lutra.reference.interpreter import LutModel
from lutra.training import multigrid
from lutra.training.extremes import keep_extremes
from lutra.training.pairs import Image, Images
from lutra.training.tabulate import started, to_tables


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


def new_tables(
    family: str,
    scale: int,
    layout: Layout | None = None,
    coarse: Sequence[int] = (5, 6, 7),
    options: Mapping[str, Any] | None = None,
) -> LutModel:
    """Return a new model of a family, as tables to train; tables of four pixels start from interpolation.

    Args:
        family: a key of `lutra.model.families.FAMILIES`, such as "mulut".
        scale: upscaling factor, 1..4; 1 for tasks that keep the size.
        layout: how the tables store their nodes; None for every 16 levels, dense.
        coarse: intervals, in bits, of coarser grids that are trained and then added to the tables (see `multigrid`).
        options: the family's own.

    Raises:
        ValueError: the family, the scale or an option is unknown or out of range.

    Examples:
        >>> new_tables("srlut", scale=2).description.scale
        2
    """
    network = NetworkSpec("plain", width=1, depth=0, bound="clamp", linear=True)
    model = untrained(families.describe(family, scale, options), network)
    return multigrid.with_grids(started(to_tables(model, layout or DenseLayout(4))), coarse)


def save(path: str | Path, model: LutModel, task: str = "sr", options: Mapping[str, Any] | None = None) -> None:
    """Write trained tables as a model file that `lutra.load` and the command line take, whole or not at all.

    Black and white are made exact first (see `keep_extremes`).

    Args:
        path: the .safetensors file to write.
        model: of tables, as trained; it is not changed.
        task: the task that it was trained for: sr, denoise, deblock, deblur or denoise-colour.
        options: of the task, such as {"sigma": 25}.
    """
    tables = keep_extremes(multigrid.without_grids(model), task)
    artifact.save(Path(path), to_artifact(tables, task=task, options=options))
