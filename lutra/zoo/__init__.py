"""The models that come with the library: the `*.safetensors` files in this folder, known by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lutra.model import artifact
from lutra.model.tasks import TASKS

FOLDER = Path(__file__).parent
SETS = ("Set5", "Set12", "CBSD68", "classic5")
"""Image sets whose scores `lutra models` prefers, in order."""


def models() -> dict[str, Path]:
    """Return the models' files by name, sorted."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def facts(path: Path) -> tuple[str, str, str, str, str]:
    """Return task with strength, scale, bytes, score and licence of a model's file; what it does not hold is empty.

    The licence is one word: "free" for any purpose, or "research" where the training images are for research alone. The
    score is the first measure of the field's first image set among the metrics, such as "Set5 29.83 dB".
    """
    model = artifact.load(path)
    strength = model.options.get(TASKS[model.task].strength or "")
    task = f"{model.task} {strength}" if strength is not None else model.task
    scale = "any" if model.description.any_size else str(model.description.scale)
    size = str(path.stat().st_size)
    return task, scale, size, _score(model.metrics), _licence(model.provenance)


def _licence(provenance: Mapping[str, Any]) -> str:
    """Return the provenance's field `use`; models that were shipped before it had research images."""
    return str(provenance.get("use") or ("research" if provenance.get("licence") else ""))


def _score(metrics: Mapping[str, Any]) -> str:
    for sets in metrics.values():  # {kind: {data set: {measure: value}}}
        known = [name for name in SETS if isinstance(sets, dict) and name in sets]
        for name in [*known, *sets]:
            if isinstance(sets[name], dict) and isinstance(value := next(iter(sets[name].values()), None), float):
                return f"{name} {value:.2f} dB"
    return ""
