"""Stage finetune: train the exported tables' values as they will be used."""

from __future__ import annotations

from pathlib import Path

from lutra.files import all_at_once
from lutra.model import artifact
from lutra.reference.convert import from_artifact, to_artifact
from lutra.training import multigrid
from lutra.training.extremes import keep_extremes
from pipeline import tracking
from pipeline.data import packed
from pipeline.params import Params
from pipeline.reporting import compared
from pipeline.running import checkpoint, fitting, provenance


def run(params: Params, experiment: str, root: Path) -> None:
    """Finetune one experiment's tables and write model.safetensors and curve.csv."""
    block = params.experiment(experiment)
    task, data = params.task_of(experiment), root / "prepare" / block.task
    source = root / "export" / experiment / "model.safetensors"
    out = root / "finetune" / experiment
    origin = provenance.of_stage("finetune", params, experiment, data, source)
    resume = root / "checkpoints" / experiment / "finetune" / "checkpoint.safetensors"
    key, settings = f"experiments.{experiment}.finetune", block.finetune
    processes = fitting.processes(settings, key)
    with tracking.stage_run(
        fitting.tracked(params.tracking, processes),
        stage="finetune",
        experiment=experiment,
        root=root,
        **compared.settings(params, experiment, processes.num_processes),
    ) as log:
        if processes.is_main_process:
            packed.check(data, "train", "validate")
        model = multigrid.spread(from_artifact(artifact.load(source)), block.finetune.coarse)
        model.train_samplers(block.finetune.samplers)
        fingerprint = provenance.fingerprint_of(origin["inputs"])
        curve = fitting.fit(model, settings, data, task.protocol(), resume, fingerprint, log.metrics, processes, key)
        if not processes.is_main_process:
            return
        tables = keep_extremes(multigrid.gather(model.cpu()), task.task)
        with all_at_once():
            artifact.save(out / "model.safetensors", to_artifact(tables, **task.labels, provenance=origin))
            fitting.write_curve(out / "curve.csv", curve)
        checkpoint.remove(resume, fingerprint)
        log.artifact(out / "model.safetensors", "model")
        log.artifact(out / "curve.csv", "curves")
