"""The memory of a caller: liblutra takes tables, planes and working space from it, gives all of it back, and survives
its end."""

import ctypes
import gc
from collections.abc import Iterator
from threading import Lock

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.engine.plan_file import to_bytes
from lutra.restore.restorer import Restorer
from tests.golden.cases import OUTPUTS, image, model
from tests.unit.liblutra.bound import ALLOCATE, BAD_ARGUMENT, NO_MEMORY, RELEASE, Failed, Library, Memory

pytestmark = pytest.mark.xdist_group("liblutra")

GOLDEN = np.load(OUTPUTS)
NAMES = ("autolut-spflut-dfc-x2", "shiftlut-steps-x4", "hklut-x4", "lerf-dfc-x3")
"""A model of each kind of plan, and one of any size."""


class Source:
    """Memory of Python's, which fails after a number of pieces."""

    def __init__(self, most: int = 2**31) -> None:
        self.most, self.taken, self.lock = most, 0, Lock()
        self.bytes = self.peak = 0
        self.held: dict[int, tuple[int, int, ctypes.Array[ctypes.c_char]]] = {}
        self.wrong: list[object] = []
        self.c = Memory(ALLOCATE(self.allocate), RELEASE(self.release), 77)

    def allocate(self, size: int, alignment: int, context: int) -> int | None:
        with self.lock:
            self.taken += 1
            if self.taken > self.most:
                return None
            buffer = ctypes.create_string_buffer(size + alignment)
            place = -(-ctypes.addressof(buffer) // alignment) * alignment
            self.held[place] = size, alignment, buffer
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            if context != 77:
                self.wrong.append(context)
            return place

    def release(self, memory: int, size: int, alignment: int, context: int) -> None:
        with self.lock:
            self.bytes -= size
            if self.held.pop(memory)[:2] != (size, alignment) or context != 77:
                self.wrong.append((memory, size, alignment, context))


@pytest.fixture
def library(library: Library) -> Iterator[Library]:
    """The library, with its usual memory afterwards."""
    gc.collect()  # an exception of an earlier test may hold a model
    yield library
    assert library.c.lutra_set_memory(None) == 0


def use(library: Library, source: Source) -> None:
    assert library.c.lutra_set_memory(ctypes.byref(source.c)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_model_lives_in_the_callers_memory(library: Library, name: str) -> None:
    source, plan = Source(), to_bytes(model(name))
    use(library, source)
    loaded = library.load(plan)
    before = source.bytes
    assert before > 0.9 * sum(array.nbytes for array in model(name).tensors.values() if array.dtype == np.int8)
    assert np.array_equal(loaded.restore(image(9, 7), threads=2), GOLDEN[f"{name}/9x7"])
    assert source.bytes > before
    del loaded
    assert not source.held and not source.wrong


def restored(library: Library, plan: bytes, size: tuple[int, int] | None) -> NDArray[np.uint8] | None:
    """Return what a model restores; None where the memory does not suffice."""
    try:
        loaded = library.load(plan)
        return loaded.restore_to(image(9, 7), size) if size else loaded.restore(image(9, 7))
    except Failed as failed:
        assert failed.status == NO_MEMORY and str(failed) == "there is not enough memory"
        return None


@pytest.mark.parametrize(("name", "size"), [*((name, None) for name in NAMES), ("lerf-x4", (5, 13))])
def test_memory_that_ends_is_reported(library: Library, name: str, size: tuple[int, int] | None) -> None:
    """At each allocation in turn; of a size that grows along one axis and shrinks along the other, too."""
    plan = to_bytes(model(name))
    expected = Restorer(model(name)).restore(image(9, 7), size=size) if size else GOLDEN[f"{name}/9x7"]
    for most in range(10_000):
        source = Source(most)
        use(library, source)
        result = restored(library, plan, size)
        assert not source.held and not source.wrong
        if result is not None:
            assert np.array_equal(result, expected)
            assert source.taken == most > 3
            return
    pytest.fail("it never worked")


@pytest.mark.parametrize(("width", "factor"), [(30, 2.0), (10, 0.5)])
def test_memory_does_not_grow_with_the_height(library: Library, width: int, factor: float) -> None:
    """The result has any size: it grows, and it shrinks."""
    peaks = []
    for height in (2000, 6000):
        source = Source()
        use(library, source)
        library.load(to_bytes(model("lerf-x4"))).restore_to(
            np.zeros((height, 20), np.uint8), (width, int(factor * height))
        )
        peaks.append(source.peak)
        assert not source.held and not source.wrong
    assert peaks[0] == peaks[1] > 0


def test_memory_does_not_change_under_a_model(library: Library) -> None:
    loaded = library.load(to_bytes(model("srlut-x2-8bit")))
    assert library.c.lutra_set_memory(ctypes.byref(Source().c)) == BAD_ARGUMENT
    assert library.c.lutra_error() == b"the memory cannot change while a model is loaded"
    del loaded
    assert library.c.lutra_set_memory(ctypes.byref(Memory())) == BAD_ARGUMENT
    assert library.c.lutra_error() == b"a function is null"
