"""Stage export: sample every network on the nodes of its table."""

from __future__ import annotations

from lutra.model import artifact
from lutra.reference.convert import from_artifact, to_artifact
from lutra.training.export import to_tables
from pipeline import tracking
from pipeline.reporting import compared
from pipeline.running.job import Job


def run(job: Job) -> None:
    """Export one experiment's network and write model.safetensors."""
    origin, out = job.origin(), job.outputs["model"]
    with tracking.stage_run(
        job.params.tracking,
        stage="export",
        experiment=job.name,
        root=job.root,
        **compared.settings(job.params, job.name),
    ) as log:
        trained = artifact.load(job.inputs["network"])
        model = to_tables(from_artifact(trained), job.block.table.layout())
        tables = to_artifact(model, task=trained.task, options=trained.options, provenance=origin)
        artifact.save(out, tables)
        log.metrics({"table_bytes": tables.table_bytes})
        log.artifact(out, "model")
