"""The models that come with the library: `*.safetensors` files beside this one, known by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lutra import artifact

FOLDER = Path(__file__).parent


def models() -> dict[str, Path]:
    """The models' files by name, sorted."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def facts(path: Path) -> tuple[str, str, str, str, str]:
    """Of a model's file: task, scale, bytes, PSNR-Y on Set5 in dB and licence; empty where the file does not say.

    The licence is the provenance's field `licence`; the score is `psnr_y` of `Set5` among the metrics.
    """
    model = artifact.load(path)
    scale, size = str(model.description.scale), str(path.stat().st_size)
    return model.task, scale, size, _set5(model.metrics), str(model.provenance.get("licence", ""))


def _set5(metrics: Mapping[str, Any]) -> str:
    for sets in metrics.values():  # {kind: {data set: {metric: value}}}
        scores = sets.get("Set5") if isinstance(sets, dict) else None
        if isinstance(scores, dict) and isinstance(scores.get("psnr_y"), float):
            return f"{scores['psnr_y']:.2f}"
    return ""
