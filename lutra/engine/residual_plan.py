"""A model of residuals as the plan that the compiled core runs: steps and tables, every rotation written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lutra.engine.layer_plan import turned
from lutra.model.artifact import Artifact
from lutra.model.steps import Residual

if TYPE_CHECKING:
    from lutra._core._lutra import ResidualBuilder
    from lutra.engine.records import ResidualRecord

AnyBuilder = TypeVar("AnyBuilder", "ResidualBuilder", "ResidualRecord")
"""A builder of the core, or one that records its calls."""

ROTATIONS = range(4)


def build_residuals(artifact: Artifact, builder: type[AnyBuilder]) -> AnyBuilder:
    """Copy the steps and tables of a model of residuals into a plan of the core."""
    plan = builder(artifact.description.scale)
    for step in artifact.description.steps:
        assert isinstance(step, Residual)
        plan.step(step.upscale, step.low_bits)
        for table in step.tables:
            blocks = artifact.tensors[f"{table.name}.direct"].reshape(-1, step.upscale, step.upscale)
            entries = np.stack([np.rot90(blocks, -rotation, (1, 2)) for rotation in ROTATIONS])
            offsets = np.array([[turned(tap, rotation) for tap in table.taps] for rotation in ROTATIONS], np.int32)
            flat = np.ascontiguousarray(entries.reshape(4, len(blocks), -1))
            plan.table(table.bits == "high", table.padding == "reflect", offsets, flat)
    return plan
