"""Stage export: sample every network on the nodes of its table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lutra.model import artifact
from pipeline import tracking
from pipeline.reporting import logged
from pipeline.running.job import Job

if TYPE_CHECKING:
    from lutra.model.artifact import Artifact
    from pipeline.params import TableParams


def run(job: Job) -> None:
    """Export one experiment's network and write model.safetensors."""
    origin, out = job.origin(), job.outputs["model"]
    with tracking.stage_run(
        job.params.tracking,
        stage="export",
        experiment=job.name,
        root=job.root,
        **logged.settings(job.params, job.name),
        live=False,
    ) as log:
        trained = artifact.load(job.inputs["network"])
        tables = replace(_exported(trained, job.block.table), provenance=origin)
        artifact.save(out, tables)
        log.metrics({"table_bytes": tables.table_bytes})
        log.artifact(out, "model")


def _exported(trained: Artifact, table: TableParams) -> Artifact:
    """Return the model with tables in place of its networks, and vectors at their steps."""
    if not trained.has_networks and not trained.description.is_layered:
        return trained
    from lutra.reference.convert import from_artifact, to_artifact  # imports torch, which tables do without
    from lutra.training.tabulate import stored, to_tables

    model = stored(to_tables(from_artifact(trained), table.layout()), table.depthwise, table.pointwise)
    return to_artifact(model, task=trained.task, options=trained.options)
