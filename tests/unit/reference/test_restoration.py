"""A model as a module of torch: what the restorer makes, on floats, in every type, wherever it is moved."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import lutra
from lutra import zoo
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.restore.modules import as_module
from lutra.restore.restorer import Restorer
from tests.golden import cases
from tests.unit.engine.layered_models import filled

MODELS = {
    "three colours": filled(families.describe("shiftlut", 2, {"colours": 3}), np.random.default_rng(0)),
    "mulut x2": cases.model("mulut-dfc-x2"),
    "lerf": cases.model("lerf-x4"),
    "of luma, x1": replace(cases.model("spflut-dfc-x1"), planes="luma"),
    "of luma, x2": replace(cases.model("mulut-dfc-x2"), planes="luma"),
}


def pixels(channels: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, np.ndarray]:
    """A batch as floats and as bytes, with every level in it."""
    levels = np.arange(256, dtype=np.uint8)
    images = np.random.default_rng(0).permutation(np.tile(levels, 2 * channels)).reshape(2, channels, 16, 16)
    return (torch.from_numpy(images).double() / 255).to(dtype), images


def same(module: torch.nn.Module, model: Artifact, channels: int, dtype: torch.dtype = torch.float32) -> bool:
    image, images = pixels(channels, dtype)
    restored, expected = module(image), Restorer(model).restore_array(images, "NCHW")
    return restored.dtype == dtype and torch.equal(restored, (torch.from_numpy(expected).double() / 255).to(dtype))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_bytes_become_what_the_restorer_makes_of_them(name: str, channels: int) -> None:
    assert same(as_module(MODELS[name]), MODELS[name], channels)


@pytest.mark.parametrize("name", zoo.models())
def test_models_of_the_zoo_become_modules(name: str) -> None:
    restorer, module = lutra.load(name), lutra.as_module(name)
    assert same(module, restorer.artifact, 3) and same(lutra.as_module(restorer), restorer.artifact, 1)
    assert (module.scale, module.task, module.options) == (restorer.scale, restorer.task, restorer.artifact.options)
    assert module.channels == (1, 3) and module.radius == restorer.artifact.description.radius
    side = module.least_side
    assert module(torch.rand(1, 3, side, side)).shape == (1, 3, side * module.scale, side * module.scale)
    assert f"{module.task} x{module.scale}" in repr(module)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("converted", [False, True])
def test_the_input_alone_decides_the_type(dtype: torch.dtype, converted: bool) -> None:
    module = as_module(MODELS["lerf"])
    if converted:
        module = module.to(dtype)
    assert {tensor.dtype for tensor in module.parameters()} == {torch.float32}
    assert same(module, MODELS["lerf"], 3, dtype)


def test_autocast_changes_nothing() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(as_module(MODELS["three colours"]), MODELS["three colours"], 3)


def test_floats_are_clipped_and_rounded_half_to_even() -> None:
    module = as_module(MODELS["mulut x2"])
    image, _ = pixels(3, torch.float64)
    noisy = image + torch.linspace(-0.49 / 255, 0.49 / 255, image.numel(), dtype=image.dtype).reshape(image.shape)
    assert torch.equal(module(noisy), module(image))
    assert torch.equal(module(image * 3 - 1), module((image * 3 - 1).clamp(0, 1)))
    halves = (torch.arange(256, dtype=torch.float64).reshape(1, 1, 16, 16) + 0.5) / 255
    exact = (halves * 255).round().clamp(0, 255) / 255
    assert torch.equal(module(halves), module(exact))


def test_gradients_are_neither_kept_nor_made() -> None:
    module = as_module(MODELS["mulut x2"])
    image = pixels(3)[0].requires_grad_()
    assert not module(image).requires_grad and not any(own.requires_grad for own in module.parameters())
    with torch.no_grad():
        plain = module(image)
    with torch.inference_mode():
        assert torch.equal(module(image), plain)


def test_a_state_is_saved_and_loaded() -> None:
    full, empty = as_module(MODELS["mulut x2"]), as_module(MODELS["mulut x2"])
    for tensor in empty.parameters():
        tensor.zero_()
    image = pixels(3)[0]
    assert not torch.equal(empty(image), full(image))
    empty.load_state_dict(full.state_dict())
    assert torch.equal(empty(image), full(image)) and torch.equal(copy.deepcopy(full)(image), full(image))


def test_tables_move_to_the_device() -> None:
    module = as_module(MODELS["mulut x2"]).to("meta")
    assert {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]} == {"meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_makes_the_same_bytes(name: str) -> None:
    image, images = pixels(3)
    expected = Restorer(MODELS[name]).restore_array(images, "NCHW")
    restored = as_module(MODELS[name]).cuda()(image.cuda())
    assert torch.equal(restored.cpu(), torch.from_numpy(expected) / 255)


@pytest.mark.parametrize(
    "image", [torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, 4), torch.zeros(1, 3, 4, 4).int(), torch.zeros(0, 3, 4, 4)]
)
def test_other_inputs_are_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"image is .* expected floats 0\.\.1 \(N, 1 or 3, H, W\), not empty"):
        as_module(MODELS["lerf"])(image)
