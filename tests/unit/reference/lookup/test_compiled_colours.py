"""Units with taps of several colours and tables of three axes as the compiled core runs them in training."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lutra.model.description import ColourTaps, Padding, Rounding, Step, Unit
from lutra.model.layouts import DenseLayout
from lutra.reference.lookup import compiled, lookup, using
from tests.unit.engine.engine_models import random_image
from tests.unit.reference.lookup.test_compiled import check_compiled, model_of, run


def pixels(count: int, height: int, width: int, seed: int) -> Tensor:
    """A batch of images of three colours."""
    images = random_image(count * height, width, 3, seed=seed).reshape(count, height, width, 3)
    return torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(
    interval=st.integers(4, 7),
    scale=st.integers(1, 2),
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 80)),
    rounding=st.sampled_from(["exact", "lookup", "branch"]),
    padding=st.sampled_from(["replicate", "reflect"]),
    seed=st.integers(0, 9),
)
def test_dnlut_gives_what_the_reference_gives(
    interval: int, scale: int, size: tuple[int, int, int], rounding: Rounding, padding: Padding, seed: int
) -> None:
    model = model_of("dnlut", scale, {}, DenseLayout(interval), rounding=rounding, padding=padding, seed=seed)
    image = pixels(*size, seed)
    check_compiled(model, image)


def test_a_model_is_run_by_the_core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("dnlut", 1, {}, DenseLayout(6))

    def refuse(*arguments: Any) -> None:
        raise AssertionError("a step went through torch")

    monkeypatch.setattr(type(model), "_reference_sum", refuse)
    with using("compiled"):
        model(pixels(1, 4, 4, 0))


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(threads: int) -> None:
    model, image = model_of("dnlut", 1, {}, DenseLayout(5)), pixels(4, 9, 20, 1)
    before = torch.get_num_threads()
    results = []
    for count in (1, threads):
        torch.set_num_threads(count)
        restored, gradients = run(model, image, "compiled")
        results.append([restored, *gradients])
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("values", [1, 4])
def test_gradients_of_tables_of_three_axes_are_those_of_finite_differences(values: int) -> None:
    generator = torch.Generator().manual_seed(1)
    layout = DenseLayout(7, axes=3)
    taps = 5 + torch.rand(6, 3, generator=generator, dtype=torch.float64) * 40  # within a cell
    table = torch.randn(layout.entries, values, generator=generator, dtype=torch.float64)
    with using("compiled"):
        assert torch.autograd.gradcheck(
            lambda taps, table: lookup(taps, table, layout), (taps.requires_grad_(), table.requires_grad_())
        )


@pytest.mark.parametrize("count", [3, 4], ids=["three taps", "four taps"])
def test_gradients_of_a_step_are_those_of_finite_differences(count: int) -> None:
    taps = ColourTaps(((0, 0), (0, 1), (1, 1), (1, 0))[:count], (0, 1, 2, 1)[:count])
    step = Step((Unit("u", ("x",), taps, 1),), ("y",), divisor=4)
    layout = DenseLayout(7, axes=count)
    plan = compiled.plan_of(step, (layout,), "exact", "reflect", None, colour=1)
    generator = torch.Generator().manual_seed(2)
    planes = [5 + torch.rand(2, 3, 4, generator=generator, dtype=torch.float64) * 100 for _ in range(3)]
    table = torch.randn(layout.entries, 1, generator=generator, dtype=torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (*planes, table)]
    assert torch.autograd.gradcheck(
        lambda *given: compiled.ensemble(list(given[:3]), [given[3]], [], [], plan), inputs, eps=1e-5
    )
