"""The compiled lookups against the reference: values equal, gradients too, whatever the step, the size, the threads."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lutra._core import available
from lutra.model.description import Padding, Rounding
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference import lookup
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from lutra.reference.lookup import compiled
from lutra.reference.units import Table
from tests.unit.engine.engine_models import random_image, random_model

pytestmark = [
    pytest.mark.skipif(not available(), reason="the compiled core was not built"),
    pytest.mark.usefixtures("two_threads"),
]

LAYOUTS: list[Layout] = [
    DenseLayout(4),
    DenseLayout(6),
    DiagonalLayout(),
    DiagonalLayout(5, 1, 6, "xyz"),
    DiagonalLayout(5, 2, 7, "xy"),
]
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("srlut", {}),
    ("mulut", {}),
    ("mulut", {"patterns": "eo", "stages": 1}),
    ("spflut", {"patterns": "s"}),
    ("autolut", {"base": "mulut", "branches": 2, "kernel": 3}),
    ("autolut", {"base": "spflut", "kernel": 3}),
]
layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join(map(str, layout.numbers())))


def model_of(family: str, scale: int, options: dict[str, Any], layout: Layout, **changes: Any) -> LutModel:
    return from_artifact(random_model(family, scale, options, layout, **changes))


def run(model: LutModel, image: Tensor, implementation: lookup.Implementation) -> tuple[Tensor, list[Tensor]]:
    """The restored planes and the gradients of a loss, of the image first."""
    image = image.clone().requires_grad_()
    with lookup.using(implementation):
        restored = model(image)
        weight = torch.linspace(-1, 1, restored.numel(), dtype=restored.dtype).reshape(restored.shape)
        gradients = torch.autograd.grad((restored * weight).sum(), [image, *model.parameters()], allow_unused=True)
    return restored, [torch.zeros(1) if one is None else one for one in gradients]


def check_compiled(model: LutModel, image: Tensor) -> None:
    """The core gives what the reference gives, and its gradients in double precision."""
    assert torch.equal(run(model, image, "compiled")[0], run(model, image, "reference")[0])
    # Gradients are the same terms in another order, and may nearly cancel out: in double precision.
    model, image = model.double(), image.double()
    expected, expected_gradients = run(model, image, "reference")
    found, gradients = run(model, image, "compiled")
    assert torch.equal(found, expected)
    for one, other in zip(gradients, expected_gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    layout=st.sampled_from(LAYOUTS),
    scale=st.integers(1, 4),
    size=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 140)),
    rounding=st.sampled_from(["exact", "lookup", "branch"]),
    padding=st.sampled_from(["replicate", "reflect"]),
    smooth=st.booleans(),
    seed=st.integers(0, 9),
)
def test_models_give_what_the_reference_gives(
    family: tuple[str, dict[str, Any]],
    layout: Layout,
    scale: int,
    size: tuple[int, int, int],
    rounding: Rounding,
    padding: Padding,
    smooth: bool,
    seed: int,
) -> None:
    model = model_of(family[0], scale, family[1], layout, rounding=rounding, padding=padding, seed=seed)
    count, height, width = size
    pixels = random_image(count * height, width, 1, seed=seed, smooth=smooth).reshape(count, 1, height, width)
    image = torch.from_numpy(pixels.astype(np.float32))
    check_compiled(model, image)


@layouts
def test_lookups_at_any_points(layout: Layout) -> None:
    generator = torch.Generator().manual_seed(0)
    near = torch.rand(500, 1, generator=generator) * 255 + torch.randn(500, 4, generator=generator) * 12
    spread = torch.rand(500, 4, generator=generator) * 256
    corners = torch.tensor([0.0, 255, 256])[torch.randint(3, (50, 4), generator=generator)]
    taps = torch.cat([near.clamp(0, 255), spread, corners]).double()
    table = torch.randn(layout.entries, 3, generator=generator, dtype=torch.float64)
    found = {}
    for name in ("reference", "compiled"):
        with lookup.using(name):
            points, values = taps.clone().requires_grad_(), table.clone().requires_grad_()
            result = lookup.lookup(points, values, layout)
            found[name] = (result, *torch.autograd.grad((result * result.detach().cos()).sum(), (points, values)))
    for one, other in zip(*found.values(), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", [DenseLayout(7), DiagonalLayout(6, 1, 7)], ids=["dense", "diagonal"])
@pytest.mark.parametrize("values", [1, 2, 16])
def test_gradients_are_those_of_finite_differences(layout: Layout, values: int) -> None:
    generator = torch.Generator().manual_seed(1)
    taps = 5 + torch.rand(6, 4, generator=generator, dtype=torch.float64) * 40  # within a cell
    table = torch.randn(layout.entries, values, generator=generator, dtype=torch.float64)
    with lookup.using("compiled"):
        assert torch.autograd.gradcheck(
            lambda taps, table: lookup.lookup(taps, table, layout), (taps.requires_grad_(), table.requires_grad_())
        )


def test_threads_change_nothing() -> None:
    model = model_of("autolut", 4, {"base": "spflut", "kernel": 3}, DiagonalLayout())
    image = torch.from_numpy(random_image(5 * 20, 50, 1).reshape(5, 1, 20, 50).astype(np.float32))
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        restored, gradients = run(model, image, "compiled")
        results.append([restored, *gradients])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: "-".join([family[0], *map(str, family[1].values())]))
@pytest.mark.parametrize("size", [(5, 6, 50), (1, 37, 20)], ids=["batch", "image"])
@pytest.mark.parametrize("layout", [DenseLayout(5), DiagonalLayout()], ids=["dense", "diagonal"])
def test_gradients_are_the_same_however_the_work_is_cut(
    family: tuple[str, dict[str, Any]], size: tuple[int, int, int], layout: Layout
) -> None:
    """Up to 40 threads: tables are cut into ranges of rows, and images into bands of rows, of which others reach in."""
    model = model_of(family[0], 2, family[1], layout, padding="reflect")
    count, height, width = size
    pixels = random_image(count * height, width, 1, smooth=True).reshape(count, 1, height, width)
    image = torch.from_numpy(pixels.astype(np.float32))
    torch.set_num_threads(1)
    expected, expected_gradients = run(model, image, "compiled")
    for threads in (2, 3, 8, 40):
        torch.set_num_threads(threads)
        found, gradients = run(model, image, "compiled")
        assert torch.equal(found, expected)
        assert all(torch.equal(a, b) for a, b in zip(gradients, expected_gradients, strict=True)), threads


@pytest.mark.parametrize("batch", [2, 32])
@pytest.mark.parametrize("threads", [1, 2, 8, 16, 64])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: "-".join([family[0], *map(str, family[1].values())]))
def test_every_step_has_a_task_for_every_thread(family: tuple[str, dict[str, Any]], threads: int, batch: int) -> None:
    """Tasks of a backward pass: for each unit parts x ranges of its table, and images x bands for its planes."""
    model = model_of(family[0], 4, family[1], DenseLayout(4))
    for number, step in enumerate(model.description.unit_steps):
        built, _, _ = compiled._built(model._plan(number, None), torch.float32)
        parts, ranges, bands = built.cut(batch, 48, number > 0, threads)
        units = len(step.units)
        assert units * parts * ranges >= threads
        assert ranges > 1 or units * parts >= threads  # not cut further than the threads need
        assert ranges == 1 or units * batch * bands >= min(threads, units * batch * 3)


def test_parts_that_lie_side_by_side_keep_out_of_each_other() -> None:
    """Rows are no multiple of a vector: what a thread writes beyond its own last one would get lost now and then."""
    model = model_of("autolut", 1, {"base": "spflut", "kernel": 3}, DiagonalLayout())
    image = torch.from_numpy(random_image(64 * 2, 3, 1).reshape(64, 1, 2, 3).astype(np.float32))
    torch.set_num_threads(1)
    _, expected = run(model, image, "compiled")
    torch.set_num_threads(4)
    for _ in range(30):
        _, gradients = run(model, image, "compiled")
        assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


@pytest.mark.parametrize("level", ["portable", "avx2", "avx512"])
@layouts
def test_levels_agree(level: str, layout: Layout) -> None:
    from lutra import engine

    if level not in engine.levels():
        pytest.skip(f"this processor has no {level}")
    model = model_of("mulut", 4, {"stages": 1}, layout)
    step = model.description.steps[0]
    plane = torch.from_numpy(random_image(30, 70, 1, smooth=True)[None, :, :, 0].astype(np.float32)).requires_grad_()
    tables = [unit.function.values for unit in model.lut_units() if isinstance(unit.function, Table)]
    found = []
    for one in ("portable", level):
        plan = compiled.plan_of(step, (layout,) * 3, "lookup", "replicate", None, one)
        result = compiled.ensemble([plane], tables, [], [], plan)
        found.append([result, *torch.autograd.grad(result.square().sum(), [plane, *tables])])
    assert torch.equal(found[0][0], found[1][0])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-2)  # sums of squares, in single precision


def test_the_operator_is_one_of_torchs() -> None:
    layout = DenseLayout(7)
    table = torch.randn(layout.entries, 2, requires_grad=True)
    planes = [(torch.rand(1, 2, 64) * 255).requires_grad_() for _ in range(4)]
    plan = compiled.points_plan(layout, 2)
    torch.library.opcheck(compiled.ensemble, (planes, [table], [], [], plan))


def test_autocast_and_compiled_graphs_run_it() -> None:
    model = model_of("mulut", 2, {}, DenseLayout(6))
    image = torch.from_numpy(random_image(16, 16, 1).reshape(1, 1, 16, 16).astype(np.float32))
    expected, expected_gradients = run(model, image, "reference")
    with torch.autocast("cpu", torch.bfloat16):
        found, gradients = run(model, image, "compiled")
    assert torch.equal(found, expected)
    assert torch.allclose(gradients[1], expected_gradients[1], rtol=1e-4, atol=1e-3)
    graph = torch.compile(model, backend="aot_eager", fullgraph=True)
    with lookup.using("compiled"):
        assert torch.equal(graph(image), expected)


def test_tables_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"table of shape \(5, 1\), expected \(16, values\)"):
        lookup.lookup(torch.zeros(3, 4), torch.zeros(5, 1), DenseLayout(8))


NUMBERS = st.one_of(st.integers(-2, 20), st.integers(-(2**40), 2**40))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_plan_crashes_the_core(data: st.DataObject) -> None:
    """Whatever the numbers, the core computes or raises."""
    from lutra._core import _lutra as core

    def some(*shape: int) -> Any:
        return np.zeros(shape, np.float32)

    try:
        numbers: list[Any] = [*(data.draw(NUMBERS) for _ in range(5)), data.draw(st.booleans()), data.draw(NUMBERS)]
        built = core.Ensemble(*numbers)
        kind = data.draw(st.sampled_from(["fixed", "sampled", "channel"]))
        layout = data.draw(st.sampled_from([[8, 0, 0, 0], [7, 8, 1, 3], [7, 8, 1, 1], [0, 9, -1, 7]]))
        if kind == "fixed":
            built.fixed(data.draw(NUMBERS), data.draw(NUMBERS), [(data.draw(NUMBERS), 1)] * 4, layout)
        elif kind == "sampled":
            built.sampled(data.draw(NUMBERS), data.draw(NUMBERS), data.draw(NUMBERS), layout)
        else:
            built.channel([data.draw(NUMBERS)] * 4, layout)
        planes = [some(*data.draw(st.tuples(*[st.integers(0, 3)] * 3))) for _ in range(data.draw(st.integers(0, 3)))]
        tables = [some(data.draw(st.sampled_from([16, 81, 22])), data.draw(st.integers(1, 4)))]
        weights = [data.draw(st.sampled_from([None, some(4, 9)]))]
        out = some(*planes[0].shape, tables[0].shape[1]) if planes else some(1, 1, 1, 1)
        built.forward(planes, tables, weights, [None], out, data.draw(NUMBERS))
        built.backward(planes, tables, weights, [None], out, [], [some(16, 1)], [], [], 2)
    except (ValueError, TypeError):
        pass
