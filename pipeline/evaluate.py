"""Stage evaluate: score bicubic, network, exported and finetuned table by one protocol, and draw comparison sheets."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from lutra import artifact
from lutra.evaluation import PROTOCOL, caption, score
from lutra.files import write_whole
from lutra.imaging.resize import imresize
from lutra.imaging.sheet import Panel, comparison_sheet
from lutra.restoring import Restorer
from pipeline import tracking
from pipeline.datasets import PackedImages
from pipeline.fitting import interleaved
from pipeline.params import Params

KINDS = ("bicubic", "network", "exported", "finetuned")
Image = NDArray[np.uint8]
Restore = Callable[[Image], Image]
Scores = dict[str, dict[str, float]]
"""Of one image: {kind: {"psnr_y": dB, "ssim_y": 0..1}}."""


@dataclass(frozen=True)
class Scored:
    """One evaluation image with its restorations by every kind, and their scores."""

    name: str
    lr: Image
    hr: Image
    restored: dict[str, Image]
    scores: Scores


def run(params: Params, experiment: str, root: Path) -> None:
    """Evaluate one experiment and write metrics.json, images.csv and sheets/."""
    block = params.experiment(experiment)
    data = root / "prepare" / f"x{block.scale}" / "evaluate"
    out = root / "evaluate" / experiment
    files = {
        "network": root / "train" / experiment / "network.safetensors",
        "exported": root / "export" / experiment / "model.safetensors",
        "finetuned": root / "finetune" / experiment / "model.safetensors",
    }
    artifacts = {kind: artifact.load(path) for kind, path in files.items()}
    models: dict[str, Restore] = {kind: Restorer(loaded).restore for kind, loaded in artifacts.items()}
    with tracking.stage_run(
        params.tracking, stage="evaluate", experiment=experiment, root=root, params=block.model_dump(mode="json")
    ) as log:
        rows: dict[str, dict[str, Scores]] = {}
        sheets = _empty(out / "sheets")
        for folder in sorted(path for path in data.iterdir() if path.is_dir()):
            rows[folder.name] = {}
            for number, scored in enumerate(_score(PackedImages(folder), models)):
                rows[folder.name][scored.name] = scored.scores
                if number < block.evaluate.sheets:
                    title = f"{scored.name}, x{block.scale}"
                    sheet = comparison_sheet(_panels(scored, experiment), title=title)
                    write_whole(sheets / f"{folder.name}-{Path(scored.name).stem}.png", _png(sheet))
        metrics = _summary(rows) | {
            "family": block.family,
            "scale": block.scale,
            "table_bytes": artifacts["finetuned"].table_bytes,
            "protocol": PROTOCOL.format(scale=block.scale, bicubic=params.data.bicubic),
        }
        write_whole(out / "images.csv", _csv(rows))
        write_whole(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
        log.metrics(_flat(metrics) | _speed(models["finetuned"], block.scale))
        log.artifact(out / "metrics.json")
        log.artifact(files["finetuned"], "model")
        log.artifact(sheets, "sheets")


def _speed(restore: Restore, scale: int) -> dict[str, float]:
    """Milliseconds for a colour frame of 1280x720 with all threads: to MLflow alone, for it is another every time."""
    height, width = 720 // scale, 1280 // scale
    noise = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    frame = imresize(noise, 8)[:height, :width]  # smooth, as photographs are
    times = []
    for _ in range(5):
        start = time.perf_counter()
        restore(frame)
        times.append(1000 * (time.perf_counter() - start))
    return {"ms_per_1280x720_frame": min(times)}


def _score(images: PackedImages, models: dict[str, Restore]) -> Iterator[Scored]:
    for index, name in enumerate(images.names):
        lr, hr = interleaved(images.lr(index)), interleaved(images.hr(index))
        restored = {"bicubic": imresize(lr, images.scale)}
        restored |= {kind: model(lr) for kind, model in models.items()}
        scores = {kind: score(image, hr, images.scale) for kind, image in restored.items()}
        yield Scored(name, lr, hr, restored, scores)


def _panels(scored: Scored, experiment: str) -> list[Panel]:
    return [
        ("LR", "", scored.lr),
        ("bicubic", caption(scored.scores["bicubic"]), scored.restored["bicubic"]),
        (f"{experiment} (table)", caption(scored.scores["finetuned"]), scored.restored["finetuned"]),
        ("HR", "PSNR-Y / SSIM-Y", scored.hr),
    ]


def _summary(rows: dict[str, dict[str, Scores]]) -> dict[str, object]:
    """{kind: {set: {metric: mean over images}}}."""
    return {
        kind: {
            name: {
                metric: round(fmean(scores[kind][metric] for scores in images.values()), 6)
                for metric in ("psnr_y", "ssim_y")
            }
            for name, images in rows.items()
        }
        for kind in KINDS
    }


def _flat(metrics: dict[str, object]) -> dict[str, float]:
    """Metric names that sort by set, then measure: `samples/psnr_y_finetuned`."""
    flat = {"table_bytes": float(str(metrics["table_bytes"]))}
    for kind in KINDS:
        sets = metrics[kind]
        assert isinstance(sets, dict)
        for name, values in sets.items():
            flat |= {f"{name}/{metric}_{kind}": value for metric, value in values.items()}
    return flat


def _csv(rows: dict[str, dict[str, Scores]]) -> str:
    text = io.StringIO()
    columns = [f"{kind}_{metric}" for kind in KINDS for metric in ("psnr_y", "ssim_y")]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "image", *columns])
    for name, images in rows.items():
        for image, scores in images.items():
            values = [f"{scores[kind][metric]:.6f}" for kind in KINDS for metric in ("psnr_y", "ssim_y")]
            writer.writerow([name, image, *values])
    return text.getvalue()


def _png(sheet: object) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)  # type: ignore[attr-defined]
    return buffer.getvalue()


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
