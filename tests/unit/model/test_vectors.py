"""Functions of layers: direct tables and vectors, their layouts, what is refused, their bytes."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.model.artifact import Artifact
from lutra.model.description import (
    LayerForm,
)
from lutra.model.vectors import Direct, Scaling, VectorLayout, function_of_layer_from_json
from tests.golden import cases


def test_direct_tables_have_direct_functions() -> None:
    model = cases.model("hklut-x3")
    assert model.table_bytes == sum(array.nbytes for array in model.tensors.values()) == 9 * (3 * 4096 + 2 * 256)
    with pytest.raises(ValueError, match="the function of table 's0_low_d' is one of a unit or a layer"):
        replace(model, functions={**model.functions, "s0_low_d": VectorLayout()})
    with pytest.raises(ValueError, match="the function of layer 'pw0' is one of a unit"):
        shift = cases.model("shiftlut-s-x4")
        replace(shift, functions={**shift.functions, "pw0": Direct()})


@given(data=st.data())
def test_vectors_expand_as_their_definition_says(data: st.DataObject) -> None:
    inputs, outputs = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    least, levels = data.draw(st.integers(-128, 0)), data.draw(st.sampled_from([4, 64]))
    form = LayerForm(inputs, outputs, (least, least + levels - 1))
    known = st.sampled_from([step for step in (1, 2, 4, 8, 16, 32, 64) if step <= levels])
    rows = [[data.draw(known) for _ in range(outputs)] for _ in range(inputs)]
    layout = VectorLayout(tuple(map(tuple, rows)), data.draw(st.booleans()))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    vectors = [
        [generator.integers(-128, 128, levels if step == 1 else levels // step + 1) for step in row] for row in rows
    ]
    samples = np.concatenate([vector for row in vectors for vector in row]).astype(np.int8)
    assert layout.samples(form) == len(samples)
    found = layout.expanded(samples, form) / layout.denominator
    for i in range(inputs):
        for o in range(outputs):
            step, vector = rows[i][o], vectors[i][o]
            expected = np.interp(np.arange(levels), step * np.arange(len(vector)), vector)
            assert np.array_equal(found[i, o], np.rint(expected) if layout.rounded else expected)


def test_ranges_store_a_position_of_all_outputs_after_the_other() -> None:
    form = LayerForm(2, 3, (-2, 2))
    layout = VectorLayout(ranges=((-3, 4), (0, 1)))
    samples = np.arange(30, dtype=np.int8)
    assert layout.samples(form) == 30
    found = layout.expanded(samples, form)
    first = samples[:24].reshape(8, 3)
    second = samples[24:].reshape(2, 3)
    assert np.array_equal(found[0], first[1:6].T)
    assert np.array_equal(found[1], second[[0, 0, 0, 1, 1]].T)  # beyond the range, the nearest stored value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "grid"}, "expected vectors, scaling or direct"),
        ({"steps": 3}, "steps of vectors are 3, expected powers of two"),
        ({"steps": 128}, "steps of vectors are 128"),
        ({"steps": True}, "expected rows of whole numbers"),
        ({"steps": []}, "steps of vectors are ()"),
        ({"steps": [[]]}, "steps of vectors are ((),)"),
        ({"steps": [[1], [1, 2]]}, "steps of vectors are"),
        ({"steps": [[1.0]]}, "expected rows of whole numbers"),
        ({"rounded": 1}, "'rounded' of vectors is 1"),
        ({"ranges": [[1]]}, "expected pairs"),
        ({"ranges": [[1, 0]]}, "ranges of vectors are ((1, 0),)"),
        ({"ranges": [[0, 5000]]}, "ranges of vectors are"),
        ({"steps": 2, "ranges": [[0, 1]]}, "expected 1, and whole levels"),
        ({"surplus": 2}, "expected vectors, scaling or direct"),
    ],
)
def test_layouts_of_vectors_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    right = json.loads(json.dumps(VectorLayout().to_json()))
    assert function_of_layer_from_json(right) == VectorLayout()
    assert function_of_layer_from_json(Scaling().to_json()) == Scaling()
    assert function_of_layer_from_json(Direct().to_json()) == Direct()
    with pytest.raises(ValueError, match=r"layer|vectors") as caught:
        function_of_layer_from_json(right | change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("pw0", VectorLayout(steps=((1,),)), "layer 'pw0' has steps of 1 x 1 vectors, expected 16 x 16"),
        ("dw0_low", VectorLayout(steps=8), "a step of 8, which 4 levels are no multiple of"),
        ("pw0", VectorLayout(ranges=((0, 1),)), "layer 'pw0' has 1 ranges, expected 16"),
        ("pw0", Scaling(), "layer 'pw0' has scales, expected them in a depthwise one of one tap"),
        ("pw0", cases.DENSE, "the function of layer 'pw0' is one of a unit"),
        ("pw0", VectorLayout(steps=2), "tensor 'pw0.vectors' is int8 (16384,), expected int8 (8448,)"),
    ],
)
def test_functions_that_do_not_fit_a_layer_are_refused(name: str, function: Any, message: str) -> None:
    model = cases.model("shiftlut-s-x4")
    with pytest.raises(ValueError, match=r"layer|tensor") as caught:
        replace(model, functions={**model.functions, name: function})
    assert message in str(caught.value)


def test_functions_of_layers_are_refused_in_units_and_scales_out_of_range() -> None:
    model = cases.model("srlut-x4")
    with pytest.raises(ValueError, match="the function of unit 's1_s' is one of a layer"):
        replace(model, functions={"s1_s": VectorLayout()})
    tiny = cases.model("tinylut-x4")
    with pytest.raises(ValueError, match=r"scale lies outside -64\.\.64"):
        replace(tiny, tensors={**tiny.tensors, "scale1_low.scales": np.full(16, 65, np.float32)})


def test_an_artifact_gives_its_vectors_and_counts_its_bytes() -> None:
    model = cases.model("tinylut-x4")
    values, denominator = model.vectors("scale1_high")
    scales = model.tensors["scale1_high.scales"]
    assert (values.shape, str(values.dtype), denominator) == ((1, 16, 64), "int32", 1)
    assert np.array_equal(values[0], np.rint(np.float32(np.arange(-32, 32)) * scales[:, None]))
    assert model.table_bytes == sum(array.nbytes for array in model.tensors.values())
    steps: Artifact = cases.model("shiftlut-steps-x4")
    values, denominator = steps.vectors("pw1")
    assert (values.shape, denominator) == ((16, 16, 64), 64)
    assert steps.vectors("dw0_low")[1] == 1 and steps.table_bytes < cases.model("shiftlut-s-x4").table_bytes
