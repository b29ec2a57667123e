"""Patches: compiled and plain give the same, and nothing beyond the data is read."""

from typing import Any

import numpy as np
import pytest

from lutra.training import patches

DATA = np.arange(200, dtype=np.uint8)
both = pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.skipif(
    not patches.COMPILED, reason="the compiled core was not built")), False])  # fmt: skip


def gather(monkeypatch: pytest.MonkeyPatch, compiled: bool, starts: Any, strides: Any, turns: Any, side: int) -> Any:
    monkeypatch.setattr(patches, "COMPILED", compiled)
    first, down, ways = (np.array(numbers, np.int64) for numbers in (starts, strides, turns))
    return patches.cut(DATA, first, down, ways, side)


@both
def test_every_turn_is_as_said(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    found = gather(monkeypatch, compiled, [23] * 8, [20] * 8, range(8), 3)
    window = DATA.reshape(10, 20)[1:4, 3:6]
    for turn in range(8):
        expected = window[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
        assert np.array_equal(found[turn], expected.T if turn & 4 else expected)


@both
@pytest.mark.parametrize(("start", "stride", "side"), [(-1, 20, 3), (159, 20, 3), (0, 20, 20), (200, 1, 1)])
def test_patches_beyond_the_data_are_refused(
    monkeypatch: pytest.MonkeyPatch, compiled: bool, start: int, stride: int, side: int
) -> None:
    with pytest.raises(ValueError, match="a patch lies beyond the data"):
        gather(monkeypatch, compiled, [start], [stride], [0], side)
    assert gather(monkeypatch, compiled, [157], [20], [7], 3).shape == (1, 3, 3)
