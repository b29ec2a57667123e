"""The models that come with the library: the `*.safetensors` files in this folder, known by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.model.tasks import PREFERRED, TASKS

FOLDER = Path(__file__).parent
SETS = ("Set5", "Set12", "CBSD68", "classic5")
"""Image sets whose scores `lutra models` prefers, in order."""


@dataclass(frozen=True)
class Facts:
    """Facts of one model.

    name: its name, which `lutra.load` and every command take. path: its file.
    task: the task that it was trained for. options: the task's options, such as {"sigma": 25}.
    scale: the factor by which each side of an image grows. any_size: whether it makes results of any size itself.
    bytes: the size of its file.
    scores: {image set: {measure: value}}, such as {"Set5": {"psnr_y": 29.84}}.
    licence: the terms of its training images, in words; empty where the file does not hold them.
    use: what those allow: "free" for any purpose, or "research" alone; empty where it is not known.
    """

    name: str
    path: Path
    task: str
    options: Mapping[str, Any]
    scale: int
    any_size: bool
    bytes: int
    scores: Mapping[str, Mapping[str, float]]
    licence: str
    use: str

    @staticmethod
    def of(path: Path, model: Artifact | None = None) -> Facts:
        """Return the facts of a model's file; read it unless its content is at hand.

        Raises ValueError where it is damaged, OSError where it cannot be read.
        """
        model = model or artifact.load(path)
        description, scores = model.description, _scores(model.metrics)
        sizes = description.scale, description.any_size is not None, path.stat().st_size
        terms = str(model.provenance.get("licence", "")), _use(model.provenance)
        return Facts(path.stem, path, model.task, dict(model.options), *sizes, scores, *terms)

    @property
    def strength(self) -> Any:
        """The value of the option that tells the task's variants apart, such as the sigma of noise; None without."""
        return self.options.get(TASKS[self.task].strength or "")

    def rank(self, data: str) -> float:
        """Return the first measure of the model's task on an image set; minus infinity where it was not scored."""
        return self.scores.get(data, {}).get(TASKS[self.task].measures[0], -inf)


def models() -> dict[str, Path]:
    """Return the models' files by name, sorted."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def listed() -> list[Facts]:
    """Return the facts of the models that come with the library, sorted by name.

    >>> [(model.task, model.scale) for model in listed() if model.name == "srlut-x4"]
    [('sr', 4)]
    """
    return [Facts.of(path) for path in models().values()]


def choose(task: str | None = None, scale: float | None = None) -> Facts:
    """Choose a model that comes with the library: the one that scores best, and of equal ones the smallest.

    Where models are for different strengths, such as of noise, one for a range of them is chosen. The score is the
    first measure of the task on the first image set that all models to choose from were scored on.

    Args:
        task: what it was trained for; None for the first of `PREFERRED` with models of the scale or a larger one.
        scale: the factor by which sides are to grow: models of the smallest scale that is not smaller are chosen
            from, or else of the largest scale; None for the largest scale.

    Raises:
        ValueError: there is no model of the task, or there are several that differ in the strength of what they
            remove, such as noise, and none is for a range of strengths.
    """
    every = listed()
    if not every:
        raise ValueError("this installation has no models, expected the name of a model file")
    found = {model.task for model in every}
    if task is None:
        enlarging = [model for model in every if model.task in PREFERRED]
        wanted = min(scale or 0, max((model.scale for model in enlarging), default=0))
        fit = {model.task for model in enlarging if model.scale >= wanted}
        task = next((known for known in PREFERRED if known in fit), None)
    fitting = [model for model in every if model.task == task]
    if not fitting:
        raise ValueError(f"task is {task!r}, expected one that the library has models of: {', '.join(sorted(found))}")
    scales = sorted({model.scale for model in fitting})
    own = next((known for known in scales if scale is not None and known >= scale), scales[-1])
    fitting = [model for model in fitting if model.scale == own]
    fitting = [model for model in fitting if isinstance(model.strength, list | tuple)] or fitting
    if any(model.strength != fitting[0].strength for model in fitting):
        names = ", ".join(model.name for model in fitting)
        raise ValueError(f"task {task} has models of several strengths ({names}), expected the name of one")
    data = next((name for name in fitting[0].scores if all(name in model.scores for model in fitting)), "")
    return max(fitting, key=lambda model: (model.rank(data), -model.bytes))


def facts(path: Path, model: Artifact | None = None) -> tuple[str, str, str, str, str]:
    """Return task with strength, scale, bytes, score and licence of a model's file; what it does not hold is empty.

    Reads the file unless its content, `model`, is at hand.

    The licence is one word, `Facts.use`. The score is the first measure of the field's first image set among the
    metrics, such as "Set5 29.83 dB".
    """
    known = Facts.of(path, model)
    ends = known.strength if isinstance(known.strength, list | tuple) else [known.strength]
    task = known.task if known.strength is None else f"{known.task} {'..'.join(map(str, ends))}"
    scale = "any" if known.any_size else str(known.scale)
    data = next(iter(known.scores), "")
    score = f"{data} {known.rank(data):.2f} dB" if isfinite(known.rank(data)) else ""
    return task, scale, str(known.bytes), score, known.use


def _use(provenance: Mapping[str, Any]) -> str:
    """Return the provenance's field `use`; models that were shipped before it had research images."""
    return str(provenance.get("use") or ("research" if provenance.get("licence") else ""))


def _scores(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the scores of the first kind of metrics, those of `SETS` first; what is no number is left out."""
    for sets in metrics.values():  # {kind: {data set: {measure: value}}}
        if isinstance(sets, dict):
            known = [*(name for name in SETS if name in sets), *(name for name in sets if name not in SETS)]
            return {name: numbers for name in known if (numbers := _numbers(sets[name]))}
    return {}


def _numbers(measures: Any) -> dict[str, float]:
    of = measures.items() if isinstance(measures, dict) else ()
    return {str(name): float(value) for name, value in of if isinstance(value, float | int)}
