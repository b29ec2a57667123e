"""Models of layers and of direct tables restore as the papers define it; colours, rotations and gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import Description, Layer, Merge, Shift, Split, Sum
from lutra.model.forms import Function
from lutra.model.vectors import Direct, Scaling, VectorLayout
from lutra.reference.build import build_model
from lutra.reference.convert import from_artifact, to_artifact
from lutra.reference.layers import Scales, Vectors
from lutra.restore.restorer import Restorer
from tests.golden import cases
from tests.unit.reference import papers

STEPS = (1, 2, 4, 8, 16, 32, 64)


def filled(description: Description, generator: np.random.Generator, *, rounded: bool, steps: bool) -> Artifact:
    """A model of that description: random vectors, at random steps if `steps`, and random scales."""
    functions: dict[str, Function] = {}
    tensors: dict[str, Any] = {}
    for step, layer in description.layers():
        form = description.form(step)
        if layer.name.startswith("scale"):
            functions[layer.name] = Scaling()
            tensors[f"{layer.name}.scales"] = generator.uniform(-0.2, 1.6, form.outputs).astype(np.float32)
            continue
        layout = VectorLayout(1, rounded)
        if steps and form.levels == 64:
            drawn = generator.choice(STEPS, (form.inputs, form.outputs))
            layout = VectorLayout(tuple(tuple(map(int, row)) for row in drawn), rounded)
        functions[layer.name] = layout
        wide = generator.random() < 0.3  # else sums would hardly clip less than always
        values = generator.integers(-128, 128, layout.samples(form)) // (1 if wide else 6)
        tensors[f"{layer.name}.vectors"] = values.astype(np.int8)
    return Artifact(description, functions, tensors)


def vectors_of(model: Artifact) -> dict[str, papers.Vectors]:
    """The stored samples, cut into vectors."""
    found: dict[str, papers.Vectors] = {}
    for step, layer in model.description.layers():
        layout, form = model.functions[layer.name], model.description.form(step)
        if not isinstance(layout, VectorLayout):
            continue
        stored, rows = list(model.tensors[f"{layer.name}.vectors"]), []
        for i in range(form.inputs):
            row = []
            for o in range(form.outputs):
                s = layout.steps if isinstance(layout.steps, int) else layout.steps[i][o]
                count = form.levels if s == 1 else form.levels // s + 1
                row.append(papers.Vector(stored[:count], s, layout.rounded))
                del stored[:count]
            rows.append(row)
        assert not stored
        found[layer.name] = rows
    return found


def smooth(generator: np.random.Generator, height: int, width: int) -> Any:
    """Noise, or levels near one another."""
    spread = int(generator.choice([3, 40, 255]))
    return (generator.integers(0, 256) + generator.integers(-spread, spread + 1, (height, width))).clip(0, 255)


@settings(max_examples=40, deadline=None)
@given(
    scale=st.integers(1, 4),
    blocks=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 4, 9, 16]),
    rounded=st.booleans(),
    steps=st.booleans(),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_shiftlut_is_that_of_the_paper(
    scale: int, blocks: int, channels: int, rounded: bool, steps: bool, size: tuple[int, int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    offsets = generator.integers(-6, 7, (blocks, channels, 2)).tolist()
    described = families.describe("shiftlut", scale, {"blocks": blocks, "channels": channels, "offsets": offsets})
    model = filled(described, generator, rounded=rounded, steps=steps)
    image = smooth(generator, *size).astype(np.uint8)
    expected = papers.shiftlut(image, vectors_of(model), offsets, scale)
    assert np.array_equal(from_artifact(model).restore_image(image), expected)


@settings(max_examples=25, deadline=None)
@given(scale=st.integers(1, 4), size=st.tuples(st.integers(3, 9), st.integers(3, 9)), seed=st.integers(0, 2**32 - 1))
def test_tinylut_is_that_of_the_paper(scale: int, size: tuple[int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    model = filled(families.describe("tinylut", scale), generator, rounded=True, steps=False)
    scales = {name.removesuffix(".scales"): array for name, array in model.tensors.items() if name.endswith(".scales")}
    image = smooth(generator, *size).astype(np.uint8)
    expected = papers.tinylut(image, vectors_of(model), scales, scale)
    assert np.array_equal(from_artifact(model).restore_image(image), expected)


@settings(max_examples=30, deadline=None)
@given(scale=st.integers(1, 4), size=st.tuples(st.integers(3, 9), st.integers(3, 9)), seed=st.integers(0, 2**32 - 1))
def test_hklut_is_that_of_the_paper(scale: int, size: tuple[int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    described = families.describe("hklut", scale)
    spread = int(generator.choice([3, 30, 127]))
    tensors, factors = {}, {3: (3,), 4: (2, 2), 1: (1,), 2: (2,)}[scale]
    for step, table in described.direct_tables():
        shape = (step.entries(table), step.upscale**2)
        tensors[f"{table.name}.direct"] = generator.integers(-spread - 1, spread + 1, shape).astype(np.int8)
    model = from_artifact(Artifact(described, {name[:-7]: Direct() for name in tensors}, tensors))
    image = smooth(generator, *size).astype(np.uint8)
    tables = {name[:-7]: array.reshape(len(array), factors[0], factors[0]) for name, array in tensors.items()}
    state = papers.hklut(image, tables, factors) * np.float32(255)
    assert np.array_equal(model(torch.from_numpy(image)[None, None].float())[0, 0].detach().numpy(), state)
    assert np.array_equal(model.restore_image(image), np.rint(state))


def test_every_entry_of_a_direct_table_that_is_read_gets_a_gradient() -> None:
    model = from_artifact(cases.model("hklut-x4"))
    model(torch.full((1, 1, 6, 7), 100.0)).mean().backward()
    for name, table in model.direct_by_name().items():
        assert table.values.grad is not None and table.values.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", cases.LAYERED)
def test_models_of_layers_survive_torch(name: str) -> None:
    model = cases.model(name)
    again = to_artifact(from_artifact(model))
    assert (again.description, again.functions) == (model.description, dict(model.functions))
    assert set(again.tensors) == set(model.tensors)
    assert all(np.array_equal(again.tensors[key], array) for key, array in model.tensors.items())


@pytest.mark.parametrize("name", cases.LAYERED)
def test_torch_and_artifact_give_the_same_values_of_vectors(name: str) -> None:
    model = cases.model(name)
    for layer, function in from_artifact(model).layers_by_name().items():
        numerators, denominator = model.vectors(layer)
        assert np.array_equal(function.values().detach().numpy(), numerators / denominator)


def test_colours_are_restored_one_by_one() -> None:
    model = cases.model("shiftlut-s-x4")
    image = np.stack([cases.image(6, 5), cases.image(6, 5)[::-1], cases.image(6, 5)[:, ::-1]], axis=-1)
    restorer = Restorer(model)
    restored = restorer.restore(image)
    assert restored.shape == (24, 20, 3)
    for channel in range(3):
        assert np.array_equal(restored[..., channel], from_artifact(model).restore_image(image[..., channel]))


@pytest.mark.parametrize("family", ["shiftlut", "tinylut"])
def test_rotating_the_image_rotates_the_result_of_a_model_of_layers(family: str) -> None:
    generator = np.random.default_rng(3)
    model = from_artifact(filled(families.describe(family, 3), generator, rounded=True, steps=False))
    image = generator.integers(0, 256, (7, 9), dtype=np.uint8)
    assert np.array_equal(model.restore_image(np.rot90(image)), np.rot90(model.restore_image(image)))


@pytest.mark.parametrize("family", ["shiftlut", "tinylut"])
def test_a_new_model_of_layers_changes_no_image_whose_size_stays(family: str) -> None:
    model = build_model(families.describe(family, 1), families.network_spec(family))
    assert np.array_equal(model.restore_image(cases.image(5, 6)), cases.image(5, 6))


def test_every_function_of_layers_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = from_artifact(filled(families.describe("tinylut", 2), np.random.default_rng(0), rounded=True, steps=False))
    image = torch.randint(0, 256, (2, 1, 7, 8)).float()
    model(image).square().mean().backward()
    for name, function in model.layers_by_name().items():
        parameter = function.samples if isinstance(function, Vectors) else function.scales
        assert isinstance(function, Vectors | Scales)
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_gradient_of_a_vector_goes_to_its_samples_by_their_shares_and_its_slope_to_the_plane() -> None:
    split = Split("input", ("high", "low"))
    own = Sum(Layer("own", "pointwise", "high"), "own", 1, (-128, 127))
    after = Sum(Layer("after", "pointwise", "own2"), "last", 1, (-128, 127))
    middle = Sum(None, "own2", 1, (-32, 31), adds=("own",))
    described = Description("own", 1, (split, own, middle, after, Merge("last", 1, rotations=1)))
    model = build_model(described, families.network_spec("shiftlut"))
    first, second = model.layer("own"), model.layer("after")
    assert isinstance(first, Vectors) and isinstance(second, Vectors)
    second.samples.data = torch.arange(64.0).square() / 64
    model(torch.full((1, 1, 1, 1), 128 + 4 * 5.0)).sum().backward()
    assert first.samples.grad is not None and second.samples.grad is not None
    assert second.samples.grad.nonzero().flatten().tolist() == [32]
    rounded = (torch.arange(64.0).square() / 64).round()
    assert first.samples.grad.nonzero().flatten().tolist() == [32 + 5]
    assert first.samples.grad[37] == (rounded[33] - rounded[31]) / 2


def test_a_shift_moves_what_the_border_repeats() -> None:
    split = Split("input", ("high", "low"), offset=0)
    moved = Shift("high", "moved", ((1, -2),))
    model = build_model(
        Description("own", 1, (split, moved, Merge("moved", 1, rotations=1))), families.network_spec("srlut")
    )
    image = np.arange(12, dtype=np.uint8).reshape(3, 4) * 4
    rows, columns = np.clip(np.arange(3) + 1, 0, 2), np.clip(np.arange(4) - 2, 0, 3)
    assert np.array_equal(model.restore_image(image), (image // 4)[np.ix_(rows, columns)])
