"""Models of layers as plain data: descriptions, the storage of vectors, what is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lutra.model import families
from lutra.model.description import (
    Description,
    DirectTable,
    Layer,
    LayerForm,
    Merge,
    Plane,
    Residual,
    Shift,
    Split,
    Step,
    Sum,
)
from lutra.model.parsing import description_from_json

SIX: tuple[int, int] = (-32, 31)


SPLIT = Split("input", ("high", "low"))


MERGE = Merge("high", 1)


MANY = Shift("high", "many", ((0, 0),) * 5, (0,) * 5)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("shiftlut", {}),
        ("shiftlut", {"blocks": 8}),
        ("shiftlut", {"channels": 2, "offsets": [[[0, 1], [-3, 2]]]}),
        ("shiftlut", {"blocks": 2, "channels": 5, "colours": 3}),
        ("tinylut", {}),
        ("hklut", {}),
        ("lerf", {}),
        ("lerf", {"patterns": "ys", "border": "zero"}),
    ],
)
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_descriptions_survive_json_and_their_own_options(family: str, options: dict[str, Any], scale: int) -> None:
    described = families.describe(family, scale, options)
    assert description_from_json(json.loads(json.dumps(described.to_json()))) == described
    assert families.describe(family, scale, described.options) == described


@pytest.mark.parametrize(
    ("family", "options", "radius", "steps"),
    [("shiftlut", {}, 3, 7), ("shiftlut", {"blocks": 8}, 16, 28), ("tinylut", {}, 2, 13)],
)
def test_families_of_layers(family: str, options: dict[str, Any], radius: int, steps: int) -> None:
    described = families.describe(family, 4, options)
    assert (described.radius, len(described.steps), described.is_layered) == (radius, steps, True)
    assert not list(described.units())


@pytest.mark.parametrize(("scale", "adds"), [(1, ()), (2, ("head",)), (3, ("head",)), (4, ("pointwise1",))])
def test_pixels_of_a_block_start_from_planes(scale: int, adds: tuple[str, ...]) -> None:
    described = families.describe("shiftlut", scale, {"blocks": 2})
    last = described.steps[-2]
    assert isinstance(last, Sum) and (last.channels, last.adds) == (scale**2, adds)
    assert ("head" in described.planes) == (adds == ("head",))


def test_planes_know_what_they_hold() -> None:
    planes = families.describe("shiftlut", 4).planes
    assert planes["input"] == planes["output"] == Plane()
    assert (planes["high"], planes["low"]) == (Plane(1, SIX), Plane(1, (0, 3)))
    assert (planes["low0"], planes["shifted0"], planes["up"]) == (
        Plane(16, (0, 3)),
        Plane(16, SIX),
        Plane(16, (-128, 127)),
    )


def test_layers_know_their_size() -> None:
    described = families.describe("shiftlut", 4, {"channels": 5, "blocks": 2})
    forms = {layer.name: described.form(step) for step, layer in described.layers()}
    assert forms == {
        "dw0_low": LayerForm(9, 5, (0, 3)),
        "dw0": LayerForm(9, 5, SIX),
        "pw0": LayerForm(5, 5, SIX),
        "dw1": LayerForm(9, 5, SIX),
        "pw1": LayerForm(5, 5, SIX),
        "up": LayerForm(5, 16, SIX),
    }


def test_colours_are_read_together() -> None:
    described = families.describe("shiftlut", 2, {"channels": 5, "colours": 3})
    assert (described.planes["input"], described.planes["output"]) == (Plane(3), Plane(3))
    assert (described.planes["high"], described.planes["highs"]) == (Plane(3, SIX), Plane(5, SIX))
    forms = {layer.name: described.form(step) for step, layer in described.layers()}
    assert (forms["dw0_low"], forms["dw0"]) == (LayerForm(27, 5, (0, 3)), LayerForm(27, 5, SIX))
    assert forms["up"] == LayerForm(5, 12, SIX)
    assert "colours" not in families.describe("shiftlut", 2).to_json()
    with pytest.raises(ValueError, match=r"colours is 3, expected 1, or 3 in a model of layers"):
        replace(families.describe("mulut", 2), colours=3)


def test_default_offsets_look_a_little_around() -> None:
    (one,) = (step.offsets for step in families.describe("shiftlut", 4).steps if isinstance(step, Shift))
    assert one.count((0, 0)) == 5
    assert {y for y, _ in one} == {x for _, x in one} == {-1, 0, 1, 2}
    more = [step.offsets for step in families.describe("shiftlut", 4, {"blocks": 8}).steps if isinstance(step, Shift)]
    assert [offsets.count((0, 0)) for offsets in more] == [10, 14] * 4
    sides = {(0, 1), (1, 0), (0, -1), (-1, 0)}
    for wide, narrow in zip(more[::2], more[1::2], strict=True):
        assert sides < set(wide) <= {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)}
        assert set(narrow) - {(0, 0)} < sides
    few = families.describe("shiftlut", 4, {"blocks": 2, "channels": 8})
    first = next(step.offsets for step in few.steps if isinstance(step, Shift))
    assert first.count((0, 0)) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "option 'blocks' is 0, expected an integer in 1..15"),
        ({"channels": 65}, "option 'channels' is 65, expected an integer in 1..64"),
        ({"offsets": [[[0, 0]] * 15]}, "1 blocks of [15] pairs, expected 1 blocks of 16"),
        ({"offsets": [[[0, 0]] * 15 + [[0, 16]]]}, "in -15..15"),
        ({"offsets": [[[0, 0]] * 15 + [[0, 0.5]]]}, "expected 1 blocks"),
        ({"offsets": 7}, "option 'offsets' is '7'"),
        ({"colours": 2}, "option 'colours' is 2, expected 1 or 3"),
        ({"pattern": "s"}, "has no option 'pattern'; it has blocks, channels, offsets, colours"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="option") as caught:
        families.describe("shiftlut", 4, options)
    assert message in str(caught.value)


def layer(**changes: Any) -> Sum:
    own = Layer("one", "depthwise", "high", ((0, 0), (0, 1)))
    return replace(Sum(replace(own, **changes), "sum", 1, SIX), bounds=SIX)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([SPLIT], "expected steps of units alone, residuals alone, or steps of layers and one merge, the last"),
        ([MERGE, MERGE], "expected steps of units alone"),
        ([Step((), ("plane",), 1), MERGE], "step 1: expected steps of units alone"),
        ([MERGE], "reads plane 'high', which nothing wrote"),
        ([replace(SPLIT, reads="low"), MERGE], "reads plane 'low', which nothing wrote"),
        ([replace(SPLIT, bits=0), MERGE], "splits 0 low bits"),
        ([replace(SPLIT, bits=1, offset=300), MERGE], "writes values in 150..277, expected bounds within -128..127"),
        ([replace(SPLIT, writes=("high", "high")), MERGE], "'high' twice"),
        ([replace(SPLIT, writes=("input", "low")), MERGE], "writes plane 'input', expected new names"),
        ([SPLIT, layer(kind="wide"), MERGE], "layer 'one' is 'wide', expected one of"),
        ([SPLIT, layer(name="a.b"), MERGE], "layer is called 'a.b'"),
        ([SPLIT, layer(reads="input"), MERGE], "reads a plane of 256 levels, expected at most 64"),
        ([SPLIT, layer(reads="none"), MERGE], "reads plane 'none'"),
        ([SPLIT, layer(kind="pointwise"), MERGE], "has 2 taps, expected 1..64, and the pixel alone"),
        ([SPLIT, layer(taps=()), MERGE], "has 0 taps"),
        ([SPLIT, layer(taps=((0, -16),)), MERGE], "found an offset of (0, -16), expected (row, column) in -15..15"),
        ([SPLIT, replace(layer(), channels=65), MERGE], "needs 1..64 channels"),
        ([SPLIT, replace(layer(), bounds=(3, 2)), MERGE], "writes values in 3..2"),
        ([SPLIT, replace(layer(), bounds=(0, 128)), MERGE], "writes values in 0..128"),
        ([SPLIT, replace(layer(), divisor=0), MERGE], "found a divisor"),
        ([SPLIT, replace(layer(), adds=("none",)), MERGE], "reads plane 'none'"),
        ([SPLIT, replace(layer(), layer=None), MERGE], "needs 1..64 channels, and a layer or added planes"),
        ([SPLIT, layer(), replace(layer(), writes="again"), MERGE], "two layers are called 'one'"),
        ([SPLIT, Shift("high", "moved", ((0, 0),) * 2), MERGE], "shifts by 2 offsets, expected one for each channel"),
        ([SPLIT, Shift("high", "moved", ((16, 0),)), MERGE], "found an offset of (16, 0)"),
        (
            [SPLIT, Shift("high", "moved", ((0, 0),) * 2, (0, 1)), MERGE],
            "takes channels (0, 1), expected those of 0..0",
        ),
        ([SPLIT, Shift("high", "moved", ((0, 0),), (0, 0)), MERGE], "shifts by 1 offsets, expected one for each"),
        ([SPLIT, MANY, layer(kind="window", reads="many", taps=((0, 0),) * 52), MERGE], "has 52 taps of 5 channels"),
        ([SPLIT, replace(MERGE, upscale=2)], "upscales 1 channels by 2 in 4 rotations, expected 1 channels by 1"),
        ([SPLIT, replace(MERGE, rotations=2)], "in 2 rotations"),
        ([SPLIT, replace(MERGE, adds=("high",))], "adds ('high',), expected nothing, or the input"),
        ([SPLIT, replace(MERGE, offset=5000)], "found a divisor or an offset out of range"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps: list[Any], message: str) -> None:
    Description("own", 1, (SPLIT, layer(), MERGE))
    with pytest.raises(ValueError, match="model description") as caught:
        Description("own", 1, tuple(steps))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_depthwise_layer_reads_one_channel_or_as_many_as_it_writes() -> None:
    many = Sum(Layer("many", "pointwise", "high"), "many", 3, SIX)
    for channels, fits in ((1, False), (2, False), (3, True)):
        last = Sum(Layer("one", "depthwise", "many"), "sum", channels, SIX)
        if fits:
            Description("own", 1, (SPLIT, many, last, MERGE))
            continue
        with pytest.raises(ValueError, match=f"reads 3 channels depthwise, expected 1 or {channels}"):
            Description("own", 1, (SPLIT, many, last, MERGE))
    with pytest.raises(ValueError, match="adds plane 'many', which has another number of channels"):
        Description("own", 1, (SPLIT, many, Sum(None, "two", 2, SIX, adds=("many", "high")), MERGE))


TABLE = DirectTable("one", "high", ((0, 0), (0, 1)), "reflect")


RESIDUAL = Residual((TABLE,), "input", "output", 2)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([SPLIT, RESIDUAL], "residuals alone"),
        ([RESIDUAL, MERGE], "residuals alone"),
        ([replace(RESIDUAL, writes="end")], "the last step must write 'output' alone"),
        ([replace(RESIDUAL, reads="none")], "reads plane 'none', expected 'input', the one before it"),
        ([replace(RESIDUAL, writes="a"), RESIDUAL], "reads plane 'input', expected 'a'"),
        ([replace(RESIDUAL, upscale=3)], "its steps enlarge by 3, expected 2"),
        ([replace(RESIDUAL, tables=())], "needs 1..64 tables"),
        ([replace(RESIDUAL, low_bits=8)], "1..7 low bits"),
        ([replace(RESIDUAL, tables=(TABLE, TABLE))], "two tables are called 'one'"),
        ([replace(RESIDUAL, tables=(replace(TABLE, name="a.b"),))], "table is called 'a.b'"),
        ([replace(RESIDUAL, tables=(replace(TABLE, bits="all"),))], "'all' bits"),  # type: ignore[arg-type]
        ([replace(RESIDUAL, tables=(replace(TABLE, padding="zero"),))], "padding 'zero'"),  # type: ignore[arg-type]
        (
            [replace(RESIDUAL, tables=(replace(TABLE, taps=((0, 0),) * 5),))],
            "has 5 taps, expected at most 65536 entr",
        ),
        ([replace(RESIDUAL, tables=(replace(TABLE, taps=()),))], "has 0 taps"),
        ([replace(RESIDUAL, tables=(replace(TABLE, taps=((16, 0),)),))], "found an offset of (16, 0)"),
    ],
)
def test_residuals_that_do_not_fit_are_refused(steps: list[Any], message: str) -> None:
    Description("own", 2, (RESIDUAL,))
    with pytest.raises(ValueError, match="model description") as caught:
        Description("own", 2, tuple(steps))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_reach_of_residuals_is_counted_in_pixels_of_the_input() -> None:
    far = replace(TABLE, taps=((0, 0), (0, -3)))
    first = Residual((far,), "input", "a", 2)
    second = Residual((replace(far, name="two"),), "a", "output", 1)
    assert Description("own", 2, (first, second)).radius == 3 + 2
