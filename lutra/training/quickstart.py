"""Make a new model to train, and write a trained one to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lutra.model import artifact, families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout, Layout
from lutra.reference.build import untrained
from lutra.reference.convert import to_artifact
from lutra.reference.interpreter import LutModel
from lutra.training import multigrid
from lutra.training.extremes import keep_extremes
from lutra.training.tabulate import started, to_tables


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
