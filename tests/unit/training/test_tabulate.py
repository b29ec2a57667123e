"""Vectors before and after training: where they start, and at which steps they are stored."""

import numpy as np
import pytest
import torch

from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.vectors import VectorLayout
from lutra.reference.build import untrained
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from lutra.reference.layers import Vectors
from lutra.training.tabulate import started, steps_of, steps_within, stored
from tests.golden import cases


def shiftlut() -> LutModel:
    return untrained(families.describe("shiftlut", 4, {"blocks": 2}), NetworkSpec())


@pytest.mark.parametrize("level", [0, 3, 77, 130, 255])
def test_the_low_bits_add_nothing_at_the_start(level: int) -> None:
    flat = torch.full((1, 1, 5, 5), level, dtype=torch.uint8)
    high, low = divmod(level - 128, 4)
    for model, state in ((shiftlut(), min(high + low, 31)), (started(shiftlut()), high)):
        # empty vectors leave what is added: the state, which four rotations sum
        assert set(model.restore(flat).flatten().tolist()) == {128 + 4 * state}


def vectors_of(model: LutModel, name: str) -> Vectors:
    function = model.layer(name)
    assert isinstance(function, Vectors)
    return function


@pytest.mark.parametrize(("depthwise", "pointwise"), [(1, 1), (2, 4), (16, 8)])
def test_vectors_are_stored_at_the_steps_asked_for(depthwise: int, pointwise: int) -> None:
    model = from_artifact(cases.model("shiftlut-s-x4"))
    found = stored(model, steps_of(model, depthwise, pointwise))
    assert vectors_of(found, "dw0_low").layout == VectorLayout(1)
    for name, step in (("dw0", depthwise), ("pw0", pointwise), ("up", pointwise)):
        before, after = vectors_of(model, name).values(), vectors_of(found, name)
        assert after.layout == VectorLayout(step)
        assert torch.equal(after.values()[..., ::step], before[..., ::step])
        between = (after.values().detach()[..., step // 2] - (before[..., 0] + before[..., step]).detach() / 2).abs()
        assert float(between.max()) <= (0.5 if step > 1 else 200)


def test_storing_at_the_same_steps_again_changes_nothing() -> None:
    model = from_artifact(cases.model("shiftlut-s-x4"))
    once = stored(model, steps_of(model, 4, 2))
    again = stored(once, steps_of(model, 4, 2))
    image = torch.from_numpy(np.ascontiguousarray(cases.image(9, 7)))[None, None]
    assert torch.equal(once.restore(image), again.restore(image))


def bytes_of(model: LutModel) -> int:
    return sum(vectors_of(model, name).samples.numel() for name in model.layers_by_name())


def test_steps_within_some_bytes_lose_the_least() -> None:
    """The depthwise vectors are straight lines, which any step keeps; the score counts what the others lose."""
    model = from_artifact(cases.model("shiftlut-s-x4"))
    lines = vectors_of(model, "dw0")
    with torch.no_grad():
        lines.samples.view(9, 16, 64).copy_(torch.arange(-32.0, 32.0).expand(9, 16, 64))

    @torch.no_grad()
    def score(found: LutModel) -> float:
        names = ("dw0", "pw0", "up")
        apart = [(vectors_of(found, n).values() - vectors_of(model, n).values()).square().sum() for n in names]
        return -float(apart[0] + apart[1] + 10 * apart[2])

    least = steps_of(model, 1, 1)
    whole = bytes_of(model)
    assert steps_within(model, whole, score, least) == {"dw0": 1, "pw0": 1, "up": 1}
    one = steps_within(model, whole - 1, score, least)
    assert one["dw0"] > 1 and one["pw0"] == one["up"] == 1
    half = steps_within(model, whole // 2, score, least)
    assert half["pw0"] > half["up"] and bytes_of(stored(model, half)) <= whole // 2
    with pytest.raises(ValueError, match="at the largest steps take 1888 bytes, expected at most 1887"):
        steps_within(model, 1887, score, least)
    assert steps_within(model, 1888, score, least) == {"dw0": 64, "pw0": 64, "up": 64}
