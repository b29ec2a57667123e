"""Units that read several colours, as plain data: what is described, stored and refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lutra.model import artifact, families
from lutra.model.description import ColourTaps, Description, Step, Unit
from lutra.model.layouts import DenseLayout, layout_from_json
from lutra.model.parsing import description_from_json
from lutra.model.published import tables
from tests.golden import cases

DNLUT = families.describe("dnlut", 1)


def with_unit(**changes: Any) -> Description:
    """DnLUT with changes to its table of the pixel."""
    steps = [
        replace(step, units=tuple(replace(unit, **changes) for unit in step.units))
        if step.writes == ("pixel",)
        else step
        for step in DNLUT.unit_steps
    ]
    return replace(DNLUT, steps=tuple(steps))


def made_of(*colours: int | None) -> Description:
    taps = ColourTaps(((0, 0), (0, 1), (1, 1)), (0, 1, 2))
    units = tuple(Unit(f"u{n}", ("input",), taps, 1, colour=colour) for n, colour in enumerate(colours))
    return Description("own", 1, (Step(units, ("output",), 1),), colours=3)


@pytest.mark.parametrize("name", cases.COLOUR_UNITS)
def test_files_hold_them(tmp_path: Path, name: str) -> None:
    model = cases.model(name)
    assert description_from_json(json.loads(json.dumps(model.description.to_json()))) == model.description
    artifact.save(tmp_path / "model.safetensors", model)
    loaded = artifact.load(tmp_path / "model.safetensors")
    assert loaded.description == model.description and loaded.functions == model.functions
    if name == "dnlut-x1":
        written = tables.write_tables(model, tmp_path / "tables")
        again = tables.read_tables(written, "dnlut", 1)
        assert again.description == model.description and again.table_bytes == model.table_bytes


def test_a_colour_is_made_by_its_own_units_or_by_those_of_all() -> None:
    assert len(made_of(0, 1, 2).unit_steps[0].units) == 3 and made_of(None, 1).colours == 3
    with pytest.raises(ValueError, match=r"makes the colours \['0', '2'\], expected all three"):
        made_of(0, 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda: replace(DNLUT, colours=1), "'mix1_rg' has colour taps, expected a model of three colours"),
        (lambda: replace(DNLUT, colours=2), "colours is 2, expected 1, or 3 in a model of layers or of colour taps"),
        (lambda: with_unit(taps=ColourTaps(((0, 0),) * 2, (0, 1))), r"expected three or four of 0\.\.2"),
        (lambda: with_unit(taps=ColourTaps(((0, 0),) * 3, (0, 1, 3))), r"expected three or four of 0\.\.2"),
        (lambda: with_unit(taps=ColourTaps(((0, 0), (0, 1), (0, -1)), (0, 1, 2))), r"in 0\.\.15"),
        (lambda: with_unit(colour=3), "has colour taps, expected a model of three colours"),
        (lambda: with_unit(previous="l1"), "no previous plane"),
        (lambda: families.describe("mulut", 1, {"front": "pairs"}), "option 'front' is 'pairs', expected pairwise"),
        (lambda: families.describe("shiftlut", 1, {"front": "pairwise"}), "'shiftlut' has no option 'front'"),
        (lambda: families.describe("lerf", 4, {"front": "pairwise"}), "'lerf' has no option 'front'"),
        (lambda: families.describe("dnlut", 1, {"front": "pairwise"}), "'dnlut' has no option 'front'"),
        (lambda: layout_from_json({"kind": "dense", "interval": 4, "axes": 2}), "2 axes, expected 3 or 4"),
    ],
)
def test_what_does_not_fit_is_named(changed: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed()


def test_a_table_has_an_axis_for_each_tap() -> None:
    model = cases.model("dnlut-x1")
    with pytest.raises(ValueError, match="the table of unit 'l1' has 4 axes, expected 3"):
        replace(model, functions={**model.functions, "l1": DenseLayout(6)})


def test_a_front_reads_the_input_in_place_of_the_family() -> None:
    plain, front = (families.describe("mulut", 2, options) for options in ({}, {"front": "pairwise"}))
    assert [step.units[0].reads for step in front.unit_steps] == [("input",), ("front",), ("stage1",)]
    assert front.colours == 3 and front.options == {**plain.options, "front": "pairwise"}
    assert families.describe("mulut", 2, front.options) == front
