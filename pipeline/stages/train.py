"""Stage train: fit the network whose units will become tables; or the tables that finetuning starts from."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from lutra.files import all_at_once
from lutra.model import artifact, families
from lutra.reference.build import build
from lutra.reference.convert import to_artifact
from lutra.reference.interpreter import LutModel
from lutra.training import least_squares
from lutra.training.export import through_tables, to_networks, to_tables
from pipeline import tracking
from pipeline.data import packed
from pipeline.data.packed import PackedImages, Stacked
from pipeline.params import Experiment, Params
from pipeline.reporting import compared
from pipeline.running import checkpoint, fitting, provenance


def run(params: Params, experiment: str, root: Path) -> None:
    """Train one experiment's network and write network.safetensors and curve.csv.

    Without a network to train (`TrainParams.makes_tables`) the file holds tables already, and export keeps them.
    """
    block = params.experiment(experiment)
    task, data = params.task_of(experiment), root / "prepare" / block.task
    protocol = task.protocol()
    out = root / "train" / experiment
    description = families.describe(block.family, protocol.scale, block.model.model_dump())
    torch.manual_seed(block.train.seed)
    model = build(description, block.network_spec())
    tables = block.train.makes_tables
    if tables:
        model = to_tables(model, block.table.layout())
    elif block.train.method == "table":
        model = through_tables(model, block.table.layout())
    origin = provenance.of_stage("train", params, experiment, data)
    resume = root / "checkpoints" / experiment / "train" / "checkpoint.safetensors"
    key = f"experiments.{experiment}.train"
    processes = fitting.processes(block.train, key)
    with tracking.stage_run(
        fitting.tracked(params.tracking, processes),
        stage="train",
        experiment=experiment,
        root=root,
        **compared.settings(params, experiment, processes.num_processes),
    ) as log:
        if processes.is_main_process:
            packed.check(data, "train", "validate")
        fingerprint = provenance.fingerprint_of(origin["inputs"])
        if block.train.init == "least_squares" and checkpoint.load(resume, fingerprint, model) is None:
            model = _least_squares(model, block, data, log)
        curve = fitting.fit(model, block.train, data, protocol, resume, fingerprint, log.metrics, processes, key)
        if not processes.is_main_process:
            return
        trained = model.cpu() if tables else to_networks(model.cpu())
        with all_at_once():
            artifact.save(out / "network.safetensors", to_artifact(trained, **task.labels, provenance=origin))
            fitting.write_curve(out / "curve.csv", curve)
        checkpoint.remove(resume, fingerprint)
        log.artifact(out / "network.safetensors", "model")
        log.artifact(out / "curve.csv", "curves")


def _least_squares(model: LutModel, block: Experiment, data: Path, log: tracking.Run) -> LutModel:
    """The last step's tables fitted to the training images, stopped by the validation images."""

    def report(progress: least_squares.Progress) -> None:
        metrics = {"squared_error": progress.error, "val_squared_error": progress.held_out}
        log.metrics({f"least_squares/{name}": value for name, value in metrics.items()}, progress.iteration)
        text = ", ".join(f"{name} {value:.2f}" for name, value in metrics.items())
        print(f"least squares {progress.iteration}/{block.train.iterations}: {text}", file=sys.stderr, flush=True)

    train, validate = (Stacked(PackedImages(data / name)) for name in ("train", "validate"))
    settings = block.train
    return least_squares.solve(
        model, train, validate, iterations=settings.iterations, smoothness=settings.smoothness, report=report
    )
