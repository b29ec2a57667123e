"""What runs are compared by: the few parameters, the scores and the registered name that MLflow's tables show.

Parameters are called as in params.yaml; all of them are in the run's file params.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lutra.evaluation import protocols
from lutra.model.layouts import DiagonalLayout, Layout
from pipeline.params import Experiment, FitParams, Params, TaskParams
from pipeline.running import provenance


def settings(params: Params, experiment: str, processes: int | None = None) -> dict[str, Any]:
    """What a stage logs of an experiment's parameters, as `tracking.stage_run` takes it: those that decide, and all.

    `processes`: how many train together, for the stages that train.
    """
    block = params.experiment(experiment)
    task = params.task_of(experiment).model_dump(mode="json")
    everything = {"experiment": block.model_dump(mode="json"), "task": task}
    chosen = decisive(block, provenance.train_name(params, experiment))
    return {"params": chosen | ({"processes": processes} if processes else {}), "settings": everything}


def decisive(block: Experiment, images: str) -> dict[str, Any]:
    """The parameters that decide between experiments; what has no effect, such as the rate of no steps, is left out.

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


def scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of metrics.json under names that sort by set, then measure: `samples/psnr_y_finetuned`.

    The scores of the finished tables come first, because MLflow's plots begin with the first.
    """
    flat: dict[str, float] = {}
    for kind in ["finetuned", *(key for key in metrics if key != "finetuned")]:
        if isinstance(metrics[kind], Mapping) and kind != "options":
            for name, values in metrics[kind].items():
                flat |= {f"{name}/{measure}_{kind}": value for measure, value in values.items()}
    return flat | {"table_bytes": float(metrics["table_bytes"])}


def registered_name(task: TaskParams) -> str:
    """What models that do the same are called together: `lutra-sr-x4`, `lutra-denoise-sigma25`; without defaults."""
    parts = ["lutra", task.task]
    for key, value in task.options.items():
        if key == "scale":
            parts.append(f"x{value}")
        elif not _is_default(task, key):
            parts.append(key + ("-".join(f"{end:g}" for end in value) if isinstance(value, list) else f"{value}"))
    return "-".join([*parts, "pairs"] if task.pairs else parts)


def _is_default(task: TaskParams, key: str) -> bool:
    """Whether an option says what would hold without it."""
    others = {name: value for name, value in task.options.items() if name != key}
    try:
        return protocols.of(task.task, others, pairs=task.pairs) == task.protocol()
    except ValueError:  # the task needs it
        return False


def version_tags(metrics: Mapping[str, Any], evaluated: str) -> dict[str, str]:
    """What a registered version is marked with, and compared by: the main measure on the first image set.

    Args:
        metrics: those of metrics.json.
        evaluated: the name of that set.
    """
    measure = metrics["measures"][0]
    return {
        "score": f"{metrics['finetuned'][evaluated][measure]:.6f}",
        "scored": f"{evaluated}/{measure}",
        "table_bytes": str(metrics["table_bytes"]),
        "family": str(metrics["family"]),
    }


def _fit(section: str, settings: FitParams) -> dict[str, Any]:
    return {f"{section}.{key}": getattr(settings, key) for key in ("batch", "patch", "learning_rate", "seed")}


def _layout(layout: Layout) -> str:
    if isinstance(layout, DiagonalLayout):
        return f"interval {layout.interval}, dfc {layout.dimensions} {layout.coarse} width {layout.width}"
    return f"interval {layout.interval}"
