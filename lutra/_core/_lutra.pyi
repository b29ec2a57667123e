from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

sources: str

class Builder:
    def __init__(
        self, planes: int, scale: int, reflect: bool, rounding: int, tap_bits: int, colours: int = 1
    ) -> None: ...
    def step(self, writes: list[int], divisor: int, offset: int, upscale: int, rotations: int) -> None: ...
    def fixed(
        self,
        plane: int,
        previous: int,
        shares: list[int],
        offsets: list[tuple[int, int]],
        layout: list[int],
        table: NDArray[Any],
        turns: Sequence[int] = (),
    ) -> None: ...
    def sampled(
        self,
        plane: int,
        previous: int,
        shares: list[int],
        weights: NDArray[Any],
        layout: list[int],
        table: NDArray[Any],
    ) -> None: ...
    def coloured(
        self,
        plane: int,
        shifts: list[int],
        offsets: list[tuple[int, int]],
        colour: int,
        layout: list[int],
        table: NDArray[Any],
    ) -> None: ...
    def channel(self, planes: list[int], layout: list[int], table: NDArray[Any]) -> None: ...
    def outputs(self, planes: list[int]) -> None: ...

class LayerBuilder:
    def __init__(self, scale: int, reflect: bool, colours: int = 1) -> None: ...
    def plane(self, channels: int, low: int, high: int) -> int: ...
    def layer(self, low: int, denominator: int, divisor: int, shared: bool, entries: NDArray[Any]) -> int: ...
    def chain(self) -> None: ...
    def split(self, writes: list[int], offset: int, bits: int, inputs: NDArray[Any]) -> None: ...
    def sum(self, layer: int, writes: int, low: int, high: int, inputs: NDArray[Any], adds: NDArray[Any]) -> None: ...
    def merge(self, rotations: int, divisor: int, offset: int, inputs: NDArray[Any], adds: NDArray[Any]) -> None: ...

class ResidualBuilder:
    def __init__(self, scale: int) -> None: ...
    def step(self, upscale: int, low_bits: int) -> None: ...
    def table(self, high: bool, reflect: bool, offsets: NDArray[Any], entries: NDArray[Any]) -> None: ...

class Engine:
    def __init__(self, builder: Builder | LayerBuilder | ResidualBuilder, level: str = "") -> None: ...
    @property
    def colours(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def scale(self) -> int: ...
    def restore(self, input: NDArray[Any], output: NDArray[Any], threads: int) -> None: ...
    def planes(self, input: NDArray[Any], output: NDArray[Any], threads: int) -> None: ...

class Resampler:
    def __init__(
        self, numbers: NDArray[Any], powers: NDArray[Any], polynomial: NDArray[Any], replicate: bool, level: str = ""
    ) -> None: ...
    def grid(
        self,
        planes: NDArray[Any],
        top: NDArray[Any],
        down: NDArray[Any],
        left: NDArray[Any],
        across: NDArray[Any],
        output: NDArray[Any],
        threads: int,
    ) -> None: ...
    def points(
        self,
        planes: NDArray[Any],
        top: NDArray[Any],
        down: NDArray[Any],
        left: NDArray[Any],
        across: NDArray[Any],
        output: NDArray[Any],
        threads: int,
    ) -> None: ...
    def means(
        self,
        planes: NDArray[Any],
        top: NDArray[Any],
        down: NDArray[Any],
        left: NDArray[Any],
        across: NDArray[Any],
        out: NDArray[Any],
        threads: int,
    ) -> None: ...
    def slopes(
        self,
        planes: NDArray[Any],
        top: NDArray[Any],
        down: NDArray[Any],
        left: NDArray[Any],
        across: NDArray[Any],
        means: NDArray[Any],
        gradient: NDArray[Any],
        out: NDArray[Any],
        threads: int,
    ) -> None: ...

class Ensemble:
    def __init__(
        self,
        planes: int,
        values: int,
        upscale: int,
        rotations: int,
        rounding: int,
        reflect: bool,
        tap_bits: int,
        level: str = "",
    ) -> None: ...
    def fixed(
        self,
        plane: int,
        previous: int,
        offsets: list[tuple[int, int]],
        layout: list[int],
        turns: Sequence[int] = (),
    ) -> None: ...
    def sampled(self, plane: int, previous: int, kernel: int, layout: list[int]) -> None: ...
    def channel(self, planes: list[int], layout: list[int]) -> None: ...
    def coloured(self, planes: list[int], offsets: list[tuple[int, int]], layout: list[int]) -> None: ...
    def forward(
        self,
        planes: list[NDArray[Any]],
        tables: list[NDArray[Any]],
        weights: list[NDArray[Any] | None],
        shares: list[NDArray[Any] | None],
        out: NDArray[Any],
        threads: int,
    ) -> None: ...
    def backward(
        self,
        planes: list[NDArray[Any]],
        tables: list[NDArray[Any]],
        weights: list[NDArray[Any] | None],
        shares: list[NDArray[Any] | None],
        gradient: NDArray[Any],
        plane_gradients: list[NDArray[Any] | None],
        table_gradients: list[NDArray[Any] | None],
        weight_gradients: list[NDArray[Any] | None],
        share_gradients: list[NDArray[Any] | None],
        threads: int,
    ) -> None: ...

class EnsembleDouble(Ensemble): ...

class Sums:
    def __init__(self, reflect: bool, colours: int = 1, level: str = "") -> None: ...
    def split(self, offset: int, bits: int) -> tuple[int, int]: ...
    def sum(
        self,
        reads: int,
        taps: list[tuple[int, int]],
        dense: bool,
        channels: int,
        bounds: tuple[int, int],
        divisor: int,
        adds: list[int],
    ) -> int: ...
    def shift(self, reads: int, offsets: list[tuple[int, int]], sources: list[int]) -> int: ...
    def merge(self, reads: int, upscale: int, rotations: int) -> None: ...
    def forward(self, images: NDArray[Any], tables: list[NDArray[Any]], out: NDArray[Any], threads: int) -> None: ...
    def backward(
        self,
        images: NDArray[Any],
        tables: list[NDArray[Any]],
        slopes: list[NDArray[Any]],
        gradient: NDArray[Any],
        gradients: list[NDArray[Any]],
        threads: int,
    ) -> None: ...

def gather_patches(
    data: NDArray[Any],
    starts: NDArray[Any],
    strides: NDArray[Any],
    turns: NDArray[Any],
    out: NDArray[Any],
    threads: int,
) -> None: ...
def levels() -> list[str]: ...
