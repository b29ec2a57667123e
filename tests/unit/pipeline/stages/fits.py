"""Short trainings of small models, as the stages run them."""

from collections.abc import Callable
from pathlib import Path

import torch

from lutra.evaluation.protocols import Protocol, super_resolution
from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DiagonalLayout
from lutra.reference.build import build_model
from lutra.reference.interpreter import LutModel
from lutra.training.checkpoint import Kept
from lutra.training.fitting import CurveRow, Settings, fit
from lutra.training.tabulate import through_tables, to_tables
from pipeline.data.packed import PackedImages
from pipeline.params import FitParams
from pipeline.stages import learn

SETTINGS = FitParams(
    steps=12, batch=4, patch=8, learning_rate=1e-3, final_learning_rate=1e-4, validate_every=3, checkpoint_every=5
)


PROTOCOL = super_resolution(2)


LAYOUT = DiagonalLayout(5, 1, 6)


def network() -> LutModel:
    torch.manual_seed(0)
    return build_model(
        families.describe("srlut", 2), NetworkSpec("plain", width=8, depth=1, bound="clamp", linear=True)
    )


STARTS: dict[str, Callable[[], LutModel]] = {
    "network": network,
    "table": lambda: through_tables(network(), LAYOUT),
    "finetune": lambda: to_tables(network(), LAYOUT),
}


def fitted(
    model: LutModel,
    settings: FitParams,
    data: Path,
    resume: Path,
    fingerprint: str,
    log: learn.Log,
    protocol: Protocol = PROTOCOL,
) -> list[CurveRow]:
    """Train as the stages do."""
    train, held_out = PackedImages(data / "train"), PackedImages(data / "validate")
    kept, chosen = Kept(resume, fingerprint), Settings(**settings.settings())
    with learn.Told(settings, log, learn.joined(settings, "settings")) as watcher:
        return fit(model, train, held_out, chosen, score=protocol.rank, watcher=watcher, kept=kept)


def silent(metrics: dict[str, float], step: int) -> None:
    """Log nowhere."""
