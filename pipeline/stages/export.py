"""Stage export: sample every network on the nodes of its table."""

from __future__ import annotations

from pathlib import Path

from lutra.model import artifact
from lutra.reference.convert import from_artifact, to_artifact
from lutra.training.export import to_tables
from pipeline import tracking
from pipeline.params import Params
from pipeline.reporting import compared
from pipeline.running import provenance


def run(params: Params, experiment: str, root: Path) -> None:
    """Export one experiment's network and write model.safetensors."""
    block = params.experiment(experiment)
    network = root / "train" / experiment / "network.safetensors"
    out = root / "export" / experiment / "model.safetensors"
    origin = provenance.of_stage("export", params, experiment, None, network)
    with tracking.stage_run(
        params.tracking,
        stage="export",
        experiment=experiment,
        root=root,
        **compared.settings(params, experiment),
    ) as log:
        trained = artifact.load(network)
        model = to_tables(from_artifact(trained), block.table.layout())
        tables = to_artifact(model, task=trained.task, options=trained.options, provenance=origin)
        artifact.save(out, tables)
        log.metrics({"table_bytes": tables.table_bytes})
        log.artifact(out, "model")
