"""The sections `model`, `network` and `table` of an experiment."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from lutra.model.description import PATTERNS
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from pipeline.params.section import Count, Pattern, Section


class ModelParams(Section):
    """Options of the family; null: its default. Options of other families are refused."""

    pattern: Annotated[Pattern | None, Field(description="srlut: pattern of the four taps")] = None
    patterns: Annotated[
        str | None,
        Field(
            pattern=f"^[{''.join(PATTERNS)}]+$", description="mulut, spflut, lerf: patterns in parallel, a letter each"
        ),
    ] = None
    stages: Annotated[Count | None, Field(description="mulut, autolut on mulut: groups in series")] = None
    base: Annotated[Literal["mulut", "spflut"] | None, Field(description="autolut: family that it builds on")] = None
    branches: Annotated[Count | None, Field(description="autolut: samplers in parallel")] = None
    kernel: Annotated[Count | None, Field(description="autolut: side of the sampling window, pixels")] = None
    blocks: Annotated[Count | None, Field(description="shiftlut: blocks in series")] = None
    channels: Annotated[Count | None, Field(description="shiftlut: feature planes of each layer")] = None
    colours: Annotated[
        Literal[1, 3] | None, Field(description="shiftlut: 3: reads red, green and blue together; 1: one by one")
    ] = None
    offsets: Annotated[
        tuple[Annotated[tuple[Annotated[tuple[int, int], Strict(False)], ...], Strict(False)], ...] | None,
        Strict(False),
        Field(description="shiftlut: (row, column) by which each channel of each block is shifted"),
    ] = None
    front: Annotated[
        Literal["pairwise"] | None,
        Field(description="srlut, mulut, spflut, autolut: pairwise: mixes the three colours in pairs first"),
    ] = None
    border: Annotated[
        Literal["replicate", "zero"] | None, Field(description="lerf: what pixels outside the image are")
    ] = None


class NetworkParams(Section):
    """The pointwise network that is trained and then becomes a table."""

    width: Annotated[int, Field(ge=1, le=1024, description="features of each hidden layer")] = 64
    kind: Annotated[Literal["plain", "dense"] | None, Field(description="plain, dense; null: the family's")] = None
    activation: Annotated[Literal["relu", "gelu"] | None, Field(description="relu, gelu; null: the family's")] = None


class DfcParams(Section):
    """Diagonal-first compression: fine nodes near a = b = c = d, a coarse grid elsewhere."""

    width: Annotated[Count, Field(description="width of the fine band around the diagonal, in nodes")] = 2
    interval: Annotated[int, Field(ge=4, le=8, description="distance between nodes of the coarse grid, bits")] = 5
    dimensions: Annotated[Literal["xy", "xyz", "xyzt"], Field(description="taps that are compressed")] = "xyzt"


VectorStep = Literal[1, 2, 4, 8, 16, 32, 64]


class TableParams(Section):
    """Layout of the tables."""

    interval: Annotated[int, Field(ge=3, le=8, description="distance between nodes, bits (4: every 16 levels)")] = 4
    dfc: Annotated[
        DfcParams | None,
        Field(description="null, or {width: 2, interval: 5, dimensions: xyzt}: diagonal-first compression"),
    ] = None
    depthwise: Annotated[
        VectorStep, Field(description="shiftlut: levels between the stored values of a vector, in depthwise layers")
    ] = 1
    pointwise: Annotated[VectorStep, Field(description="shiftlut: the same in pointwise layers")] = 1
    bytes: Annotated[
        Count | None,
        Field(description="shiftlut: the most that all vectors take; larger steps are chosen by what they lose"),
    ] = None

    @model_validator(mode="after")
    def _layout_exists(self) -> Self:
        try:
            self.layout()
        except ValueError as error:
            raise ValueError(f"dfc: {error}") from None
        return self

    def layout(self) -> Layout:
        """Return the layout that the section describes; ValueError if its numbers do not fit together."""
        if self.dfc is None:
            return DenseLayout(self.interval)
        return DiagonalLayout(self.interval, self.dfc.width, self.dfc.interval, self.dfc.dimensions)
