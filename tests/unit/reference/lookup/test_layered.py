"""The compiled operator of models of layers equals the reference: results to the bit, gradients to rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra._core import available, core
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.vectors import VectorLayout
from lutra.reference import lookup
from lutra.reference.convert import from_artifact
from lutra.reference.interpreter import LutModel
from lutra.reference.lookup import layered
from tests.unit.engine.layered_models import drawn

pytestmark = pytest.mark.skipif(not available(), reason="the compiled core was not built")


def random_images(seed: int, count: int, height: int, width: int, colours: int = 1) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    wide = generator.integers(0, 256, (count, colours, -(-height // 3), width)).repeat(3, axis=2)[:, :, :height]
    return torch.from_numpy(wide).to(torch.float32)


def restored(model: LutModel, images: torch.Tensor, implementation: lookup.Implementation) -> list[torch.Tensor]:
    """The model's output, and the gradient of each of its parameters."""
    model.zero_grad()
    with lookup.using(implementation):
        out = model(images)
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=out.shape)).to(out.dtype)
    if out.requires_grad:  # not where no layer reaches the output
        (out * weight).sum().backward()
    return [out.detach(), *(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters())]


def is_compiled(model: LutModel, images: torch.Tensor) -> bool:
    values = {name: function.values() for name, function in model.layers_by_name().items()}
    return layered.suits(images, model.description, values)


def assert_same(model: LutModel, images: torch.Tensor) -> None:
    (found, *gradients), (expected, *wanted) = (restored(model, images, one) for one in ("compiled", "reference"))
    assert torch.equal(found, expected)
    assert len(gradients) == len(wanted)
    for gradient, reference in zip(gradients, wanted, strict=True):
        # float32 sums of thousands of terms, in another order
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-5 * float(reference.abs().max() + 1))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.integers(1, 4),
    count=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.integers(1, 70),
    colours=st.sampled_from([1, 3]),
)
def test_any_model_of_layers(seed: int, scale: int, count: int, height: int, width: int, colours: int) -> None:
    """Those that the core does not run go through the reference, and are as equal."""
    artifact = drawn(seed, scale, colours, most_channels=24)
    whole = {
        name: replace(function, rounded=True) if isinstance(function, VectorLayout) else function
        for name, function in artifact.functions.items()
    }
    assert_same(from_artifact(replace(artifact, functions=whole)), random_images(seed, count, height, width, colours))


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize(("scale", "channels"), [(4, 16), (3, 16), (2, 24), (1, 8)])
def test_shiftlut_runs_compiled(blocks: int, scale: int, channels: int) -> None:
    description = families.describe("shiftlut", scale, {"blocks": blocks, "channels": channels})
    generator = np.random.default_rng(4)
    functions = {layer.name: VectorLayout() for _, layer in description.layers()}
    sizes = {layer.name: VectorLayout().samples(description.form(step)) for step, layer in description.layers()}
    tensors = {f"{name}.vectors": generator.integers(-90, 90, size, dtype=np.int8) for name, size in sizes.items()}
    model = from_artifact(Artifact(description, functions, tensors))
    images = random_images(5, 3, 9, 17)
    assert is_compiled(model, images)
    assert_same(model, images)


def test_threads_and_levels_change_nothing() -> None:
    model = from_artifact(drawn(11, 2))
    images, steps = random_images(6, 20, 6, 9), model.description.steps
    assert is_compiled(model, images)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(restored(model, images, "compiled"))
        for level in engine.levels():
            built = layered._build(steps, core.Sums(reflect=model.description.padding == "reflect", level=level))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(layered, "_built", lambda *_, built=built: built)
                results.append(restored(model, images, "compiled"))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))
