"""Artifacts: what is saved comes back; anything else is refused with one clear line."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from lutra import engine
from lutra.model import artifact, families
from lutra.model.artifact import Artifact
from lutra.model.description import ChannelTaps, NetworkSpec
from lutra.model.layouts import DenseLayout
from lutra.reference import lookup
from lutra.reference.build import build_model
from lutra.reference.convert import from_artifact, to_artifact
from lutra.restore.restorer import Restorer
from lutra.training.tabulate import to_tables
from tests.golden import cases


def rewrite(path: Path, change: Any) -> None:
    """Apply `change` to the JSON header of a saved model."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(json.loads(file.read(size))["__metadata__"]["lutra"])
    change(header)
    save_file(load_file(path), path, {"lutra": json.dumps(header)})


@pytest.mark.parametrize("name", [*cases.CASES, *cases.LAYERED, *cases.COLOURED, *cases.COLOUR_UNITS])
def test_round_trip(name: str, tmp_path: Path) -> None:
    model = replace(cases.model(name), provenance={"data": "photos"}, metrics={"finetuned": {"Set5": {"psnr_y": 30.0}}})
    path = tmp_path / "model.safetensors"
    artifact.save(path, model)
    loaded = artifact.load(path)
    assert loaded.description == model.description
    assert loaded.functions == model.functions
    assert (loaded.provenance, loaded.metrics, loaded.task) == (model.provenance, model.metrics, "sr")
    assert all(np.array_equal(loaded.tensors[key], array) for key, array in model.tensors.items())
    first = path.read_bytes()
    artifact.save(path, loaded)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_networks_and_tables_survive_torch(family: str) -> None:
    torch.manual_seed(1)
    model = build_model(families.describe(family, 2), NetworkSpec(width=3, depth=2, linear=True))
    image = torch.randint(0, 256, (1, model.description.colours, 5, 6), dtype=torch.uint8)
    assert torch.equal(from_artifact(to_artifact(model)).restore(image), model.restore(image))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format=99), "model format is 99, expected 1"),
        (lambda h: h.update(task="magic"), "task is 'magic'"),
        (lambda h: h["description"].update(scale=0), "scale is 0, expected 1..8"),
        (lambda h: h["description"].update(scale=True), "'scale' is True, expected int"),
        (lambda h: h["description"].update(padding="mirror"), "'padding' is 'mirror'"),
        (lambda h: h["description"].pop("steps"), "'steps' is missing"),
        (lambda h: h["description"]["steps"][0]["units"][0].update(reads=["nowhere"]), "plane 'nowhere'"),
        (lambda h: h["description"]["steps"][0]["units"][0]["taps"].update(offsets=[[0, 0]] * 3), "offsets"),
        (lambda h: h["functions"].pop("s1_s"), "functions are given for"),
        (
            lambda h: h["functions"].update(s1_s={"table": {"kind": "dense", "interval": 4}}),
            "tensor 's1_s.dense' is int8",
        ),
        (lambda h: h["functions"].update(s1_s={"table": {"kind": "dense", "interval": 2}}), "interval is 2 bits"),
        (lambda h: h["functions"].update(s1_s={"table": {"kind": "dense"}}), "tensor 's1_s.dense'"),
        (lambda h: h["functions"].update(s1_s={"table": {"kind": "sparse"}}), "table layout"),
        (lambda h: h["functions"].update(s1_s={"code": "import os"}), "expected a table or a network"),
        (lambda h: h["functions"].update(s1_s={"table": {"kind": []}}), "table layout"),
        (lambda h: h["description"]["steps"][0].update(units=[7]), "'taps' is missing"),
        (lambda h: h.update(metrics=3), "'metrics' is 3"),
    ],
)
def test_a_changed_header_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "model.safetensors"
    artifact.save(path, cases.model("srlut-x4"))
    rewrite(path, change)
    with pytest.raises(ValueError, match=r"model\.safetensors: ") as caught:
        artifact.load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensors_that_do_not_belong_are_refused() -> None:
    model = cases.model("autolut-mulut-x4")
    tensors = dict(model.tensors)
    wrong: list[tuple[str, Any, str]] = [
        ("extra", np.zeros(3, np.int8), "tensor 'extra' is not part of the model"),
        ("s0_0.dense", np.zeros((5, 1), np.int8), "tensor 's0_0.dense' is int8 (5, 1), expected int8 (625, 1)"),
        ("s0_0.sampler_fixed", np.zeros((4, 9), np.int16), "must be >= 0 and sum to 16384"),
        ("s0_0.sampler", np.full((4, 9), np.nan, np.float32), "not finite"),
        ("s1_0.adarl_fixed", np.full(4, 2000, np.int16), "outside 0..1024"),
        ("s1_0.adarl", np.full(4, 0.9, np.float32), "'s1_0.adarl_fixed' differs from 's1_0.adarl' in fixed point"),
        ("s0_0.sampler", np.eye(4, 9, dtype=np.float32), "'s0_0.sampler_fixed' differs from 's0_0.sampler' in fixed"),
    ]
    for name, array, message in wrong:
        with pytest.raises(ValueError, match="tensor") as caught:
            Artifact(model.description, model.functions, tensors | {name: array})
        assert message in str(caught.value)


@pytest.mark.parametrize("difference", [0, 1, 2])
def test_integers_of_a_sampler_may_differ_by_one_from_their_real_numbers(difference: int) -> None:
    model = cases.model("autolut-mulut-x4")
    fixed = model.tensors["s0_0.sampler_fixed"].copy()
    fixed[0, fixed[0].argmax()] -= difference
    fixed[0, fixed[0].argmin()] += difference
    tensors = {**model.tensors, "s0_0.sampler_fixed": fixed}
    if difference <= 1:  # exp may be rounded otherwise on another machine
        Artifact(model.description, model.functions, tensors)
        return
    with pytest.raises(ValueError, match="differs from"):
        Artifact(model.description, model.functions, tensors)


def test_descriptions_out_of_bounds_are_refused() -> None:
    model = cases.model("autolut-mulut-x4").description
    first, last = model.unit_steps[0], model.unit_steps[-1]
    unit = last.units[0]
    for step, message in [
        (replace(last, divisor=10**5000), "found a divisor or an offset out of range, expected 1..4096"),
        (replace(last, offset=-4097), "found a divisor or an offset out of range"),
        (replace(last, units=last.units * 65), "needs 1..64 units"),
        (replace(last, writes=("output", "beside")), "returns"),
        (replace(last, units=(replace(unit, name="a.b"),)), "unit is called 'a.b'"),
        (replace(last, units=(replace(unit, name=""),)), "unit is called ''"),
        (replace(last, units=(replace(unit, name="[red]x"),)), r"unit is called '[red]x'"),
        (replace(last, units=(replace(unit, reads=("output",)),)), "reads plane 'output', which nothing wrote"),
        (replace(last, writes=first.writes), "expected new names"),
        (
            replace(last, units=(replace(unit, taps=ChannelTaps(), reads=("input",) * 4, previous="input"),)),
            "mixes a previous plane into those of one pixel",
        ),
    ]:
        with pytest.raises(ValueError, match="model description") as caught:
            replace(model, steps=(*model.steps[:-1], step))
        assert message in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="found 65 steps"):
        replace(model, steps=(*(first for _ in range(64)), last))


@pytest.mark.parametrize("name", ["keys", "training", "T_destination", "forward"])
def test_units_may_be_called_as_attributes_of_torch_are(name: str) -> None:
    described = families.describe("srlut", 2)
    (step,) = described.unit_steps
    named = replace(described, steps=(replace(step, units=(replace(step.units[0], name=name),)),))
    network = to_artifact(build_model(named, NetworkSpec("plain", 4, 1)))
    tables = to_artifact(to_tables(from_artifact(network), DenseLayout(6)))
    image = cases.image(9, 7)
    assert np.array_equal(from_artifact(tables).restore_image(image), Restorer(tables).restore(image))


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such model file"):
        artifact.load(tmp_path / "none.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"text\.safetensors: not a safetensors file"):
        artifact.load(text)
    save_file({"x": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a lutra model"):
        artifact.load(tmp_path / "other.safetensors")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 4000), byte=st.integers(0, 255), keep=st.integers(0, 14000))
def test_damaged_files_never_do_worse_than_a_value_error(tmp_path: Path, position: int, byte: int, keep: int) -> None:
    path = tmp_path / "model.safetensors"
    artifact.save(path, cases.model("srlut-x2-8bit"))
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(content[: max(1, keep % (2 * len(content)))])
    try:
        artifact.load(path)
    except ValueError as error:
        assert str(path) in str(error)


HOSTILE: list[Any] = [
    *(None, True, 0, 1, 2, 3, 4, 9, 16, 65, 257, 4097, 2**31, 2**64, -1, -(10**4000), 10**4000, 0.5, float("nan")),
    *(
        "",
        "a.b",
        "keys",
        "input",
        "output",
        "[/x]",
        "\x1b[2J",
        "a\nb",
        "\ud800",
        "x" * 5000,
        "stage1",
        "reflect",
        "exact",
    ),
    *([], [[]], ["a\nb" * 500] * 9, [1] * 5000, {}, {"a": 1}, {"\x1b" * 5000: {}}),
]
"""Values that a file may hold anywhere in what it says of itself."""


def places(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the keys that lead to each value of JSON data, from the outermost one."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from places(value, (*above, key))


def changed(header: Any, data: st.DataObject) -> Any:
    """Return a copy of JSON data in which a value is another, missing, repeated or under another name."""
    header = json.loads(json.dumps(header))
    *above, key = data.draw(st.sampled_from(list(places(header))))
    parent = header
    for one in above:
        parent = parent[one]
    way = data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "other"]))
    if way == "replace":
        parent[key] = data.draw(st.sampled_from(HOSTILE))
    elif way == "remove":
        parent.pop(key)
    elif isinstance(parent, list):
        parent += [parent[key]] * data.draw(st.sampled_from([1, 3, 70]))
    else:
        parent[data.draw(st.sampled_from(["", "a.b", "\n", "x" * 5000]))] = parent.pop(key)
    return header


def assert_one_line(error: ValueError) -> None:
    """A message tells what was found without all of it, and nothing that a terminal or a log would obey."""
    assert str(error).isprintable() and len(str(error)) < 1000, ascii(str(error))[:1500]


def networks() -> Artifact:
    torch.manual_seed(0)
    return to_artifact(build_model(families.describe("autolut", 2, {"kernel": 2}), NetworkSpec("dense", 3, 1)))


STRANGERS = {
    **{name: cases.model(name) for name in ("srlut-x2-8bit", "mulut-dfc-xy-x2", "autolut-mulut-x4", "spflut-dfc-x1")},
    **{
        name: cases.model(name)
        for name in ("shiftlut-x1", "tinylut-x2", "shiftlut-rounded-x3", "hklut-x3", "lerf-dfc-x3")
    },
    "networks": networks(),
}


@settings(
    max_examples=int(os.environ.get("LUTRA_EXAMPLES", 200)), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(name=st.sampled_from(list(STRANGERS)), data=st.data())
def test_any_header_is_refused_in_one_line_or_gives_the_same_pixels_everywhere(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    path = tmp_path / "model.safetensors"
    header = changed(artifact.header_of(STRANGERS[name]), data)
    save_file(dict(STRANGERS[name].tensors), path, {"lutra": json.dumps(header)})
    try:
        model = artifact.load(path)
        restored = Restorer(model)._run(cases.image(5, 7), 1, None)
    except ValueError as error:
        event("refused")
        assert_one_line(error)
        return
    event("ran")
    torch_model = from_artifact(model)
    for implementation in ("compiled", "reference") if model.is_tables and engine.available() else ("reference",):
        with lookup.using(implementation):
            found = torch_model.restore_image(cases.image(5, 7))
        assert found.shape == restored.shape
        assert not model.is_tables or np.array_equal(found, restored), implementation


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "x" * 5000])
def test_tensors_of_any_name_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    model = cases.model("srlut-x2-8bit")
    metadata = {"lutra": json.dumps(artifact.header_of(model))}
    save_file({**model.tensors, name: np.zeros(1, np.int8)}, path, metadata)
    with pytest.raises(ValueError, match="is not part of the model") as caught:
        artifact.load(path)
    assert_one_line(caught.value)
