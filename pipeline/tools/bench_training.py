"""`python -m pipeline bench-training`: whole training steps by each method, side by side in one run."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lutra.evaluation import bench
from lutra.imaging.resize import imresize
from lutra.model import families
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference import lookup
from lutra.reference.build import build
from lutra.reference.interpreter import LutModel
from lutra.terminal import Table
from lutra.training import multigrid
from lutra.training.export import through_tables, to_tables
from pipeline.data.sets import resolve
from pipeline.running.provenance import PACKAGES

BATCH, PATCH, SCALE = 32, 48, 4
PARTS = 4
"""A network's step is computed in so many parts, for its memory; they add up to the same gradient."""

Step = Callable[[], None]


@dataclass(frozen=True)
class Family:
    """A published system; `layout` is what its finetuning step is measured with."""

    family: str
    options: Mapping[str, Any]
    layout: Layout


FAMILIES = {
    "srlut": Family("srlut", {}, DenseLayout(4)),
    "mulut": Family("mulut", {}, DenseLayout(4)),
    "mulut-dfc": Family("mulut", {}, DiagonalLayout()),
    "spf-light-dfc": Family("autolut", {"base": "spflut", "kernel": 5}, DiagonalLayout()),
}


def run(names: list[str] | None = None, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure steps of batch 32 of 48x48, with the optimiser.

    Args:
        names: of `FAMILIES`; None for all.
        report: told what is being measured.

    Returns:
        "families": by name, `finetune_speedup` (torch reference / compiled), `train_speedup` (network / table method of
        DFC layout, both of the published width), and the seconds behind each and of a finetuning step with two coarser
        grids; "machine" and "versions".
    """
    lr, hr = _patches()
    found = {}
    for name in names or FAMILIES:
        report(f"{name}: a network's step takes seconds")
        found[name] = _measured(FAMILIES[name], lr, hr)
    return {
        "batch": BATCH,
        "patch": PATCH,
        "threads": torch.get_num_threads(),
        "families": found,
        "machine": bench.machine(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    }


def table(record: Mapping[str, Any]) -> Table:
    """The record for people."""
    caption = f"seconds a step of batch {record['batch']} of {record['patch']}x{record['patch']}, optimiser included"
    caption += f"; threads: {record['threads']}; {record['machine']['processor']}"
    shown = Table("", caption=caption)
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
    description = families.describe(family.family, SCALE, dict(family.options))
    network = build(description, families.network_spec(family.family))
    tables = to_tables(network, family.layout)
    steps = {
        "finetune_reference": _step(tables, lr, hr, "reference"),
        "finetune_compiled": _step(tables, lr, hr, "compiled"),
        "multigrid_compiled": _step(multigrid.spread(tables, (5, 7)), lr, hr, "compiled"),
        "train_table": _step(through_tables(network, DiagonalLayout()), lr, hr, "compiled"),
        "train_network": _step(network, lr, hr, "compiled", PARTS),
        "train_network_bf16": _step(network, lr, hr, "compiled", PARTS, half=True),
    }
    seconds = _seconds(steps)
    result = {
        "finetune_speedup": seconds["finetune_reference"] / seconds["finetune_compiled"],
        "train_speedup": seconds["train_network"] / seconds["train_table"],
    }
    return {key: round(value, 5) for key, value in result.items()} | {
        f"{key}_seconds": round(value, 5) for key, value in seconds.items()
    }


def _step(
    model: LutModel,
    lr: Tensor,
    hr: Tensor,
    implementation: lookup.Implementation,
    parts: int = 1,
    half: bool = False,
) -> tuple[Step, int]:
    """A whole step, and how often to time it; `half`: a network's arithmetic in bfloat16."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-9, fused=True)  # so slow that nothing changes

    def step() -> None:
        with lookup.using(implementation):
            optimizer.zero_grad()
            for x, y in zip(lr.chunk(parts), hr.chunk(parts), strict=True):
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    loss = torch.nn.functional.mse_loss(model(x) / 255, y / 255) / parts
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return step, 2 if parts > 1 else 5 if implementation == "reference" else 20


def _seconds(steps: Mapping[str, tuple[Step, int]]) -> dict[str, float]:
    """The least seconds of each, taking turns, so that a busy moment hurts all alike."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(max(times for _, times in steps.values())):
        for name, (step, times) in steps.items():
            if turn >= times:
                continue
            start = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in taken.items()}


def _patches() -> tuple[Tensor, Tensor]:
    """LR and HR patches of one colour plane each, from the sample photographs."""
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
