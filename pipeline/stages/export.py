"""Stage export: sample every network on the nodes of its table."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from lutra.model import artifact
from pipeline import tracking
from pipeline.data import packed
from pipeline.data.packed import PackedImages
from pipeline.reporting import logged
from pipeline.running.job import Job

if TYPE_CHECKING:
    from lutra.model.artifact import Artifact
    from lutra.reference.interpreter import LutModel


def run(job: Job) -> None:
    """Export one experiment's network and write model.safetensors."""
    origin, out = job.origin(), job.outputs["model"]
    with tracking.stage_run(
        job.params.tracking,
        stage="export",
        experiment=job.name,
        root=job.root,
        **logged.run_settings(job.params, job.name),
        live=False,
    ) as log:
        trained = artifact.load(job.inputs["network"])
        tables = replace(_exported(trained, job), provenance=origin)
        artifact.save(out, tables)
        log.metrics({"table_bytes": tables.table_bytes})
        log.artifact(out, "model")


def _exported(trained: Artifact, job: Job) -> Artifact:
    """Return the model with tables in place of its networks, and vectors at their steps."""
    if not trained.has_networks and not trained.description.is_layered:
        return trained
    from lutra.reference.convert import from_artifact, to_artifact  # imports torch, which tables do not need
    from lutra.training import tabulate

    table = job.block.table
    model = tabulate.to_tables(from_artifact(trained), table.layout())
    steps = tabulate.steps_of(model, table.depthwise, table.pointwise)
    if table.bytes is not None:
        steps = _steps_within(table.bytes, model, steps, job)
    return to_artifact(tabulate.stored(model, steps), task=trained.task, options=trained.options)


def _steps_within(most: int, model: LutModel, least: dict[str, int], job: Job) -> dict[str, int]:
    """Return the steps that lose least on the held-out images."""
    from lutra.training import fitting, tabulate

    packed.verify(job.inputs["data"], "validate")
    held_out, rank = PackedImages(job.inputs["data"] / "validate"), job.task_params.protocol().rank
    try:
        steps = tabulate.steps_within(model, most, lambda one: fitting.validate(one, held_out, rank), least)
    except ValueError as error:
        raise ValueError(f"experiments.{job.name}.table.bytes: {error}") from None
    print("steps: " + ", ".join(f"{name} {step}" for name, step in steps.items()), file=sys.stderr)
    return steps
