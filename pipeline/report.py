"""Stage report: one Markdown table and one picture over the experiments of a root."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from lutra.files import write_whole
from pipeline import tracking
from pipeline.params import Params

KINDS = ("bicubic", "network", "exported", "finetuned")
MARKERS = {"network": "o", "exported": "s", "finetuned": "D"}


def run(params: Params, root: Path, experiments: list[str] | None = None) -> None:
    """Write report/report.md and report/comparison.png.

    Args:
        params: all parameters.
        root: where the stages wrote.
        experiments: names to report; None for every experiment of params.yaml.
    """
    names = list(params.experiments) if experiments is None else experiments
    metrics = {name: _read(root, name) for name in names}
    out = root / "report"
    with tracking.stage_run(
        params.tracking, stage="report", experiment="all", root=root, params={"experiments": names}
    ) as log:
        write_whole(out / "report.md", table(metrics))
        _draw(out / "comparison.png", metrics)
        log.artifact(out / "report.md")
        log.artifact(out / "comparison.png")


def table(metrics: dict[str, dict[str, Any]]) -> str:
    """The Markdown table: a row for each experiment and kind, a column for each image set."""
    sets = sorted({name for scores in metrics.values() for name in scores["bicubic"]})
    lines = ["| experiment | kind | table KiB | " + " | ".join(sets) + " |"]
    lines.append("|---|---|---:|" + "---|" * len(sets))
    for experiment, scores in metrics.items():
        for kind in KINDS:
            size = f"{scores['table_bytes'] / 1024:.1f}" if kind in ("exported", "finetuned") else ""
            cells = [_cell(scores[kind].get(name)) for name in sets]
            lines.append(f"| {experiment} | {kind} | {size} | " + " | ".join(cells) + " |")
    protocols = sorted({scores["protocol"] for scores in metrics.values()})
    return "\n".join(["PSNR-Y in dB / SSIM-Y.", "", *lines, "", *(f"Protocol: {text}." for text in protocols)]) + "\n"


def _cell(values: dict[str, float] | None) -> str:
    return f"{values['psnr_y']:.2f} / {values['ssim_y']:.4f}" if values else ""


def _read(root: Path, experiment: str) -> dict[str, Any]:
    path = root / "evaluate" / experiment / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run `python -m pipeline evaluate` with this root first")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _draw(path: Path, metrics: dict[str, dict[str, Any]]) -> None:
    """PSNR-Y gained over bicubic, one panel a set, one row an experiment."""
    sets = sorted({name for scores in metrics.values() for name in scores["bicubic"]})
    height = 1.6 + 0.45 * len(metrics)
    figure, axes = plt.subplots(1, len(sets), figsize=(1.5 + 5 * len(sets), height), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], sets, strict=True):
        for kind, marker in MARKERS.items():
            shown = [(row, scores) for row, scores in enumerate(metrics.values()) if name in scores[kind]]
            gain = [scores[kind][name]["psnr_y"] - scores["bicubic"][name]["psnr_y"] for _, scores in shown]
            axis.plot(gain, [row for row, _ in shown], marker, label=kind, alpha=0.8)
        axis.set(title=name, xlabel="PSNR-Y over bicubic, dB", yticks=range(len(metrics)))
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
