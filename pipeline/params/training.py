"""The sections `train` and `finetune` of an experiment."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, model_validator

from lutra import zoo
from pipeline.params import reading
from pipeline.params.section import Count, FirstRate, Rate, Section, Steps, Text

STARTS = ("interpolation", "random", "least_squares")
"""What a training starts from, if not from a model."""


class FitParams(Section):
    """Settings that training a network and finetuning tables share."""

    steps: Steps = 200
    batch: Annotated[Count, Field(description="patches in a step, over all processes")] = 16
    patch: Annotated[int, Field(ge=4, le=1024, description="side of a patch, LR pixels")] = 48
    learning_rate: FirstRate = 1e-3
    final_learning_rate: Annotated[Rate, Field(description="learning rate at the end of the cosine schedule")] = 1e-4
    average: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="weight of the past in the running average of the parameters, which is validated; 0: none",
        ),
    ] = 0.999
    coarse: Annotated[
        tuple[Annotated[int, Field(ge=4, le=8)], ...],
        Strict(False),
        Field(
            description="intervals, bits, of coarser grids that are trained with tables or vectors and added to them"
        ),
    ] = (5, 6, 7)
    precision: Annotated[Literal["fp32", "bf16"], Field(description="fp32, bf16: arithmetic of a network")] = "fp32"
    accumulate: Annotated[Count, Field(description="parts that a batch is computed in, to take less memory")] = 1
    num_processes: Annotated[
        Count, Field(description="processes that train together, one per GPU; on the CPU if there is no GPU")
    ] = 1
    validate_every: Annotated[Count, Field(description="steps between validations; the best state is kept")] = 50
    checkpoint_every: Annotated[Count, Field(description="steps between checkpoints, to resume from")] = 50
    seed: Annotated[int, Field(ge=0, lt=2**32, description="seed of all random numbers")] = 0

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

    def settings(self) -> dict[str, Any]:
        """Return what the training loop takes, as the fields of `lutra.training.Settings`."""
        return self.model_dump(include=set(FitParams.model_fields) - {"num_processes", "coarse"})

    @property
    def ranks(self) -> int:
        """The number of processes that run the stage: one if there are no optimiser steps to share."""
        return self.num_processes if self.steps else 1


class TrainParams(FitParams):
    """Training of the networks."""

    method: Annotated[
        Literal["network", "table"],
        Field(
            description="network: train the network, then export it; table: train it through its table at every step"
        ),
    ] = "table"
    steps: Steps = 0
    init: Annotated[
        Text,
        Field(
            description=f"start of training: {', '.join(STARTS)} (tables, not networks), or a model of the same family"
            " and options: the name of one that ships, or its file"
        ),
    ] = "interpolation"
    iterations: Annotated[Count, Field(description="least_squares: passes over the images at most")] = 25
    smoothness: Annotated[
        float, Field(gt=0, le=1e6, description="least_squares: weight of the differences between neighbouring entries")
    ] = 2.0

    @property
    def makes_tables(self) -> bool:
        """Whether the result holds tables: those of least squares, of a model, or of an untrained start."""
        of_tables = self.init == "least_squares" or self.start is not None
        return of_tables or (self.method == "table" and self.steps == 0)

    @property
    def start(self) -> Path | None:
        """The file of the model that training starts from, if it does."""
        return None if self.init in STARTS else zoo.models().get(self.init, Path(self.init))

    @model_validator(mode="after")
    def _starts_from_what_there_is(self) -> Self:
        if self.start is not None and self.start.suffix != ".safetensors":
            known = reading.one_of(self.init, [*STARTS, *zoo.models()])
            raise ValueError(f"init: found {self.init!r}, expected a file *.safetensors, or {known}")
        if self.init not in ("interpolation", "random") and self.method != "table":
            raise ValueError(f"init: {self.init} makes tables: expected method: table")
        return self


class FinetuneParams(FitParams):
    """Training of the exported tables' values."""

    steps: Steps = 2000
    batch: Annotated[Count, Field(description="patches in a step, over all processes")] = 32
    learning_rate: FirstRate = 0.02
    final_learning_rate: Annotated[Rate, Field(description="learning rate at the end of the cosine schedule")] = 0.0005
    samplers: Annotated[bool, Field(description="autolut: train the samplers and the shares of AdaRL too")] = False
