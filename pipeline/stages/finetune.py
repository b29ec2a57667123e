"""Stage finetune: train the exported tables' values in the form in which they will be used."""

from __future__ import annotations

from lutra.model import artifact
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from lutra.training import multigrid
from lutra.training.checkpoint import Kept
from lutra.training.extremes import keep_extremes
from pipeline import tracking
from pipeline.running.job import Job
from pipeline.stages import learn


def run(job: Job) -> None:
    """Finetune one experiment's tables and write model.safetensors and curve.csv."""
    settings = job.block.finetune

    def start(kept: Kept, log: tracking.Run) -> LutModel:
        model = multigrid.with_grids(from_artifact(artifact.load(job.inputs["model"])), settings.coarse)
        model.train_samplers(settings.samplers)
        return model

    def finish(model: LutModel) -> LutModel:
        return keep_extremes(multigrid.without_grids(model), job.task_params.task)

    learn.run(job, settings, start, finish)
