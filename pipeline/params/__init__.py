"""params.yaml, typed: every key with its type, bounds, default and meaning; unknown keys are refused.

A field's description is also its comment in the blocks that `python -m pipeline new` writes, and its text in the JSON
schema that Snakemake and editors check the file against.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from lutra.evaluation.protocols import Protocol
from lutra.model.description import NetworkSpec
from lutra.model.families import FAMILIES, describe, network_spec
from pipeline import PROJECT
from pipeline.params import reading
from pipeline.params.imagesets import DataParams, DeadLeavesParams, TaskParams
from pipeline.params.model import DfcParams, ModelParams, NetworkParams, TableParams
from pipeline.params.section import Name, Section, Text
from pipeline.params.training import FinetuneParams, FitParams, TrainParams

__all__ = [
    "DataParams",
    "DeadLeavesParams",
    "DfcParams",
    "EvaluateParams",
    "EvaluationSet",
    "Experiment",
    "FinetuneParams",
    "FitParams",
    "ModelParams",
    "NetworkParams",
    "Params",
    "ParamsError",
    "TableParams",
    "TaskParams",
    "TrackingParams",
    "TrainParams",
    "json_schema",
    "load",
    "parse",
    "set_name",
]

SCHEMA = PROJECT / "workflow/schemas/params.schema.json"
VERSIONS = ("bicubic", "input", "clean")  # names that reports give to other versions of an image


class ParamsError(ValueError):
    """A mistake in params.yaml: one line that names the file, the key, what was found and what was expected."""


class TrackingParams(Section):
    """Logging to MLflow."""

    enabled: Annotated[bool, Field(description="log every stage to MLflow")] = True
    uri: Annotated[Text | None, Field(description="null: $MLFLOW_TRACKING_URI, else sqlite in runs/mlflow.db")] = None
    experiment: Annotated[Text, Field(description="name of the experiment in MLflow that holds all runs")] = "lutra"


class EvaluateParams(Section):
    """Settings of the stage evaluate."""

    sheets: Annotated[int, Field(ge=0, le=10**6, description="images of each set that get a comparison sheet")] = 3


class Experiment(Section):
    """One model from training to scores. Every section is required (`{}` takes the defaults): DVC watches each."""

    family: Annotated[Literal[tuple(FAMILIES)], Field(description=", ".join(FAMILIES))]  # type: ignore[valid-type]
    task: Annotated[Text, Field(description="a name under tasks")]
    model: Annotated[ModelParams, Field(description="options of the family; null: its default")]
    network: Annotated[NetworkParams, Field(description="the network of each unit; it becomes a table")]
    table: Annotated[TableParams, Field(description="how each table is stored")]
    train: Annotated[TrainParams, Field(description="training of the networks")]
    finetune: Annotated[FinetuneParams, Field(description="training of the exported tables")]
    evaluate: Annotated[EvaluateParams, Field(description="what evaluation draws")]

    def network_spec(self) -> NetworkSpec:
        """Return the family's network with the experiment's changes.

        A network that starts from interpolation is bounded by a clamp: it must reach white at once, which a tanh
        only nears.
        """
        changes = self.network.model_dump(exclude_none=True)
        if self.train.init != "random":
            changes |= {"linear": True, "bound": "clamp"}
        return replace(network_spec(self.family), **changes)


@dataclass(frozen=True)
class EvaluationSet:
    """An image set and the protocol that it is scored by; the name is that of its folder and in results."""

    name: str
    data: str
    protocol: Protocol


class Params(Section):
    """The content of params.yaml."""

    data: Annotated[DataParams, Field(description="the images")]
    tasks: Annotated[dict[Name, TaskParams], Field(description="the tasks, by name")]
    tracking: Annotated[TrackingParams, Field(description="where runs are logged")] = TrackingParams()
    experiments: Annotated[dict[Name, Experiment], Field(description="the experiments, a block each, by name")]

    @model_validator(mode="after")
    def _shares_are_of_sets(self) -> Self:
        for task in self.tasks:
            sets, shares = self.train_sets(task), self.data.shares
            if sum(shares.get(name, 0) for name in sets) > 1 - 1e-9 and not shares.keys() >= set(sets):
                without = ", ".join(name for name in sets if name not in shares)
                raise ValueError(f"data.shares: found nothing left for {without}, expected less than 1 in all")
        known = sorted({name for task in self.tasks for name in self.train_sets(task)})
        for name in self.data.shares:
            if name not in known:
                raise ValueError(f"data.shares.{name}: found no such set, expected {reading.one_of(name, known)}")
        return self

    @model_validator(mode="after")
    def _experiments_fit_their_tasks(self) -> Self:
        for name, block in self.experiments.items():
            if name in VERSIONS:
                raise ValueError(
                    f"experiments.{name}: found a name that reports use for other images, expected another"
                )
            if block.task not in self.tasks:
                known = reading.one_of(block.task, list(self.tasks))
                raise ValueError(f"experiments.{name}.task: found {block.task!r}, expected {known}")
            protocol = self.tasks[block.task].protocol()
            try:
                described = describe(block.family, protocol.whole_scale, block.model.model_dump())
            except ValueError as error:
                raise ValueError(f"experiments.{name}.model: {error}") from None
            if described.colours > 1 and protocol.luma:
                raise ValueError(f"experiments.{name}.model.colours: found {described.colours}, expected 1 for luma")
            fitting = described.has_units and not described.any_size and described.colours == 1
            if block.train.init == "least_squares" and not fitting:
                found = f"found least_squares, which fits the pixels of tables of four: {block.family} has none"
                raise ValueError(f"experiments.{name}.train.init: {found}, expected interpolation")
            if block.table.bytes and not (described.is_layered and block.train.steps):
                found = f"found {block.table.bytes} for {block.family} with {block.train.steps} train.steps"
                raise ValueError(f"experiments.{name}.table.bytes: {found}, expected trained vectors")
        return self

    def starts(self) -> list[Path]:
        """Return the files of the models that trainings start from, sorted."""
        return sorted({block.train.start for block in self.experiments.values() if block.train.start})

    def experiment(self, name: str) -> Experiment:
        """Return the block called `name`; ValueError with the known names if there is none."""
        return _named("experiment", name, self.experiments)

    def task(self, name: str) -> TaskParams:
        """Return the task called `name`; ValueError with the known names if there is none."""
        return _named("task", name, self.tasks)

    def task_of(self, experiment: str) -> TaskParams:
        """Return the task of the experiment of that name."""
        return self.tasks[self.experiment(experiment).task]

    def train_sets(self, task: str) -> tuple[str, ...]:
        """Return the image sets that a task trains on; validation images are held out of the first."""
        own = self.tasks[task]
        return (own.train or self.data.train, *(self.data.mix if own.mix is None else own.mix))

    def shrink(self, task: str) -> float:
        """Return the factor by which the photographs that a task trains on are shrunk first."""
        return self.tasks[task].shrink or self.data.shrink

    def factors(self, task: str) -> tuple[float, ...]:
        """Return the factors of the sizes at which a task trains on each photograph."""
        return tuple(self.shrink(task) * scale for scale in self.tasks[task].scales or self.data.scales)

    def evaluate_sets(self, task: str) -> tuple[str, ...]:
        """Return the image sets that a task is evaluated on."""
        return self.tasks[task].evaluate or self.data.evaluate

    def evaluations(self, task: str) -> tuple[EvaluationSet, ...]:
        """Return what a task is evaluated on: every set by each protocol, the first set's first."""
        ways = self.tasks[task].evaluated().items()
        return tuple(
            EvaluationSet(set_name(data) + end, data, protocol)
            for data in self.evaluate_sets(task)
            for end, protocol in ways
        )

    def image_sets(self) -> list[str]:
        """Return every image set that is read."""
        used = {name for task in self.tasks for name in (*self.train_sets(task), *self.evaluate_sets(task))}
        return sorted(used | ({self.data.deadleaves.colours} if "deadleaves" in used else set()))


Block = TypeVar("Block")


def _named(kind: str, name: str, blocks: Mapping[str, Block]) -> Block:
    if name not in blocks:
        raise ValueError(f"{kind}s: found no {kind} {name!r}, expected {reading.one_of(name, list(blocks))}")
    return blocks[name]


def set_name(name: str) -> str:
    """Return the name of an image set in results: the catalogue's, or its folder's own; never a path."""
    return (PROJECT / name).resolve().name if Path(name).name in ("", "..") else Path(name).name


def load(path: Path) -> Params:
    """Read and check a file of parameters.

    Raises:
        ParamsError: the file is no YAML, or a key is unknown, missing, repeated, or has a wrong value.
        OSError: the file cannot be read.
    """
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, source: str) -> Params:
    """Return the parameters in `content`, YAML in UTF-8; `source` names it in errors. Raises ParamsError."""
    try:
        data = reading.read_yaml(content)
        if not isinstance(data, dict):
            raise ValueError(f"found {reading.shown(data)}, expected the keys {', '.join(Params.model_fields)}")
        return Params.model_validate(data)
    except ValidationError as error:
        raise ParamsError(f"{source}: {reading.explain(error, Params)}") from None
    except ValueError as error:
        raise ParamsError(f"{source}: {error}") from None


def json_schema() -> str:
    """Return the JSON schema of params.yaml (draft 2020-12)."""
    schema: dict[str, Any] = Params.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for blocks in ("tasks", "experiments"):
        schema["properties"][blocks]["additionalProperties"] = False
    for section in (schema, *schema["$defs"].values()):
        for key in section["properties"].values():
            # Snakemake copies a schema's defaults into its configuration, which then differs from the file
            if "default" in key:
                default = json.dumps(key.pop("default"))
                key["description"] = f"{key.get('description', '')} (default: {default})"
    return json.dumps(schema, indent=2) + "\n"
