"""Stage train: fit the network whose units will become tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from lutra import artifact
from lutra.description import NetworkSpec
from lutra.export import through_tables, to_networks
from lutra.models import registry
from lutra.models.build import build
from lutra.models.convert import to_artifact
from pipeline import checkpoint, fitting, provenance, tracking
from pipeline.params import Experiment, Params


def run(params: Params, experiment: str, root: Path) -> None:
    """Train one experiment's network and write network.safetensors and curve.csv."""
    block = params.experiment(experiment)
    data = root / "prepare" / f"x{block.scale}"
    out = root / "train" / experiment
    description = registry.describe(block.family, block.scale, block.model.model_dump())
    torch.manual_seed(block.train.seed)
    model = build(description, network_spec(block))
    if block.train.method == "table":
        model = through_tables(model, block.table.layout())
    origin = provenance.of_stage("train", params, experiment, data)
    resume = root / "checkpoints" / experiment / "train" / "checkpoint.safetensors"
    with tracking.stage_run(
        params.tracking, stage="train", experiment=experiment, root=root, params=block.model_dump(mode="json")
    ) as log:
        curve = fitting.fit(model, block.train, data, resume, fitting.fingerprint_of(origin["inputs"]), log.metrics)
        artifact.save(out / "network.safetensors", to_artifact(to_networks(model.cpu()), provenance=origin))
        fitting.write_curve(out / "curve.csv", curve)
        checkpoint.remove(resume)
        log.artifact(out / "network.safetensors", "model")
        log.artifact(out / "curve.csv", "curves")


def network_spec(block: Experiment) -> NetworkSpec:
    """The family's network with the experiment's changes.

    A network that starts from interpolation is bounded by a clamp: it must reach white at once, which a tanh
    only nears.
    """
    changes = {key: value for key, value in block.network.model_dump().items() if value is not None}
    if block.train.init == "interpolation":
        changes |= {"linear": True, "bound": "clamp"}
    return replace(registry.network_spec(block.family), **changes)
