"""The sections `data` and `tasks` of params.yaml: images, and what is restored of them."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, Strict, create_model, model_validator

from lutra.evaluation import protocols
from lutra.model.tasks import TASKS, Option, options
from pipeline.params.section import Count, Range, Scale, Section, Text

Factor = Annotated[float, Field(ge=0.1, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class DeadLeavesParams(Section):
    """The synthetic image set `deadleaves`: occluding random shapes in the colours of photographs."""

    images: Annotated[Count, Field(description="number of images")] = 400
    size: Annotated[int, Field(ge=32, le=2048, description="side of an image, pixels")] = 256
    colours: Annotated[Text, Field(description="image set that the colours are taken from")] = "photos"
    least_radius: Annotated[float, Field(gt=0, le=500, description="radius of the smallest shapes, pixels")] = 2.5
    most_radius: Annotated[float, Field(gt=0, le=2000, description="radius of the largest shapes, pixels")] = 200.0
    exponent: Annotated[
        float, Field(gt=1, le=6, description="exponent of the power law of the radii: larger means fewer large shapes")
    ] = 3.0
    rich: Annotated[
        bool, Field(description="true: gratings, lattices, strokes, thin lines, shading and blur of depth too")
    ] = False
    seed: Annotated[int, Field(ge=0, lt=2**32, description="seed of all random numbers")] = 0

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.colours == "deadleaves":
            raise ValueError("colours: found the synthetic set itself, expected photographs")
        if self.least_radius >= self.most_radius:
            raise ValueError(f"least_radius: found {self.least_radius:g}, expected less than {self.most_radius:g}")
        return self


with warnings.catch_warnings():
    # the key `validate` hides a deprecated method of pydantic that nothing calls
    warnings.filterwarnings("ignore", message='Field name "validate"', category=UserWarning)

    class DataParams(Section):
        """The image sets; a task may replace `train` and `evaluate`."""

        train: Annotated[Text, Field(description="a name in data/catalogue.yaml, or a folder of images")]
        mix: Annotated[
            tuple[Text, ...], Strict(False), Field(description="further sets to train on, such as deadleaves")
        ] = ()
        shares: Annotated[
            dict[Text, Share],
            Field(description="shares of the patches that come from sets of train and mix; the others by their pixels"),
        ] = Field(default_factory=dict)
        shrink: Annotated[
            Factor, Field(description="factor by which photographs to train on are shrunk first: smaller is sharper")
        ] = 1.0
        scales: Annotated[
            tuple[Factor, ...],
            Strict(False),
            Field(min_length=1, description="sizes, after shrink, at each of which photographs are trained on"),
        ] = (1.0,)
        evaluate: Annotated[
            tuple[Text, ...],
            Strict(False),  # YAML has lists, no tuples
            Field(min_length=1, description="names or folders, each scored on its own"),
        ]
        validate: Annotated[  # type: ignore[assignment]
            Count, Field(description="training images to hold out, evenly spaced; they decide which state is the best")
        ]
        deadleaves: Annotated[DeadLeavesParams, Field(description="the synthetic set of that name")] = (
            DeadLeavesParams()
        )

        @model_validator(mode="after")
        def _each_once(self) -> Self:
            given: dict[str, tuple[object, ...]] = {"evaluate": self.evaluate, "mix": (self.train, *self.mix)}
            for key, values in (given | {"scales": self.scales}).items():
                if len(set(values)) < len(values):
                    raise ValueError(f"{key}: found {list(values)}, expected each once")
            if (whole := sum(self.shares.values())) > 1 + 1e-9:
                raise ValueError(f"shares: found {whole:g} in all, expected at most 1")
            return self


class _TaskName(Section):
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
        "range": Range,
        "whole range": Range,
    }
    return Annotated[types[kind] | None, Field(description=description)], None


if TYPE_CHECKING:
    _TaskOptions = _TaskName
else:
    _TaskOptions = create_model("_TaskOptions", __base__=_TaskName, **{k: _option(of) for k, of in options().items()})


_OF_IMAGES = {"task", "pairs", "train", "evaluate", "mix", "shrink", "scales", "evaluate_at"}
"""Keys of a task that are no options of its degradation."""


class TaskParams(_TaskOptions):
    """A task: a degradation, image sets and the protocol that follows. Options of other tasks are refused."""

    pairs: Annotated[bool, Field(description="true: take the sets' own degraded images as inputs")] = False
    train: Annotated[Text | None, Field(description="replaces data.train for this task")] = None
    mix: Annotated[tuple[Text, ...] | None, Strict(False), Field(description="replaces data.mix for this task")] = None
    evaluate: Annotated[
        tuple[Text, ...] | None, Strict(False), Field(description="replaces data.evaluate for this task")
    ] = None
    shrink: Annotated[Factor | None, Field(description="replaces data.shrink for this task")] = None
    scales: Annotated[
        tuple[Factor, ...] | None, Strict(False), Field(description="replaces data.scales for this task")
    ] = None
    evaluate_at: Annotated[
        tuple[float, ...] | None,
        Strict(False),
        Field(min_length=1, description="values of sigma or quality that each set is scored at; null: the task's own"),
    ] = None

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        self.protocol()
        if self.options.get("noise") == "paper":
            raise ValueError("noise: found paper, which no prepared image holds, expected file (see lutra evaluate)")
        self.evaluated()
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The task's options, as `protocols.of` takes them."""
        given = self.model_dump(exclude=_OF_IMAGES, exclude_none=True)
        return {key: _plain(value) if isinstance(value, tuple) else value for key, value in given.items()}

    @property
    def labels(self) -> dict[str, Any]:
        """The labels that a model file gets: `task`, and its `options` without the scale, which the model knows."""
        return {"task": self.task, "options": {key: value for key, value in self.options.items() if key != "scale"}}

    def protocol(self) -> protocols.Protocol:
        """Return how inputs are made and results are scored."""
        found = protocols.of(self.task, self.options, pairs=self.pairs)
        if self.evaluate_at is None:
            return found
        values = ", ".join(f"{value:g}" for value in self.evaluate_at)
        return replace(found, made=f"{found.made}, each set at {TASKS[self.task].strength} {values}")

    def evaluated(self) -> dict[str, protocols.Protocol]:
        """Return the protocols that each image set is scored by, by what the set's name gets at its end."""
        if self.evaluate_at is None:
            return {"": self.protocol()}
        task = TASKS[self.task]
        if task.severity is None or self.pairs or len(set(self.evaluate_at)) < len(self.evaluate_at):
            found = f"{list(self.evaluate_at)} for {self.task}{' with pairs' if self.pairs else ''}"
            raise ValueError(f"evaluate_at: found {found}, expected different values of a sigma or a quality")
        return {
            task.suffix(value): protocols.of(self.task, self.options | {task.severity: value})
            for value in self.evaluate_at
        }


def _plain(ends: tuple[float, float]) -> float | list[float]:
    """Return a range as it is written: one number if both ends are equal, whole numbers without a dot."""
    least, most = (int(end) if end == int(end) else end for end in ends)
    return least if least == most else [least, most]
