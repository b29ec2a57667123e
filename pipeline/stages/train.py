"""Stage train: train the network that will become tables, or make the tables that finetuning starts from."""

from __future__ import annotations

import sys
from dataclasses import replace

from lutra.model import artifact, families
from lutra.model.artifact import layout_for
from lutra.model.description import Description, NetworkSpec
from lutra.reference.build import untrained
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from lutra.training import checkpoint, least_squares, multigrid
from lutra.training.checkpoint import Kept
from lutra.training.pairs import Stacked
from lutra.training.tabulate import started, through_tables, to_networks, to_tables
from pipeline import tracking
from pipeline.data.packed import PackedImages
from pipeline.running.job import Job
from pipeline.stages import learn


def run(job: Job) -> None:
    """Train one experiment's network and write network.safetensors and curve.csv.

    Without a network to train (`TrainParams.makes_tables`, or a family of layers) the file holds tables already, and
    export keeps them.
    """
    block = job.block
    description = families.describe(block.family, job.task_params.protocol().whole_scale, block.model.model_dump())
    if "start" in job.inputs:
        model = _given(description, job)
    else:
        model = started(untrained(description, block.network_spec(), block.train.seed))
    if description.is_layered:
        model = multigrid.with_grids(model, block.train.coarse)
    elif block.train.makes_tables:
        model = to_tables(model, block.table.layout())
    elif block.train.method == "table":
        model = through_tables(model, block.table.layout())

    def start(kept: Kept, log: tracking.Run) -> LutModel:
        if block.train.init == "least_squares" and checkpoint.load(kept, model) is None:
            return _least_squares(model, job, log)
        return model

    def finish(model: LutModel) -> LutModel:
        if description.is_layered:
            return multigrid.without_grids(model)
        return model if block.train.makes_tables else to_networks(model)

    learn.run(job, block.train, start, finish)


def _given(description: Description, job: Job) -> LutModel:
    """Return the model that training starts from."""
    path = job.inputs["start"]
    if not path.is_file():
        raise FileNotFoundError(f"{job.key}.init: {path}: not found, expected the file of a model")
    given = artifact.load(path)
    if replace(given.description, tap_bits=None) != replace(description, tap_bits=None):
        of = f"of scale {given.description.scale} and family {given.description.family}"
        expected = f"of scale {description.scale} and family {description.family}, with the options of the experiment"
        raise ValueError(f"{job.key}.init: {path}: found a model {of}, expected one {expected}")
    wanted = {spec.name: layout_for(spec, job.block.table.layout()) for _, spec in description.units()}
    for name, layout in wanted.items():
        if not isinstance(found := given.functions[name], NetworkSpec) and found != layout:
            raise ValueError(f"{job.key}.init: {path}: found {found} of unit {name}, expected {layout}: change `table`")
    return from_artifact(given)


def _least_squares(model: LutModel, job: Job, log: tracking.Run) -> LutModel:
    """Return the model with its last step's tables fitted to the training images, stopped by the held-out ones."""
    settings = job.block.train

    def report(progress: least_squares.Progress) -> None:
        metrics = {"squared_error": progress.error, "val_squared_error": progress.held_out}
        log.metrics({f"least_squares/{name}": value for name, value in metrics.items()}, progress.iteration)
        text = ", ".join(f"{name} {value:.2f}" for name, value in metrics.items())
        print(f"least squares {progress.iteration}/{settings.iterations}: {text}", file=sys.stderr, flush=True)

    train, held_out = (Stacked(PackedImages(job.inputs["data"] / name)) for name in ("train", "validate"))
    return least_squares.solve(
        model, train, held_out, iterations=settings.iterations, smoothness=settings.smoothness, report=report
    )
