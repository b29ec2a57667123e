"""Stage report: one Markdown table and one picture over the experiments of a task."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from lutra.files import write_whole
from lutra.protocols import LABELS, Protocol
from pipeline import tracking
from pipeline.params import Params

KINDS = ("network", "exported", "finetuned")
MARKERS = {"network": "o", "exported": "s", "finetuned": "D"}


def run(params: Params, root: Path, task: str, experiments: list[str] | None = None) -> None:
    """Write report/TASK/report.md and report/TASK/comparison.png.

    Args:
        params: all parameters.
        root: where the stages wrote.
        task: its name; what other tasks score cannot be compared with it.
        experiments: names to report; None for every experiment of the task.
    """
    protocol = params.task(task).protocol()
    names = experiments or [name for name, block in params.experiments.items() if block.task == task]
    for name in names:
        if params.experiment(name).task != task:
            raise ValueError(f"experiments.{name}.task: found {params.experiment(name).task}, expected {task}")
    metrics = {name: _read(root, task, name) for name in names}
    out = root / "report" / task
    with tracking.stage_run(
        params.tracking, stage="report", experiment=task, root=root, params={"experiments": " ".join(names)}
    ) as log:
        write_whole(out / "report.md", table(metrics, protocol))
        _draw(out / "comparison.png", metrics, protocol)
        log.artifact(out / "report.md")
        log.artifact(out / "comparison.png")


def table(metrics: dict[str, dict[str, Any]], protocol: Protocol) -> str:
    """The Markdown table: a row for each experiment and kind, a column for each image set."""
    sets = _sets(metrics, protocol)
    lines = ["| experiment | kind | table KiB | " + " | ".join(sets) + " |"]
    lines.append("|---|---|---:|" + "---|" * len(sets))
    for experiment, scores in metrics.items():
        for kind in (protocol.baseline_name, *KINDS):
            size = f"{scores['table_bytes'] / 1024:.1f}" if kind in ("exported", "finetuned") else ""
            cells = [protocol.caption(scores[kind][name]) if name in scores[kind] else "" for name in sets]
            lines.append(f"| {experiment} | {kind} | {size} | " + " | ".join(cells) + " |")
    protocols = sorted({scores["protocol"] for scores in metrics.values()})
    return "\n".join([f"{protocol.legend}.", "", *lines, "", *(f"Protocol: {text}." for text in protocols)]) + "\n"


def _sets(metrics: dict[str, dict[str, Any]], protocol: Protocol) -> list[str]:
    return sorted({name for scores in metrics.values() for name in scores[protocol.baseline_name]})


def _read(root: Path, task: str, experiment: str) -> dict[str, Any]:
    path = root / "evaluate" / task / experiment / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run `python -m pipeline evaluate` with this root first")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _draw(path: Path, metrics: dict[str, dict[str, Any]], protocol: Protocol) -> None:
    """The main measure gained over the baseline, one panel a set, one row an experiment."""
    sets = _sets(metrics, protocol)
    baseline, measure = protocol.baseline_name, protocol.main
    height = 1.6 + 0.45 * len(metrics)
    figure, axes = plt.subplots(1, len(sets), figsize=(1.5 + 5 * len(sets), height), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], sets, strict=True):
        for kind, marker in MARKERS.items():
            shown = [(row, scores) for row, scores in enumerate(metrics.values()) if name in scores[kind]]
            gain = [scores[kind][name][measure] - scores[baseline][name][measure] for _, scores in shown]
            axis.plot(gain, [row for row, _ in shown], marker, label=kind, alpha=0.8)
        label, unit = LABELS[measure].split(", ")
        axis.set(title=name, xlabel=f"{label} over {baseline}, {unit}", yticks=range(len(metrics)))
        axis.set_yticklabels(list(metrics))
        axis.set_ylim(len(metrics) - 0.5, -0.5)
        axis.axvline(0, color="gray", linewidth=0.8)
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].legend(loc="best", fontsize="small")
    figure.tight_layout()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    plt.close(figure)
    write_whole(path, image.getvalue())
