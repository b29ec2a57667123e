"""`python -m pipeline bench-training`: whole training steps by each method, side by side in one run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lutra.evaluation import bench
from lutra.evaluation.timing import least_seconds
from lutra.imaging.resize import imresize
from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.steps import Shift
from lutra.reference import lookup
from lutra.reference.build import build_model
from lutra.reference.interpreter import LutModel
from lutra.terminal import TextTable
from lutra.training import multigrid
from lutra.training.optimiser import optimiser_of
from lutra.training.tabulate import started, through_tables, to_tables
from pipeline.data.sets import resolve
from pipeline.running.provenance import PACKAGES
from pipeline.tools.shiftlut_network import ShiftNetwork

BATCH, PATCH, SCALE = 32, 48, 4
PARTS = 4
"""A network's step is computed in this many parts, to take less memory; they add up to the same gradient."""

ROUNDS, BUDGET = 20, 8.0
"""The number of times that a step is timed, and the seconds after which timing stops."""

TimedStep = Callable[[], None]


@dataclass(frozen=True)
class Family:
    """A published system; `layout` is that of the tables in its finetuning step."""

    family: str
    options: Mapping[str, Any]
    layout: Layout


FAMILIES = {
    "srlut": Family("srlut", {}, DenseLayout(4)),
    "mulut": Family("mulut", {}, DenseLayout(4)),
    "mulut-dfc": Family("mulut", {}, DiagonalLayout()),
    "spf-light-dfc": Family("autolut", {"base": "spflut", "kernel": 5}, DiagonalLayout()),
}

BLOCKS = {"shiftlut-s": 1, "shiftlut-l": 8}
"""ShiftLUT's forms by their blocks: they train as vectors, and once as the networks of the paper."""
LAYERED_PARTS = 16


def run(names: list[str] | None = None, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure steps of batch 32 of 48x48, with the optimiser.

    Args:
        names: keys of `FAMILIES` and `BLOCKS`; None for all.
        report: told what is being measured.

    Returns:
        "families": by name, `finetune_speedup` (torch reference / compiled), `train_speedup` (network / table method of
        DFC layout, both of the published width), and the seconds behind each and of a finetuning step with two coarser
        grids; "layers": by name, `speedup` (network / vectors) and the seconds behind it; "machine" and "versions".
    """
    lr, hr = _patches()
    found: dict[str, dict[str, float]] = {}
    layers: dict[str, dict[str, float]] = {}
    for name in names or [*FAMILIES, *BLOCKS]:
        report(f"{name}: a network's step takes seconds")
        if name in BLOCKS:
            layers[name] = _layers_measured(BLOCKS[name], lr, hr)
        else:
            found[name] = _measured(FAMILIES[name], lr, hr)
    return {
        "batch": BATCH,
        "patch": PATCH,
        "threads": torch.get_num_threads(),
        "families": found,
        "layers": layers,
        "machine": bench.machine(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    }


def steps_table(record: Mapping[str, Any]) -> TextTable:
    """Return the record as a table for people."""
    caption = f"seconds a step of batch {record['batch']} of {record['patch']}x{record['patch']}, optimiser included"
    caption += f"; threads: {record['threads']}; {record['machine']['processor']}"
    shown = TextTable("", caption=caption)
    for heading in ("finetune: reference", "compiled", "ratio", "train: network", "bf16", "table", "ratio "):
        shown.add_column(heading, justify="right")
    for name, row in record["families"].items():
        shown.add_row(
            name,
            f"{row['finetune_reference_seconds']:.3f}",
            f"{row['finetune_compiled_seconds']:.4f}",
            f"{row['finetune_speedup']:.1f}",
            f"{row['train_network_seconds']:.2f}",
            f"{row['train_network_bf16_seconds']:.2f}",
            f"{row['train_table_seconds']:.3f}",
            f"{row['train_speedup']:.1f}",
        )
    return shown


def _measured(family: Family, lr: Tensor, hr: Tensor) -> dict[str, float]:
    torch.manual_seed(0)
    network = _network(family)
    tables = to_tables(network, family.layout)
    steps = {
        "finetune_reference": _step(tables, lr, hr, "reference"),
        "finetune_compiled": _step(tables, lr, hr, "compiled"),
        "multigrid_compiled": _step(multigrid.with_grids(tables, (5, 7)), lr, hr, "compiled"),
        "train_table": _step(through_tables(network, DiagonalLayout()), lr, hr, "compiled"),
        "train_network": _step(network, lr, hr, "compiled", parts=PARTS),
        "train_network_bf16": _step(network, lr, hr, "compiled", parts=PARTS, half=True),
    }
    seconds = least_seconds(steps, ROUNDS, in_a_row=1, budget=BUDGET)
    result = {
        "finetune_speedup": seconds["finetune_reference"] / seconds["finetune_compiled"],
        "train_speedup": seconds["train_network"] / seconds["train_table"],
    }
    return {key: round(value, 5) for key, value in (result | _named(seconds)).items()}


def layers_table(record: Mapping[str, Any]) -> TextTable:
    """Return the record's models of layers as a table for people."""
    shown = TextTable("", caption=f"seconds a step of batch {record['batch']} of {record['patch']}x{record['patch']}")
    for heading in ("networks of the paper", "vectors", "ratio"):
        shown.add_column(heading, justify="right")
    for name, row in record["layers"].items():
        numbers = f"{row['network_seconds']:.2f}", f"{row['vectors_seconds']:.4f}", f"{row['speedup']:.1f}"
        shown.add_row(name, *numbers)
    return shown


def _layers_measured(blocks: int, lr: Tensor, hr: Tensor) -> dict[str, float]:
    torch.manual_seed(0)
    description = families.describe("shiftlut", SCALE, {"blocks": blocks})
    offsets = [step.offsets for step in description.steps if isinstance(step, Shift)]
    vectors = multigrid.with_grids(started(build_model(description, NetworkSpec())), (4, 5, 6, 7))
    steps = {
        "network": _step(ShiftNetwork(offsets, SCALE), lr, hr, "compiled", parts=LAYERED_PARTS),
        "vectors": _step(vectors, lr, hr, "compiled"),
    }
    seconds = least_seconds(steps, ROUNDS, in_a_row=1, budget=BUDGET)
    ratio = {"speedup": seconds["network"] / seconds["vectors"]}
    return {key: round(value, 5) for key, value in (ratio | _named(seconds)).items()}


def _named(seconds: Mapping[str, float]) -> dict[str, float]:
    return {f"{key}_seconds": value for key, value in seconds.items()}


def finetuning_step(name: str) -> TimedStep:
    """Return a whole finetuning step of a family of `FAMILIES` by the compiled lookups."""
    torch.manual_seed(0)
    family = FAMILIES[name]
    tables = to_tables(_network(family), family.layout)
    return _step(tables, *_patches(), "compiled")


def _network(family: Family) -> LutModel:
    description = families.describe(family.family, SCALE, dict(family.options))
    return build_model(description, families.network_spec(family.family))


def _step(
    model: LutModel | ShiftNetwork,
    lr: Tensor,
    hr: Tensor,
    implementation: lookup.Implementation,
    *,
    parts: int = 1,
    half: bool = False,
) -> TimedStep:
    """Return a whole step, in `parts` parts of the batch; `half`: a network's arithmetic is in bfloat16."""
    rate = 1e-9  # so slow that nothing changes
    optimizer: torch.optim.Optimizer
    if isinstance(model, LutModel):
        optimizer = optimiser_of(model, rate)
    else:
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)

    def step() -> None:
        with lookup.using(implementation):
            optimizer.zero_grad()
            for x, y in zip(lr.chunk(parts), hr.chunk(parts), strict=True):
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    loss = torch.nn.functional.mse_loss(model(x) / 255, y / 255) / parts
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return step


def _patches() -> tuple[Tensor, Tensor]:
    """Return LR and HR patches of one colour plane each, from the sample photographs."""
    generator = np.random.default_rng(0)
    images = [source.read() for source in resolve("samples")]
    lr, hr = [], []
    for number in range(BATCH):
        plane = images[number % len(images)][:, :, number % 3]
        side = PATCH * SCALE
        row, column = (generator.integers(size - side + 1) for size in plane.shape)
        patch = plane[row : row + side, column : column + side]
        hr.append(patch)
        lr.append(imresize(np.ascontiguousarray(patch), 1 / SCALE))
    first, second = (torch.from_numpy(np.stack(planes)).unsqueeze(1).float() for planes in (lr, hr))
    return first, second
