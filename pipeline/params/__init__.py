"""params.yaml, typed: every key with its type, bounds, default and meaning; unknown keys are refused.

A field's description is also its comment in the blocks that `python -m pipeline new` writes, and its text in the JSON
schema that Snakemake and editors check the file against.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from lutra.evaluation import protocols
from lutra.model.description import PATTERNS, NetworkSpec
from lutra.model.families import FAMILIES, describe, network_spec
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.model.tasks import TASKS, Option, options
from pipeline import PROJECT
from pipeline.params import reading

SCHEMA = PROJECT / "workflow/schemas/params.schema.json"
VERSIONS = ("bicubic", "input", "clean")  # of an image, beside an experiment's own, in reports

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]  # a file name, a key of DVC's, a wildcard of Snakemake's
Pattern = Annotated[str, Field(pattern=f"^[{''.join(PATTERNS)}]$")]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=10**6)]
Scale = Annotated[int, Field(ge=1, le=4)]
Rate = Annotated[float, Field(gt=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=10**9, description="optimiser steps; 0: none")]
FirstRate = Annotated[Rate, Field(description="Adam's at the start, in units of the full scale")]


def _both_ends(value: Any) -> Any:
    """A number as the range that holds it alone."""
    return [value, value] if isinstance(value, int | float) and not isinstance(value, bool) else value


_NUMBER = {"type": "number", "minimum": 0}
_Range = Annotated[
    tuple[float, float],
    Strict(False),
    BeforeValidator(_both_ends),
    WithJsonSchema({"anyOf": [_NUMBER, {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}]}),
]


class ParamsError(ValueError):
    """A mistake in params.yaml: one line that names the file, the key, what was found and what was expected."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DeadLeavesParams(_Section):
    """The synthetic image set `deadleaves`: occluding random shapes in the colours of photographs."""

    images: Annotated[Count, Field(description="how many")] = 400
    size: Annotated[int, Field(ge=32, le=2048, description="side of an image, pixels")] = 256
    colours: Annotated[Text, Field(description="the image set that they take their colours from")] = "photos"
    least_radius: Annotated[float, Field(gt=0, le=500, description="of the smallest shapes, pixels")] = 2.5
    most_radius: Annotated[float, Field(gt=0, le=2000, description="of the largest shapes, pixels")] = 200.0
    exponent: Annotated[float, Field(gt=1, le=6, description="how fast shapes get rarer with their radius")] = 3.0
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of everything random")] = 0

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.colours == "deadleaves":
            raise ValueError("colours: found the synthetic set itself, expected photographs")
        if self.least_radius >= self.most_radius:
            raise ValueError(f"least_radius: found {self.least_radius:g}, expected less than {self.most_radius:g}")
        return self


with warnings.catch_warnings():
    # the key is called `validate`, which hides a deprecated method of pydantic's that nobody calls
    warnings.filterwarnings("ignore", message='Field name "validate"', category=UserWarning)

    class DataParams(_Section):
        """The images; a task may name its own in place of `train` and `evaluate`."""

        train: Annotated[Text, Field(description="a name in data/catalogue.yaml, or a folder of images")]
        mix: Annotated[
            tuple[Text, ...], Strict(False), Field(description="further sets to train on, such as deadleaves")
        ] = ()
        evaluate: Annotated[
            tuple[Text, ...],
            Strict(False),  # YAML has lists, no tuples
            Field(min_length=1, description="names or folders, each scored on its own"),
        ]
        validate: Annotated[  # type: ignore[assignment]
            Count, Field(description="images of train held out, evenly spaced, to choose the best state")
        ]
        deadleaves: Annotated[DeadLeavesParams, Field(description="the synthetic set of that name")] = (
            DeadLeavesParams()
        )

        @model_validator(mode="after")
        def _each_once(self) -> Self:
            for key, values in (("evaluate", self.evaluate), ("mix", (self.train, *self.mix))):
                if len(set(values)) < len(values):
                    raise ValueError(f"{key}: found {list(values)}, expected each once")
            return self


class _TaskName(_Section):
    task: Annotated[Literal[tuple(TASKS)], Field(description=", ".join(TASKS))]  # type: ignore[valid-type]


def _option(of: Mapping[str, Option]) -> Any:
    """Return the field of an option: its type, and its meaning for each of the tasks that have it."""
    texts: dict[str, list[str]] = {}
    for task, option in of.items():
        texts.setdefault(option.text, []).append(task)
    description = "; ".join(f"{', '.join(tasks)}: {text}" for text, tasks in texts.items())
    kinds = {option.kind for option in of.values()}
    choices = tuple(choice for option in of.values() for choice in option.choices)
    kind = next((kind for kind in ("whole range", "range") if kind in kinds), next(iter(kinds)))
    types: dict[str, Any] = {
        "scale": Scale,
        "number": float,
        "choice": Literal[choices],
        "range": _Range,
        "whole range": _Range,
    }
    return Annotated[types[kind] | None, Field(description=description)], None


if TYPE_CHECKING:
    _TaskOptions = _TaskName
else:
    _TaskOptions = create_model("_TaskOptions", __base__=_TaskName, **{k: _option(of) for k, of in options().items()})


class TaskParams(_TaskOptions):
    """What is restored: a degradation, images and, by them, a protocol. An option of another task is refused."""

    pairs: Annotated[bool, Field(description="inputs are the sets' own degraded images, not made here")] = False
    train: Annotated[Text | None, Field(description="in place of data.train")] = None
    evaluate: Annotated[tuple[Text, ...] | None, Strict(False), Field(description="in place of data.evaluate")] = None

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        self.protocol()
        return self

    @property
    def options(self) -> dict[str, Any]:
        """Of the task, as `protocols.of` takes them."""
        given = self.model_dump(exclude={"task", "pairs", "train", "evaluate"}, exclude_none=True)
        return {key: _plain(value) if isinstance(value, tuple) else value for key, value in given.items()}

    @property
    def labels(self) -> dict[str, Any]:
        """What a model is marked with: `task`, and its `options` but the scale, which the model knows."""
        return {"task": self.task, "options": {key: value for key, value in self.options.items() if key != "scale"}}

    def protocol(self) -> protocols.Protocol:
        """How inputs are made and results are scored."""
        return protocols.of(self.task, self.options, pairs=self.pairs)


def _plain(ends: tuple[float, float]) -> float | list[float]:
    """A range as it is written: one number where both ends are the same, whole numbers without a dot."""
    least, most = (int(end) if end == int(end) else end for end in ends)
    return least if least == most else [least, most]


class TrackingParams(_Section):
    """Where runs are logged."""

    enabled: Annotated[bool, Field(description="log every stage to MLflow")] = True
    uri: Annotated[Text | None, Field(description="null: $MLFLOW_TRACKING_URI, else sqlite in runs/mlflow.db")] = None
    experiment: Annotated[Text, Field(description="MLflow's experiment, the one that holds all our runs")] = "lutra"


class ModelParams(_Section):
    """Options of the family; null: the family's default. An option that the family does not have is refused."""

    pattern: Annotated[Pattern | None, Field(description="srlut: where the four taps lie")] = None
    patterns: Annotated[
        str | None,
        Field(pattern=f"^[{''.join(PATTERNS)}]+$", description="mulut, spflut: patterns in parallel, a letter each"),
    ] = None
    stages: Annotated[Count | None, Field(description="mulut, autolut on mulut: groups in series")] = None
    base: Annotated[Literal["mulut", "spflut"] | None, Field(description="autolut: the system it builds on")] = None
    branches: Annotated[Count | None, Field(description="autolut: samplers in parallel")] = None
    kernel: Annotated[Count | None, Field(description="autolut: side of the sampling window, pixels")] = None


class NetworkParams(_Section):
    """The pointwise network that is trained and then becomes a table."""

    width: Annotated[int, Field(ge=1, le=1024, description="features of each hidden layer")] = 64
    kind: Annotated[Literal["plain", "dense"] | None, Field(description="plain, dense; null: the family's")] = None
    activation: Annotated[Literal["relu", "gelu"] | None, Field(description="relu, gelu; null: the family's")] = None


class DfcParams(_Section):
    """Diagonal-first compression: fine nodes near a = b = c = d, a coarse grid elsewhere."""

    width: Annotated[Count, Field(description="distance from the diagonal, node steps")] = 2
    interval: Annotated[int, Field(ge=4, le=8, description="of the coarse grid, bits")] = 5
    dimensions: Annotated[Literal["xy", "xyz", "xyzt"], Field(description="the taps that are compressed")] = "xyzt"


class TableParams(_Section):
    """How a table is stored."""

    interval: Annotated[int, Field(ge=3, le=8, description="distance of nodes, bits (4: every 16 levels)")] = 4
    dfc: Annotated[
        DfcParams | None,
        Field(description="null, or {width: 2, interval: 5, dimensions: xyzt}: diagonal-first compression"),
    ] = None

    @model_validator(mode="after")
    def _layout_exists(self) -> Self:
        try:
            self.layout()
        except ValueError as error:
            raise ValueError(f"dfc: {error}") from None
        return self

    def layout(self) -> Layout:
        """The layout that the section describes; ValueError if its numbers do not fit together."""
        if self.dfc is None:
            return DenseLayout(self.interval)
        return DiagonalLayout(self.interval, self.dfc.width, self.dfc.interval, self.dfc.dimensions)


class FitParams(_Section):
    """What training a network and finetuning tables have in common."""

    steps: Steps = 200
    batch: Annotated[Count, Field(description="patches a step, all processes together")] = 16
    patch: Annotated[int, Field(ge=4, le=1024, description="side of a patch, LR pixels")] = 48
    learning_rate: FirstRate = 1e-3
    final_learning_rate: Annotated[Rate, Field(description="at the end, reached along a cosine")] = 1e-4
    average: Annotated[
        float, Field(ge=0, lt=1, description="share of the past in the running average that is validated; 0: none")
    ] = 0.999
    precision: Annotated[Literal["fp32", "bf16"], Field(description="fp32, bf16: of a network's arithmetic")] = "fp32"
    accumulate: Annotated[Count, Field(description="parts a batch is computed in, to need less memory")] = 1
    num_processes: Annotated[Count, Field(description="that train together, a GPU each; on the CPU without GPUs")] = 1
    validate_every: Annotated[Count, Field(description="steps between validations; the best state is kept")] = 50
    checkpoint_every: Annotated[Count, Field(description="steps between checkpoints, to resume from")] = 50
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of everything random")] = 0

    @model_validator(mode="after")
    def _numbers_fit_together(self) -> Self:
        first, last = self.learning_rate, self.final_learning_rate
        if last > first:
            raise ValueError(f"final_learning_rate: found {last:g}, expected at most the learning_rate of {first:g}")
        if self.batch % self.num_processes:
            found = f"num_processes: found {self.num_processes}"
            raise ValueError(f"{found}, expected a divisor of the batch of {self.batch}")
        if (share := self.batch // self.num_processes) % self.accumulate:
            of = f"the batch of {share}" if self.num_processes == 1 else f"a process's batch of {share}"
            raise ValueError(f"accumulate: found {self.accumulate}, expected a divisor of {of}")
        return self

    @property
    def ranks(self) -> int:
        """How many processes run the stage: without optimiser steps there is nothing to share out."""
        return self.num_processes if self.steps else 1


class TrainParams(FitParams):
    """Training of the networks."""

    method: Annotated[
        Literal["network", "table"],
        Field(description="network: trained as such, then exported; table: seen through its table at every step"),
    ] = "table"
    steps: Steps = 0
    init: Annotated[
        Literal["interpolation", "random", "least_squares"],
        Field(description="what training starts from: interpolation, random, or least_squares (tables, not networks)"),
    ] = "interpolation"
    iterations: Annotated[Count, Field(description="least_squares: at most so many passes over the images")] = 25
    smoothness: Annotated[
        float, Field(gt=0, le=1e6, description="least_squares: weight of neighbouring entries' differences")
    ] = 2.0

    @property
    def makes_tables(self) -> bool:
        """Whether the result is tables at once: those of least squares, or of an untrained start."""
        return self.init == "least_squares" or (self.method == "table" and self.steps == 0)

    @model_validator(mode="after")
    def _least_squares_makes_tables(self) -> Self:
        if self.init == "least_squares" and self.method != "table":
            raise ValueError("init: least_squares makes tables: expected method: table")
        return self


class FinetuneParams(FitParams):
    """Training of the exported tables' values."""

    steps: Steps = 2000
    batch: Annotated[Count, Field(description="patches a step, all processes together")] = 32
    learning_rate: FirstRate = 0.02
    final_learning_rate: Annotated[Rate, Field(description="at the end, reached along a cosine")] = 0.0005
    coarse: Annotated[
        tuple[Annotated[int, Field(ge=4, le=8)], ...],
        Strict(False),
        Field(description="intervals, bits, of coarser grids that are trained along and added to the table"),
    ] = (5, 6, 7)
    samplers: Annotated[bool, Field(description="autolut: train the samplers and AdaRL's shares too")] = False


class EvaluateParams(_Section):
    """What evaluation draws besides its scores."""

    sheets: Annotated[int, Field(ge=0, le=10**6, description="images of each set that get a comparison sheet")] = 3


class Experiment(_Section):
    """One model from training to scores. All sections are required (`{}` will do), because DVC watches each."""

    family: Annotated[Literal[tuple(FAMILIES)], Field(description=", ".join(FAMILIES))]  # type: ignore[valid-type]
    task: Annotated[Text, Field(description="a name under tasks: what is restored, of which images")]
    model: Annotated[ModelParams, Field(description="options of the family; null: its default")]
    network: Annotated[NetworkParams, Field(description="of each unit; becomes a table")]
    table: Annotated[TableParams, Field(description="how each unit is stored")]
    train: Annotated[TrainParams, Field(description="of the networks")]
    finetune: Annotated[FinetuneParams, Field(description="of the tables' values")]
    evaluate: Annotated[EvaluateParams, Field(description="besides the scores")]

    def network_spec(self) -> NetworkSpec:
        """The family's network with the experiment's changes.

        A network that starts from interpolation is bounded by a clamp: it must reach white at once, which a tanh
        only nears.
        """
        changes = self.network.model_dump(exclude_none=True)
        if self.train.init != "random":
            changes |= {"linear": True, "bound": "clamp"}
        return replace(network_spec(self.family), **changes)


class Params(_Section):
    """All of params.yaml."""

    data: Annotated[DataParams, Field(description="the images")]
    tasks: Annotated[dict[Name, TaskParams], Field(description="what is restored, by name")]
    tracking: Annotated[TrackingParams, Field(description="where runs are logged")] = TrackingParams()
    experiments: Annotated[dict[Name, Experiment], Field(description="one block per experiment, by name")]

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
            try:
                describe(block.family, self.tasks[block.task].protocol().scale, block.model.model_dump())
            except ValueError as error:
                raise ValueError(f"experiments.{name}.model: {error}") from None
        return self

    def experiment(self, name: str) -> Experiment:
        """The block called `name`; ValueError with the known names if there is none."""
        return _named("experiment", name, self.experiments)

    def task(self, name: str) -> TaskParams:
        """The task called `name`; ValueError with the known names if there is none."""
        return _named("task", name, self.tasks)

    def task_of(self, experiment: str) -> TaskParams:
        """What the experiment of that name restores."""
        return self.tasks[self.experiment(experiment).task]

    def train_sets(self, task: str) -> tuple[str, ...]:
        """The image sets that a task trains on; validation images are held out of the first."""
        return (self.tasks[task].train or self.data.train, *self.data.mix)

    def evaluate_sets(self, task: str) -> tuple[str, ...]:
        """The image sets that a task is evaluated on."""
        return self.tasks[task].evaluate or self.data.evaluate

    def image_sets(self) -> list[str]:
        """Every image set that is read."""
        used = {name for task in self.tasks for name in (*self.train_sets(task), *self.evaluate_sets(task))}
        return sorted(used | ({self.data.deadleaves.colours} if "deadleaves" in used else set()))


Block = TypeVar("Block")


def _named(kind: str, name: str, blocks: Mapping[str, Block]) -> Block:
    if name not in blocks:
        raise ValueError(f"{kind}s: found no {kind} {name!r}, expected {reading.one_of(name, list(blocks))}")
    return blocks[name]


def set_name(name: str) -> str:
    """What an image set is called in results: its name in the catalogue, or its folder's own name; never a path."""
    return (PROJECT / name).resolve().name if Path(name).name in ("", "..") else Path(name).name


def load(path: Path) -> Params:
    """Read and check a file of parameters.

    Raises:
        ParamsError: the file is no YAML, or a key is unknown, missing, repeated, or has a wrong value.
        OSError: the file cannot be read.
    """
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, source: str) -> Params:
    """The parameters that `content`, YAML in UTF-8, holds; `source` names it in errors. Raises ParamsError."""
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
    """The JSON schema of params.yaml (draft 2020-12), as text."""
    schema: dict[str, Any] = Params.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for blocks in ("tasks", "experiments"):
        schema["properties"][blocks]["additionalProperties"] = False
    for section in (schema, *schema["$defs"].values()):
        for key in section["properties"].values():
            # Snakemake writes a schema's defaults into its configuration, which is then not the file's any more
            if "default" in key:
                default = json.dumps(key.pop("default"))
                key["description"] = f"{key.get('description', '')} (default: {default})"
    return json.dumps(schema, indent=2) + "\n"
