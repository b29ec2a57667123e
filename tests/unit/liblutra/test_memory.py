"""The memory of a caller: liblutra takes tables, planes and working space from it, gives all of it back, and survives
its end."""

import ctypes
from collections.abc import Iterator
from threading import Lock

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.engine.plan_file import to_bytes
from tests.golden.cases import OUTPUTS, image, model
from tests.unit.liblutra.bound import ALLOCATE, BAD_ARGUMENT, NO_MEMORY, RELEASE, Failed, Library, Memory

pytestmark = pytest.mark.xdist_group("liblutra")

GOLDEN = np.load(OUTPUTS)
NAMES = ("autolut-spflut-dfc-x2", "shiftlut-steps-x4", "hklut-x4")
"""A model of each kind of plan."""


class Source:
    """Memory of Python's, which fails after a number of pieces."""

    def __init__(self, most: int = 2**31) -> None:
        self.most, self.taken, self.lock = most, 0, Lock()
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
            if context != 77:
                self.wrong.append(context)
            return place

    def release(self, memory: int, size: int, alignment: int, context: int) -> None:
        with self.lock:
            if self.held.pop(memory)[:2] != (size, alignment) or context != 77:
                self.wrong.append((memory, size, alignment, context))

    @property
    def bytes(self) -> int:
        return sum(size for size, _, _ in self.held.values())


@pytest.fixture
def library(library: Library) -> Iterator[Library]:
    """The library, with its usual memory afterwards."""
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


def restored(library: Library, plan: bytes) -> NDArray[np.uint8] | None:
    """Return what a model restores; None where the memory does not suffice."""
    try:
        return library.load(plan).restore(image(9, 7))
    except Failed as failed:
        assert failed.status == NO_MEMORY and str(failed) == "there is not enough memory"
        return None


@pytest.mark.parametrize("name", NAMES)
def test_memory_that_ends_is_reported(library: Library, name: str) -> None:
    """At each allocation in turn."""
    plan = to_bytes(model(name))
    for most in range(10_000):
        source = Source(most)
        use(library, source)
        result = restored(library, plan)
        assert not source.held and not source.wrong
        if result is not None:
            assert np.array_equal(result, GOLDEN[f"{name}/9x7"])
            assert source.taken == most > 3
            return
    pytest.fail("it never worked")


def test_memory_does_not_change_under_a_model(library: Library) -> None:
    loaded = library.load(to_bytes(model("srlut-x2-8bit")))
    assert library.c.lutra_set_memory(ctypes.byref(Source().c)) == BAD_ARGUMENT
    assert library.c.lutra_error() == b"the memory cannot change while a model is loaded"
    del loaded
    assert library.c.lutra_set_memory(ctypes.byref(Memory())) == BAD_ARGUMENT
    assert library.c.lutra_error() == b"a function is null"
