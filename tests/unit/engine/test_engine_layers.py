"""The engine restores models of layers as the torch reference does, to the last bit, at every level."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra import engine
from lutra.engine.layer_plan import turned, turned_square
from lutra.imaging.images import read_image
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import Description, Layer, Merge, Split, Sum
from lutra.model.published.tables import read_tables
from lutra.model.vectors import VectorLayout
from tests.golden import cases
from tests.unit.engine.engine_models import random_image
from tests.unit.engine.layered_models import drawn, filled
from tests.unit.engine.test_equality import LEVELS, LONG, assert_equal, assert_golden

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")

NAMES = [name for name in cases.LAYERED if cases.model(name).description.is_layered]
SIZES = [(1, 1), (1, 70), (70, 1), (3, 2), (17, 67), (12, 130)]


@pytest.mark.parametrize("name", [*NAMES, *cases.COLOURED])
def test_golden_outputs(name: str) -> None:
    assert_golden(name)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", [*NAMES, *cases.COLOURED])
def test_awkward_sizes(name: str, size: tuple[int, int]) -> None:
    channels = 3 if name in cases.COLOURED else 2
    assert_equal(cases.model(name), random_image(*size, channels=channels, smooth=size[0] % 2 == 0), threads=3)


@settings(max_examples=LONG or 60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.integers(1, 4),
    height=st.integers(1, 12),
    width=st.one_of(st.integers(1, 12), st.integers(1, 200)),
    channels=st.integers(1, 4),
    threads=st.integers(1, 3),
    together=st.booleans(),
)
def test_random_models(
    seed: int, scale: int, height: int, width: int, channels: int, threads: int, together: bool
) -> None:
    channels, colours = (3, 3) if together else (channels, 1)
    image = random_image(height, width, channels, seed=seed, smooth=seed % 2 == 0)
    assert_equal(drawn(seed, scale, colours), image, threads)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_colours_that_are_restored_together_are_red_green_and_blue(channels: int) -> None:
    with pytest.raises(ValueError, match=f"has {channels} channels, expected 3"):
        engine.compile(drawn(3, 2, 3)).restore(random_image(4, 5, channels))


@pytest.mark.parametrize("blocks", [1, 3])
def test_wide_images_are_restored_in_strips(blocks: int) -> None:
    model = filled(families.describe("shiftlut", 2, {"blocks": blocks, "channels": 4}), np.random.default_rng(blocks))
    assert_equal(model, random_image(5, 1100, seed=blocks))


@pytest.mark.parametrize("divisor", range(1, 34))
@pytest.mark.parametrize("extreme", [-128, 127])
def test_extreme_sums_are_divided_and_rounded(divisor: int, extreme: int) -> None:
    """All inputs at their limits, and sums of every remainder."""
    split = Split("input", ("high", "low"))
    inputs = Sum(Layer("inputs", "pointwise", "high"), "many", 32, (-32, 31), 1)
    layer = Sum(Layer("layer", "pointwise", "many"), "out", 1, (-128, 127), divisor)
    merge = Merge("out", 1, offset=128, rotations=1)
    model = filled(Description("own", 1, (split, inputs, layer, merge)), np.random.default_rng(divisor))
    model.tensors["layer.vectors"][model.tensors["layer.vectors"] > 0] = extreme
    assert_equal(model, random_image(16, 64, seed=divisor))


def constant(name: str, value: int, adds: tuple[str, ...] = ()) -> tuple[Sum, tuple[str, int]]:
    """A sum that writes one value, and its vectors."""
    return Sum(Layer(name, "pointwise", "high"), f"{name}_out", 1, (-128, 127), adds=adds), (f"{name}.vectors", value)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("layer", [True, False])
def test_a_sum_that_leaves_a_byte_and_returns_is_exact(layer: bool, sign: int) -> None:
    """100 + 100 - 100: adding with saturation would give 27."""
    far, far_value = constant("far", 100 * sign)
    back, back_value = constant("back", -100 * sign)
    own, own_value = constant("own", 100 * sign, ("far_out", "back_out"))
    alone = Sum(None, "own_out", 1, (-128, 127), adds=("far_out", "far_out", "back_out"))
    steps = (Split("input", ("high", "low")), far, back, own if layer else alone, Merge("own_out", 1, rotations=1))
    model = filled(Description("own", 1, steps), np.random.default_rng(0))
    for name, value in [far_value, back_value] + [own_value] * layer:
        model.tensors[name][:] = value
    assert_equal(model, random_image(3, 70))
    assert engine.compile(model).restore(random_image(3, 70)).max() == (100 if sign > 0 else 0)


@pytest.mark.parametrize("spread", [9, 60, 128])
@pytest.mark.parametrize("blocks", [1, 2])
def test_windows_of_three_colours_have_quotients_beyond_a_byte(blocks: int, spread: int) -> None:
    """Sums of 27 entries wrap up to 26 times, and leave a byte even when they are divided by 9."""
    generator = np.random.default_rng(spread)
    described = families.describe("shiftlut", 1, {"colours": 3, "blocks": blocks})
    tensors, functions = {}, {}
    for step, layer in described.layers():
        form, functions[layer.name] = described.form(step), VectorLayout()
        values = generator.integers(-spread, spread, (form.inputs, form.outputs, form.levels))
        values[..., -form.levels // 4 :] = spread - 1  # of all inputs at once, for light pixels
        tensors[f"{layer.name}.vectors"] = values.astype(np.int8).ravel()
    image = random_image(21, 90, channels=3, seed=spread)
    image[:8] = 255
    assert_equal(Artifact(described, functions, tensors), image)


@pytest.mark.parametrize("channels", [4, 17, 20, 32])
@pytest.mark.parametrize("step", [1, 16])
def test_extreme_sums_of_fractions_stay_exact(channels: int, step: int) -> None:
    """Means of entries from -128 to 127, of multiples of 1 / step."""
    split = Split("input", ("high", "low"))
    inputs = Sum(Layer("inputs", "pointwise", "high"), "many", channels, (-32, 31), 1)
    layer = Sum(Layer("layer", "pointwise", "many"), "out", 4, (-128, 127), channels)
    described = Description("own", 2, (split, inputs, layer, Merge("out", 2, offset=128, rotations=1)))
    model = filled(described, np.random.default_rng(channels))
    layout = VectorLayout(step, rounded=False)
    samples = np.where(np.random.default_rng(step).random(layout.samples(described.form(layer))) < 0.5, -128, 127)
    levels = len(samples) // (channels * 4)
    samples.reshape(channels, 4, levels)[..., -1] = 127  # of all at once
    samples.reshape(channels, 4, levels)[..., 0] = -128
    firsts = np.random.default_rng(channels).integers(-128, 128, (channels, 64)).astype(np.int8)
    firsts[:, ::5], firsts[:, 1::5] = 127, -128  # all channels at an end of their bounds
    functions = {"inputs": VectorLayout(), "layer": layout}
    tensors = {"inputs.vectors": firsts.ravel(), "layer.vectors": samples.astype(np.int8)}
    assert_equal(replace(model, functions=functions, tensors=tensors), random_image(16, 64, seed=channels))


def test_threads_bands_and_buffers_change_nothing() -> None:
    model = filled(families.describe("shiftlut", 4, {"blocks": 2}), np.random.default_rng(0))
    image = random_image(64, 90, 3)
    for level in LEVELS:
        runner = engine.compile(model, level=level)
        expected = runner.restore(image, threads=1)
        for threads in (2, 3, 7):
            out = np.empty_like(expected)
            assert runner.restore(image, threads=threads, out=out) is out
            assert np.array_equal(out, expected), (level, threads)


@pytest.mark.parametrize("rotation", range(4))
def test_a_turned_offset_and_square_lie_where_rotating_the_image_puts_them(rotation: int) -> None:
    image = np.zeros((9, 9), np.uint8)
    image[(4, 4)] = 1
    offset = (1, -3)
    rotated = np.roll(np.rot90(image, rotation), offset, (0, 1))
    found = np.argwhere(np.rot90(rotated, -rotation))[0] - 4
    assert turned(offset, rotation) == tuple(found)
    square = np.arange(9).reshape(3, 3)
    assert turned_square(3, rotation) == np.rot90(square, -rotation).ravel().tolist()


SETS: dict[str, tuple[str, int, str]] = {
    "shiftlut/sr_x4_S": ("shiftlut", 4, "shiftlut/expected_sr_x4_S"),
    "shiftlut/sr_x4_L": ("shiftlut", 4, "shiftlut/expected_sr_x4_L"),
    "shiftlut/deblock_q10": ("shiftlut", 1, "shiftlut/expected_deblock_q10"),
    "tinylut": ("tinylut", 4, "tinylut/expected_x4"),
}


@pytest.mark.reference
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", SETS)
def test_published_outputs(reference: Callable[[str], Path], name: str, level: str) -> None:
    family, scale, outputs = SETS[name]
    runner = engine.compile(read_tables([reference(name)], family, scale), level=level)
    inputs = reference("shiftlut/deblock_input" if scale == 1 else "resize/uint8_x4")
    for path in sorted(reference(outputs).glob("*.png")):
        image: Any = read_image(inputs / path.name if "noise" not in path.stem else reference("noise.png"))
        image = image[..., 1] if path.stem == "noise_green" else image
        assert np.array_equal(np.squeeze(runner.restore(np.ascontiguousarray(image))), np.squeeze(read_image(path)))
