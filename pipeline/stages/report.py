"""Stage report: one page, one Markdown table and one picture over the experiments of a task."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from lutra.evaluation.protocols import LABELS, Protocol
from lutra.files import all_at_once, write_whole
from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.restore.restorer import Restorer
from pipeline import tracking
from pipeline.params import Experiment, Params
from pipeline.reporting import page, papers, speed
from pipeline.reporting.page import Made
from pipeline.reporting.pictures import BUDGET, pictures
from pipeline.reporting.rows import Shown, read_metrics

MARKERS = {"network": "o", "exported": "s", "finetuned": "D"}
"""Of each kind of result, in the order of the stages that make them."""


def run(params: Params, root: Path, task: str, experiments: list[str] | None = None) -> None:
    """Write report/TASK/report.html, report.md, comparison.png and points.csv: the stage.

    The same inputs give the same bytes, so the page holds no times and no date; `together` measures them.

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
        with all_at_once():
            write_whole(out / "report.md", table(metrics, protocol))
            _draw(out / "comparison.png", metrics, protocol)
            write_whole(out / "report.html", page.html([_section(params, root, task, metrics)]))
            write_whole(out / "points.csv", points(metrics, protocol))
        for name in ("report.html", "report.md", "comparison.png"):
            log.artifact(out / name)


def together(params: Params, root: Path, experiments: list[str] | None = None) -> Path:
    """Write report/report.html, one page over all tasks with times, date and machine, and return its path.

    Args:
        params: all parameters.
        root: where the stages wrote.
        experiments: names to report; None for every experiment that was evaluated.
    """
    metrics: dict[str, dict[str, dict[str, Any]]] = {}
    for name in experiments or params.experiments:
        task = params.experiment(name).task
        if experiments or _metrics(root, task, name).is_file():
            metrics.setdefault(task, {})[name] = _read(root, task, name)
    if not metrics:
        raise FileNotFoundError(
            f"{root}/evaluate: found no scores of any experiment; evaluate one with this root first"
        )
    budget = BUDGET // len(metrics)
    sections = [_section(params, root, task, scores, budget, timed=True) for task, scores in metrics.items()]
    path = root / "report" / "report.html"
    write_whole(path, page.html(sections, Made.now()))
    return path


def table(metrics: dict[str, dict[str, Any]], protocol: Protocol) -> str:
    """The Markdown table: a row for each experiment and kind, a column for each image set."""
    sets = _sets(metrics, protocol)
    lines = ["| experiment | kind | table KiB | " + " | ".join(sets) + " |"]
    lines.append("|---|---|---:|" + "---|" * len(sets))
    for experiment, scores in metrics.items():
        for kind in (protocol.baseline_name, *MARKERS):
            size = f"{scores['table_bytes'] / 1024:.1f}" if kind in ("exported", "finetuned") else ""
            cells = [protocol.caption(scores[kind][name]) if name in scores[kind] else "" for name in sets]
            lines.append(f"| {experiment} | {kind} | {size} | " + " | ".join(cells) + " |")
    protocols = sorted({scores["protocol"] for scores in metrics.values()})
    return "\n".join([f"{protocol.legend}.", "", *lines, "", *(f"Protocol: {text}." for text in protocols)]) + "\n"


def _section(
    params: Params,
    root: Path,
    task: str,
    metrics: dict[str, dict[str, Any]],
    budget: int = BUDGET,
    *,
    timed: bool = False,
) -> page.Section:
    """Return what the page shows of a task; `budget`: characters of pictures; `timed`: with the models' speed."""
    protocol = params.task(task).protocol()
    evaluated = {name: root / "evaluate" / task / name for name in metrics}
    artifacts = {name: artifact.load(_found(folder / "model.safetensors")) for name, folder in evaluated.items()}
    models = {name: Restorer(model) for name, model in artifacts.items()}
    shown = [
        Shown(
            name,
            scores,
            page.read_curves(_found(evaluated[name] / "curves.csv")),
            settings(params.experiment(name), artifacts[name]),
            artifacts[name].provenance.get("versions", {}),
        )
        for name, scores in metrics.items()
    ]
    return page.Section(
        task,
        protocol,
        shown,
        papers.beside(protocol, _sets(metrics, protocol)),
        speed.measure(models, protocol.scale) if timed else None,
        pictures(root / "prepare" / task / "evaluate", models, protocol, budget),
    )


def settings(block: Experiment, model: Artifact) -> dict[str, str]:
    """How an experiment was trained, in words."""
    options = block.model.model_dump(exclude_none=True)
    dfc, train, finetune = block.table.dfc, block.train, block.finetune
    layout = f"every {2**block.table.interval} levels"
    if dfc is not None:
        layout = f"DFC {dfc.dimensions}: {layout} near the diagonal, every {2**dfc.interval} elsewhere"
    steps = f", {train.steps:,} steps of {train.batch}" if train.steps else ""
    trained = "tables" if train.makes_tables else f"network of width {block.network.width}"
    return {
        "model": ", ".join(f"{key} {value}" for key, value in options.items()) or "as published",
        "tables": layout,
        "trained on": str(model.provenance.get("inputs", {}).get("data", {}).get("train", "")),
        "start": f"{trained} from {train.init.replace('_', ' ')}{steps}",
        "finetuning": f"{finetune.steps:,} steps of {finetune.batch} patches" if finetune.steps else "none",
    }


def points(metrics: dict[str, dict[str, Any]], protocol: Protocol) -> str:
    """CSV of what an experiment's finetuned tables take, KiB, and reach on each image set, the main measure in dB."""
    lines = ["experiment,set,table_kib,psnr"]
    for experiment, scores in metrics.items():
        for name, found in sorted(scores["finetuned"].items()):
            lines.append(f"{experiment},{name},{scores['table_bytes'] / 1024:.1f},{found[protocol.main]:.4f}")
    return "\n".join(lines) + "\n"


def _sets(metrics: dict[str, dict[str, Any]], protocol: Protocol) -> list[str]:
    return sorted({name for scores in metrics.values() for name in scores[protocol.baseline_name]})


def _read(root: Path, task: str, experiment: str) -> dict[str, Any]:
    return read_metrics(_found(_metrics(root, task, experiment)))


def _metrics(root: Path, task: str, experiment: str) -> Path:
    return root / "evaluate" / task / experiment / "metrics.json"


def _found(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run `python -m pipeline evaluate` with this root first")
    return path


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
