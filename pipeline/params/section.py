"""The base class of the sections of params.yaml, and the types of their values."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from lutra.model.description import PATTERNS

Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
]  # becomes a file name, a key in DVC, a wildcard in Snakemake
Pattern = Annotated[str, Field(pattern=f"^[{''.join(PATTERNS)}]$")]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=10**6)]
Scale = Annotated[int, Field(ge=1, le=4)]
Rate = Annotated[float, Field(gt=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=10**9, description="optimiser steps; 0: none")]
FirstRate = Annotated[Rate, Field(description="initial learning rate of Adam; 1 is the full range 0..1")]


def _both_ends(value: Any) -> Any:
    """Return a number as the range from it to itself."""
    return [value, value] if isinstance(value, int | float) and not isinstance(value, bool) else value


_NUMBER = {"type": "number", "minimum": 0}
Range = Annotated[
    tuple[float, float],
    Strict(False),
    BeforeValidator(_both_ends),
    WithJsonSchema({"anyOf": [_NUMBER, {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}]}),
]


class Section(BaseModel):
    """A section of params.yaml: frozen, strict about types, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
