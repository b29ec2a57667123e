"""One run of a stage: its parameters, what it is run for, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import declaration
from pipeline.declaration import Paths, Stage
from pipeline.params import Experiment, FitParams, Params, TaskParams
from pipeline.running import provenance


@dataclass(frozen=True)
class Job:
    """The argument of a stage's `run`. `experiment` is None for a stage that runs once per task."""

    stage: Stage
    params: Params
    root: Path
    task: str
    experiment: str | None = None

    @classmethod
    def of(
        cls, stage: str, params: Params, root: Path, *, task: str | None = None, experiment: str | None = None
    ) -> Job:
        """Return the job of a stage for a task, or for an experiment and its task: the task's if it runs once per task.

        Raises:
            ValueError: there is no such stage, task or experiment.
        """
        if (task is None) == (experiment is None):
            raise ValueError(f"{stage}: expected either a task or an experiment")
        name = task if experiment is None else params.experiment(experiment).task
        assert name is not None
        params.task(name)
        found = declaration.find(stage)
        return cls(found, params, root, name, experiment if found.per == "experiment" else None)

    @property
    def name(self) -> str:
        """The experiment's or the task's name: what the stage is run for."""
        return self.task if self.experiment is None else self.experiment

    @property
    def key(self) -> str:
        """The place of the stage's section of the experiment in params.yaml, for errors."""
        return f"experiments.{self.name}.{self.stage.name}"

    @property
    def target(self) -> dict[str, str]:
        """The names of the task and the experiment, as `Stage.paths` takes them."""
        return {"task": self.task} | ({} if self.experiment is None else {"experiment": self.experiment})

    @cached_property
    def paths(self) -> Paths:
        """The files that this run reads and writes."""
        return self.stage.paths(self.root, **self.target)

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The files and folders that this run reads; "start" is the model that a training starts from, if it does."""
        start = self.block.train.start if self.stage.name == "train" else None
        return self.paths.inputs if start is None else {**self.paths.inputs, "start": start}

    @property
    def outputs(self) -> Mapping[str, Path]:
        """The files and folders that this run writes."""
        return self.paths.outputs

    @property
    def checkpoint(self) -> Path:
        """The file in which a training keeps its checkpoint until it ends."""
        return self.stage.checkpoint(self.root, self.name)

    @property
    def block(self) -> Experiment:
        """The experiment's parameters; ValueError in a stage that runs once per task."""
        return self.params.experiment(self.name)

    @property
    def settings(self) -> FitParams | None:
        """The stage's section of the experiment, in the stages that train."""
        return getattr(self.block, self.stage.name) if self.stage.name in ("train", "finetune") else None

    @property
    def task_params(self) -> TaskParams:
        """The task's parameters."""
        return self.params.task(self.task)

    def origin(self) -> dict[str, Any]:
        """Return the origin of the result, as artifacts record it."""
        files = [path for name, path in self.inputs.items() if name != "data"]
        return provenance.of_stage(self.stage.name, self.params, self.name, self.inputs.get("data"), *files)
