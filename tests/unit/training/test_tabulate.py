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
from lutra.training.tabulate import started, stored
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
    found = stored(model, depthwise, pointwise)
    assert vectors_of(found, "dw0_low").layout == VectorLayout(1)
    for name, step in (("dw0", depthwise), ("pw0", pointwise), ("up", pointwise)):
        before, after = vectors_of(model, name).values(), vectors_of(found, name)
        assert after.layout == VectorLayout(step)
        assert torch.equal(after.values()[..., ::step], before[..., ::step])
        between = (after.values().detach()[..., step // 2] - (before[..., 0] + before[..., step]).detach() / 2).abs()
        assert float(between.max()) <= (0.5 if step > 1 else 200)


def test_storing_at_the_same_steps_again_changes_nothing() -> None:
    once = stored(from_artifact(cases.model("shiftlut-s-x4")), 4, 2)
    again = stored(once, 4, 2)
    image = torch.from_numpy(np.ascontiguousarray(cases.image(9, 7)))[None, None]
    assert torch.equal(once.restore(image), again.restore(image))
