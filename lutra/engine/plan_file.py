"""Plan files: a model in one file that runtimes without Python load (docs/format.md)."""

from __future__ import annotations

from pathlib import Path

from lutra import engine
from lutra.engine.layer_plan import build_layers
from lutra.engine.plan import build
from lutra.engine.records import LayerRecord, Record, ResidualRecord, UnitRecord
from lutra.engine.residual_plan import build_residuals
from lutra.files import write_whole
from lutra.model.anysize import CORRELATION, CURVE, POLYNOMIAL, POWERS, STEEPNESS, Resample
from lutra.model.artifact import Artifact
from lutra.model.steps import Merge, Residual, Shift, Split, Step, Sum

KNOWN = (Step, Split, Shift, Sum, Merge, Residual, Resample)
"""The kinds of steps that a plan file can hold."""


def write_plan(path: Path, artifact: Artifact) -> None:
    """Write a model as a plan file, whole or not at all.

    Raises:
        ValueError: a plan file cannot hold the model; states why.
        OSError: it cannot be written.
    """
    write_whole(path, to_bytes(artifact))


def to_bytes(artifact: Artifact) -> bytes:
    """Return the plan file of a model; raises ValueError where a plan file cannot hold it."""
    description = artifact.description
    for step in description.steps:
        if not isinstance(step, KNOWN):
            raise ValueError(f"a plan file cannot hold the step {type(step).__name__} of family {description.family}")
    record = _record(artifact)
    if engine.available():
        engine.compile(artifact)  # refuses what is beyond the limits of the core
    options = ", ".join(f"{key} {value}" for key, value in artifact.options.items())
    title = f"{description.family} x{description.scale}, {artifact.task}" + (f" ({options})" if options else "")
    return record.to_bytes(title, artifact.trained_planes)


def _record(artifact: Artifact) -> Record:
    if artifact.description.is_layered:
        return build_layers(artifact, LayerRecord)
    if not artifact.description.has_units:
        return build_residuals(artifact, ResidualRecord)
    units = build(artifact, UnitRecord)
    if last := artifact.description.any_size:
        numbers = STEEPNESS, CORRELATION, CURVE, POWERS, POLYNOMIAL
        units.resampling(artifact.description.scale, last.border == "replicate", *numbers)
    return units
