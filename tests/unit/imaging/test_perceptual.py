"""LPIPS: what the package is given, and what a user without it is told. Its own numbers are not tested here."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lutra.imaging.perceptual import lpips_measure

torch = pytest.importorskip("torch")


def test_images_become_tensors_within_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Network:
        def __init__(self, **options: Any) -> None:
            given.append(options)

        def eval(self) -> "Network":
            return self

        def __call__(self, first: Any, second: Any) -> Any:
            given.extend([first, second])
            return (first - second).abs().mean().reshape(1, 1, 1, 1)

    module = ModuleType("lpips")
    module.__dict__["LPIPS"] = Network
    monkeypatch.setitem(sys.modules, "lpips", module)
    white, black = np.full((9, 7), 255, np.uint8), np.zeros((9, 7), np.uint8)
    assert lpips_measure()(white, black) == 2
    options, first, second = given
    assert options == {"net": "alex", "verbose": False}
    assert first.shape == second.shape == (1, 3, 9, 7) and first.min() == 1 and second.max() == -1


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ValueError, match=r"LPIPS: package lpips is not installed: run `pip install .*\[lpips\]'`"):
        lpips_measure()
