"""The values by which MLflow compares runs: the few parameters that decide, the scores, the registered model's name.

Parameters have their names from params.yaml; all of them are in the run's file params.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lutra.evaluation import protocols
from lutra.model.layouts import DiagonalLayout, Layout
from pipeline.params import Experiment, FitParams, Params, TaskParams
from pipeline.running import provenance

if TYPE_CHECKING:
    from pipeline.reporting.results import Result


def run_settings(params: Params, experiment: str, processes: int | None = None) -> dict[str, Any]:
    """Return the parameters of an experiment that a stage logs: those that decide, and all.

    `processes`: how many train together, for the stages that train.
    """
    block = params.experiment(experiment)
    task = params.task_of(experiment).model_dump(mode="json")
    everything = {"experiment": block.model_dump(mode="json"), "task": task}
    chosen = decisive(block, provenance.train_name(params, experiment))
    return {"params": chosen | ({"processes": processes} if processes else {}), "settings": everything}


def decisive(block: Experiment, images: str) -> dict[str, Any]:
    """Return the parameters that decide between experiments, without those of no effect, such as the rate of no steps.

    Args:
        block: the experiment.
        images: what it is trained on, in words.
    """
    options = block.model.model_dump(exclude_none=True)
    chosen: dict[str, Any] = {
        "family": block.family,
        "model": " ".join(f"{key}={value}" for key, value in options.items()) or "default",
        "task": block.task,
        "images": images,
        "table": _layout(block.table.layout()),
        "train.init": block.train.init,
        "train.method": block.train.method,
        "train.steps": block.train.steps,
        "finetune.steps": block.finetune.steps,
    }
    if block.train.steps:
        chosen |= {"network.width": block.network.width} | _fit("train", block.train)
    if block.finetune.steps:
        chosen |= {"finetune.coarse": " ".join(str(interval) for interval in block.finetune.coarse) or "none"}
        chosen |= _fit("finetune", block.finetune)
    return chosen


def score_metrics(result: Result) -> dict[str, float]:
    """Return the numbers of a result under names that sort by set, then measure: `samples/psnr_y_finetuned`.

    The scores of the finished tables come first, because MLflow's plots begin with the first.
    """
    flat: dict[str, float] = {}
    for kind, scores in result.final_first():
        for name, values in scores.items():
            flat |= {f"{name}/{measure}_{kind}": value for measure, value in values.items()}
    return flat | {"table_bytes": float(result.table_bytes)}


def registered_name(task: TaskParams) -> str:
    """Return the name that models of one purpose share: `lutra-sr-x4`, `lutra-denoise-sigma25`; without defaults."""
    parts = ["lutra", task.task]
    for key, value in task.options.items():
        if key == "scale":
            parts.append(f"x{value}")
        elif not _is_default(task, key):
            parts.append(key + ("-".join(f"{end:g}" for end in value) if isinstance(value, list) else f"{value}"))
    return "-".join([*parts, "pairs"] if task.pairs else parts)


def _is_default(task: TaskParams, key: str) -> bool:
    """Return whether an option has the value that holds without it."""
    others = {name: value for name, value in task.options.items() if name != key}
    try:
        return protocols.of(task.task, others, pairs=task.pairs).degradation == task.protocol().degradation
    except ValueError:  # the task needs it
        return False


def version_tags(result: Result, evaluated: str) -> dict[str, str]:
    """Return the tags that registered versions are compared by: the main measure on the first image set.

    Args:
        result: of the experiment.
        evaluated: the name of that set.
    """
    measure = result.measures[0]
    return {
        "score": f"{result.final[evaluated][measure]:.6f}",
        "scored": f"{evaluated}/{measure}",
        "table_bytes": str(result.table_bytes),
        "family": result.family,
    }


def _fit(section: str, settings: FitParams) -> dict[str, Any]:
    return {f"{section}.{key}": getattr(settings, key) for key in ("batch", "patch", "learning_rate", "seed")}


def _layout(layout: Layout) -> str:
    if isinstance(layout, DiagonalLayout):
        return f"interval {layout.interval}, dfc {layout.dimensions} {layout.coarse} width {layout.width}"
    return f"interval {layout.interval}"
