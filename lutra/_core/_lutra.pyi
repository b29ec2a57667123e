from typing import Any

from numpy.typing import NDArray

class Builder:
    def __init__(self, planes: int, scale: int, reflect: bool, rounding: int, tap_bits: int) -> None: ...
    def step(self, writes: list[int], divisor: int, offset: int, upscale: int, rotations: int) -> None: ...
    def fixed(
        self,
        plane: int,
        previous: int,
        shares: list[int],
        offsets: list[tuple[int, int]],
        layout: list[int],
        table: NDArray[Any],
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
    def channel(self, planes: list[int], layout: list[int], table: NDArray[Any]) -> None: ...

class Engine:
    def __init__(self, builder: Builder, level: str = "") -> None: ...
    @property
    def level(self) -> str: ...
    @property
    def scale(self) -> int: ...
    def restore(self, input: NDArray[Any], output: NDArray[Any], threads: int) -> None: ...

def levels() -> list[str]: ...
