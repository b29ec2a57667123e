"""`python -m pipeline bench-methods`: what each way of training reaches in the same time, on the same data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

from lutra.evaluation import bench
from lutra.evaluation.protocols import super_resolution
from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference.build import build_model
from lutra.reference.interpreter import LutModel
from lutra.reference.units import LEVELS, Table
from lutra.training import least_squares, multigrid
from lutra.training.fitting import cosine, validate
from lutra.training.pairs import Stacked
from lutra.training.sampler import PatchSampler
from lutra.training.tabulate import through_tables, to_tables
from pipeline.data.packed import PackedImages

BATCH, PATCH = 32, 48
POINTS = 8
"""Scores along each curve."""


@dataclass(frozen=True)
class Method:
    """A way to tables: `prepare` makes the model to train, `finish` the model of tables that is scored."""

    prepare: Callable[[LutModel, Layout], LutModel]
    finish: Callable[[LutModel, Layout], LutModel]
    rate: float
    batch: int = BATCH


METHODS = {
    "network": Method(lambda model, layout: model, to_tables, 2e-3, batch=8),
    "table": Method(through_tables, to_tables, 2e-3),
    "tables alone": Method(to_tables, lambda model, layout: model, 2e-2),
    "tables, multigrid": Method(
        lambda model, layout: multigrid.with_grids(to_tables(model, layout), (5, 7)),
        lambda model, layout: multigrid.without_grids(model),
        3e-2,
    ),
}
"""All from interpolation, with Adam along a cosine to a twentieth of the rate. The network's batch is smaller: its step
takes that much longer."""

SYSTEMS: dict[str, tuple[str, Layout]] = {
    "SR-LUT": ("srlut", DenseLayout(4)),
    "MuLUT-sdy-x2 + DFC": ("mulut", DiagonalLayout()),
}


def run(data: Path, seconds: float, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Train every system by every method for the same time; return scores of the int8 tables on the held-out images.

    Args:
        data: a prepared folder, with `train` and `validate`.
        seconds: of training, scoring not counted.
        report: told every score.

    Returns:
        "curves": system -> method -> [seconds, steps, PSNR-Y in dB] rows; "machine".
    """
    images, held_out = PackedImages(data / "train"), PackedImages(data / "validate")
    protocol = super_resolution(images.scale)
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for system, (family, layout) in SYSTEMS.items():
        spec = replace(families.network_spec(family), linear=True, bound="clamp")
        curves[system] = {}
        for name, method in METHODS.items():
            rows = []
            for row in _curve(family, spec, layout, method, images, held_out, seconds):
                rows.append([round(value, 4) for value in row])
                report(f"{system}, {name}: {row[0]:.0f} s, {row[1]} steps, {row[2]:.3f} dB")
            curves[system][name] = rows
        start = time.perf_counter()
        torch.manual_seed(0)
        model = to_tables(build_model(families.describe(family, images.scale, {}), spec), layout)
        solved = least_squares.solve(model, Stacked(images), Stacked(held_out))
        solution = [time.perf_counter() - start, 0.0, validate(solved, held_out, protocol.rank)]
        report(f"{system}, least squares: {solution[0]:.0f} s, {solution[2]:.3f} dB")
        curves[system]["least squares"] = [[round(value, 4) for value in solution]]
    machine = bench.machine() | {"threads": torch.get_num_threads()}
    return {"seconds": seconds, "batch": BATCH, "patch": PATCH, "curves": curves, "machine": machine}


def plot(record: Mapping[str, Any], path: Path) -> None:
    """Draw the curves: a panel for each system."""
    figure, panels = plt.subplots(1, len(record["curves"]), figsize=(11, 4.2), layout="constrained")
    for panel, (system, curves) in zip(panels, record["curves"].items(), strict=True):
        for name, rows in curves.items():
            times, _, scores = zip(*rows, strict=True)
            panel.plot(
                times, scores, "o-" if len(rows) > 1 else "k*", markersize=3 if len(rows) > 1 else 12, label=name
            )
        panel.set(title=system, xlabel="seconds of training", ylabel="PSNR-Y of the int8 tables, dB")
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _curve(
    family: str,
    spec: NetworkSpec,
    layout: Layout,
    method: Method,
    images: PackedImages,
    held_out: PackedImages,
    seconds: float,
) -> Iterator[tuple[float, int, float]]:
    protocol = super_resolution(images.scale)
    torch.manual_seed(0)
    model = method.prepare(build_model(families.describe(family, images.scale, {}), spec), layout)
    tables = any(isinstance(unit.function, Table) for unit in model.lut_units())
    rate = method.rate * (LEVELS if tables else 1)
    optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
    sampler = PatchSampler(images, PATCH, method.batch, 0, torch.get_num_threads())
    spent, step, due = 0.0, 0, 0.0
    while True:
        if spent >= due:
            yield spent, step, validate(method.finish(model, layout), held_out, protocol.rank)
            due += seconds / POINTS
            if spent >= seconds:
                return
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate * cosine(min(1.0, spent / seconds), floor=0.05)
        degraded, target = (torch.from_numpy(part).float() for part in sampler.batch_at(step))
        loss = torch.nn.functional.mse_loss(model(degraded) / 255, target / 255)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1
        spent += time.perf_counter() - start
