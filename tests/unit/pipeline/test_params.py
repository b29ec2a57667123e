"""params.yaml: what is accepted, and the one line that a mistake gets."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from lutra.evaluation import protocols
from lutra.model import families
from pipeline import params
from pipeline.params import ParamsError, reading
from pipeline.params.model import ModelParams

ROOT = Path(__file__).resolve().parents[3]
TEXT = """
data: {train: photos, evaluate: [samples], validate: 1}
tasks: {x4: {task: sr, scale: 4}, noise: {task: denoise, sigma: [15, 50]}}
experiments:
  one: {family: srlut, task: x4, model: {}, network: {}, table: {}, train: {}, finetune: {}, evaluate: {}}
"""


def parse(text: str) -> params.Params:
    return params.parse(text.encode(), "params.yaml")


def test_the_projects_own_file_is_valid() -> None:
    loaded = params.load(ROOT / "params.yaml")
    assert loaded.experiments


def test_the_schema_is_current() -> None:
    assert params.SCHEMA.read_text() == params.json_schema(), "run `python -m pipeline schema`"


def test_an_experiment_is_not_called_like_another_version_of_an_image() -> None:
    with pytest.raises(params.ParamsError, match=r"experiments\.bicubic: found a name that reports use"):
        parse(TEXT.replace("  one:", "  bicubic:"))


def test_defaults_are_filled_in_and_frozen() -> None:
    loaded = parse(TEXT)
    block = loaded.experiment("one")
    assert (block.table.interval, block.train.batch, loaded.tracking.enabled) == (4, 16, True)
    with pytest.raises(ValueError, match="frozen"):
        block.train.steps = 3


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("train: {}, fine", "train: {stepz: 3}, fine", ["experiments.one.train.stepz", "'steps'"]),
        ("train: {}, fine", "train: {steps: many}, fine", ["experiments.one.train.steps", "'many'", "whole number"]),
        ("train: {}, fine", "train: {steps: -1}, fine", ["experiments.one.train.steps", "0"]),
        ("train: {}, fine", "fine", ["experiments.one.train"]),
        ("family: srlut", "family: srlot", ["experiments.one.family", "'srlot'", "srlut"]),
        ("task: x4", "task: x3", ["experiments.one.task", "found 'x3'", "'x4'"]),
        ("scale: 4", "scale: 5", ["tasks.x4.scale", "found 5", "4"]),
        ("scale: 4", "scale: 4, sigma: 25", ["tasks.x4.sigma: sr has no such option", "scale, bicubic"]),
        ("task: sr, scale: 4", "task: sr", ["tasks.x4.scale: found nothing"]),
        ("task: sr, scale: 4", "task: deblur, length: [15, 5]", ["tasks.x4.length", "the least first"]),
        ("task: sr, scale: 4", "task: inpaint", ["tasks.x4.task", "'inpaint'", "deblock"]),
        ("[15, 50]", "[15, 50, 60]", ["tasks.noise.sigma"]),
        ("[15, 50]", "[15, 50], evaluate_at: [15, 15]", ["tasks.noise", "evaluate_at: found [15.0, 15.0]"]),
        ("[15, 50]", "[15, 50], evaluate_at: [300]", ["tasks.noise", "sigma: found 300"]),
        ("[15, 50]", "25, noise: paper", ["tasks.noise", "noise: found paper", "expected file"]),
        ("scale: 4", "scale: 4, evaluate_at: [2]", ["tasks.x4", "evaluate_at: found [2.0] for sr"]),
        ("[15, 50]", "much", ["tasks.noise.sigma", "'much'"]),
        ("validate: 1", "validate: 1, mix: [photos]", ["data.mix", "each once"]),
        (
            "validate: 1",
            "validate: 1, deadleaves: {least_radius: 300}",
            ["data.deadleaves.least_radius", "less than 200"],
        ),
        ("model: {}", "model: {stages: 2}", ["experiments.one", "no option 'stages'"]),
        ("table: {}", "table: {dfc: {interval: 4}}", ["experiments.one.table", "expected 3 <= diagonal < coarse"]),
        ("train: {}, fine", "train: {batch: 6, accumulate: 4}, fine", ["accumulate: found 4", "divisor"]),
        (
            "train: {}, fine",
            "train: {batch: 8, accumulate: 4, num_processes: 4}, fine",
            ["accumulate: found 4", "a process's batch of 2"],
        ),
        ("train: {}, fine", "train: {batch: 6, num_processes: 4}, fine", ["num_processes: found 4", "batch of 6"]),
        ("train: {}, fine", "train: {num_processes: 0}, fine", ["train.num_processes", "found 0"]),
        ("train: {}, fine", "train: {final_learning_rate: 0.5}, fine", ["final_learning_rate", "at most"]),
        ("validate: 1", "validate: 1, shrink: 1.5", ["data.shrink", "1.5"]),
        ("scale: 4", "scale: 4, shrink: 0", ["tasks.x4.shrink"]),
        ("validate: 1", "validate: 1, scales: [1, 2]", ["data.scales[1]", "found 2"]),
        ("validate: 1", "validate: 1, scales: [0.5, 0.5]", ["data.scales: found [0.5, 0.5]", "each once"]),
        ("validate: 1", "validate: 1, scales: []", ["data.scales", "at least 1"]),
        ("validate: 1", "validate: 1, shares: {photo: 0.5}", ["data.shares.photo", "did you mean 'photos'"]),
        ("validate: 1", "validate: 1, shares: {photos: 1.5}", ["data.shares.photos", "1.5"]),
        (
            "validate: 1",
            "validate: 1, mix: [samples], shares: {samples: 0.7, photos: 0.6}",
            ["data.shares: found 1.3 in all"],
        ),
        (
            "validate: 1",
            "validate: 1, mix: [samples], shares: {samples: 1}",
            ["data.shares: found nothing left for photos"],
        ),
        ("table: {}", "table: {depthwise: 3}", ["experiments.one.table.depthwise", "found 3"]),
        ("model: {}", "model: {blocks: 2}", ["experiments.one.model", "no option 'blocks'"]),
        ("  one:", "  One:", ["One"]),
        ("data: {", "date: {", ["date", "'data'"]),
        ("task: x4", "task: x4, task: x4", ["once"]),
        ("evaluate: [samples]", "evaluate: [samples, samples]", ["data", "each once"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(old: str, new: str, parts: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(ParamsError) as caught:
        parse(TEXT.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith("params.yaml: ") and "\n" not in message
    assert all(part in message for part in parts), message


def test_least_squares_is_for_tables_of_four_pixels() -> None:
    text = TEXT.replace("family: srlut", "family: shiftlut", 1)
    parse(text)
    with pytest.raises(ParamsError, match=r"one.train.init: found least_squares, .* shiftlut has none"):
        parse(text.replace("train: {}, fine", "train: {init: least_squares}, fine", 1))
    kernels = TEXT.replace("family: srlut", "family: lerf", 1)
    parse(kernels)
    with pytest.raises(ParamsError, match=r"one.train.init: found least_squares, .* lerf has none"):
        parse(kernels.replace("train: {}, fine", "train: {init: least_squares}, fine", 1))


@pytest.mark.parametrize(("family", "steps"), [("srlut", 10), ("shiftlut", 0)])
def test_a_limit_of_bytes_is_for_trained_vectors(family: str, steps: int) -> None:
    text = TEXT.replace("table: {}", "table: {bytes: 9000}", 1)

    def block(family: str, steps: int) -> str:
        changed = text.replace("family: srlut", f"family: {family}", 1)
        return changed.replace("train: {}, fine", f"train: {{steps: {steps}}}, fine", 1)

    assert parse(block("shiftlut", 10)).experiments["one"].table.bytes == 9000
    with pytest.raises(ParamsError, match=rf"one.table.bytes: found 9000 for {family} with {steps} train.steps"):
        parse(block(family, steps))


def test_colours_are_not_read_together_where_models_restore_luma() -> None:
    text = TEXT.replace("family: srlut", "family: shiftlut", 1).replace("model: {}", "model: {colours: 3}", 1)
    assert parse(text).experiments["one"].model.colours == 3
    with pytest.raises(ParamsError, match=r"one.model.colours: found 3, expected 1 for luma"):
        parse(text.replace("task: sr, scale: 4", "task: deblock, quality: 10", 1))


def test_a_blind_task_tells_the_strengths_that_it_is_scored_at() -> None:
    blind = parse(TEXT.replace("[15, 50]", "[15, 50], evaluate_at: [15, 25, 50]"))
    assert blind.tasks["noise"].options == {"sigma": [15, 50]}
    names = [one.name.rpartition("-")[2] for one in blind.evaluations("noise")]
    assert names == ["sigma15", "sigma25", "sigma50"]
    assert [one.protocol for one in blind.evaluations("noise")] == [
        protocols.of("denoise", {"sigma": sigma}) for sigma in (15, 25, 50)
    ]
    assert "each set at sigma 15, 25, 50" in blind.tasks["noise"].protocol().text
    assert blind.tasks["noise"].protocol().degradation == parse(TEXT).tasks["noise"].protocol().degradation


def test_a_task_knows_its_options_as_they_are_written() -> None:
    loaded = parse(TEXT)
    assert loaded.tasks["x4"].options == {"scale": 4} and loaded.tasks["x4"].labels == {"task": "sr", "options": {}}
    assert loaded.tasks["noise"].options == {"sigma": [15, 50]}
    one = parse(TEXT.replace("[15, 50]", "25")).tasks["noise"]
    assert one.labels == {"task": "denoise", "options": {"sigma": 25}}


def test_a_task_may_have_images_of_its_own() -> None:
    text = TEXT.replace("scale: 4}", "scale: 4, train: mine, evaluate: [a, b]}").replace(
        "validate: 1", "validate: 1, mix: [deadleaves]"
    )
    loaded = parse(text)
    assert loaded.train_sets("x4") == ("mine", "deadleaves") and loaded.evaluate_sets("x4") == ("a", "b")
    assert loaded.train_sets("noise") == ("photos", "deadleaves") and loaded.evaluate_sets("noise") == ("samples",)
    assert loaded.image_sets() == ["a", "b", "deadleaves", "mine", "photos", "samples"]
    alone = parse(text.replace("train: mine,", "train: mine, mix: [],"))
    assert alone.train_sets("x4") == ("mine",) and alone.train_sets("noise") == ("photos", "deadleaves")
    assert "mix" not in alone.task("x4").options


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("srlut", {"pattern": "d", "front": "pairwise"}),
    ("mulut", {"patterns": "sd", "stages": 1}),
    ("autolut", {"base": "mulut", "branches": 2, "kernel": 3, "stages": 1}),
    ("shiftlut", {"blocks": 1, "channels": 2, "offsets": [[[0, 1], [-3, 2]]], "colours": 3}),
    ("lerf", {"patterns": "sc", "border": "zero"}),
]


@pytest.mark.parametrize(("family", "options"), OPTIONS)
def test_an_option_of_a_family_can_be_written(family: str, options: dict[str, Any]) -> None:
    text = TEXT.replace("srlut, task: x4, model: {}", f"{family}, task: x4, model: {json.dumps(options)}")
    block = parse(text).experiment("one")
    assert families.describe(block.family, 4, block.model.model_dump()) == families.describe(family, 4, options)


def test_those_are_all_options() -> None:
    assert {name for _, options in OPTIONS for name in options} == set(ModelParams.model_fields)


def test_an_unknown_experiment_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="expected one of one"):
        parse(TEXT).experiment("two")


@pytest.mark.parametrize(
    "text", ["a: !!bool maybe", "a: !!float ", "a: *b", "a: [", "- 1", "a: !!python/name:os.system x"]
)
def test_yaml_that_cannot_be_read_is_one_line_too(text: str) -> None:
    with pytest.raises(ParamsError, match=r"^params\.yaml: .*expected .*$"):
        parse(text)


@given(st.binary(max_size=200))
def test_garbage_is_never_worse_than_a_params_error(content: bytes) -> None:
    with pytest.raises(ParamsError):
        params.parse(content, "params.yaml")


def test_the_recipes_of_the_shipped_models_are_valid() -> None:
    recipes = params.load(ROOT / "results" / "recipes.yaml")
    assert {"srlut-x4", "mulut-dfc-x4", "spf-light-dfc-x4"} <= recipes.experiments.keys()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: no", "found no, expected quotes around it"),
        ("On: 1", "found On, expected quotes around it"),
        ("a: 010", "found '010', expected a decimal number"),
        ("a: 1_000", "found '1_000', expected a decimal number"),
        ("a: 1:30", "found '1:30', expected a decimal number"),
        ("a: &x [1]\nb: [" + "*x, " * 17 + "*x]", "line 2: found more than 16 aliases"),
        ("[" * 50 + "]" * 50, "found more than 40 levels"),
        ("a: 1\n" + "#" * (1 << 20), "bytes, expected at most 1048576"),
    ],
)
def test_yaml_that_readers_differ_on_or_that_grows_is_refused(text: str, found: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        reading.read_yaml(text.encode())
    assert found in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: true", 'a: "no"', "a: 0", "a: 0.5", "a: -0.5e-3", "a: north", "a: 10", "a: x_1"])
def test_yaml_that_all_readers_agree_on_is_read(text: str) -> None:
    assert reading.read_yaml(text.encode()) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("section", "key"),
    [("finetune", "steps"), ("train", "batch"), ("finetune", "validate_every"), ("evaluate", "sheets")],
)
def test_numbers_have_bounds(section: str, key: str) -> None:
    sections: dict[str, Any] = {name: {} for name in ("model", "network", "table", "train", "finetune", "evaluate")}
    block = {"family": "srlut", "task": "x4"} | sections | {section: {key: 10**30}}
    text = json.dumps(
        {
            "data": {"train": "a", "evaluate": ["b"], "validate": 1},
            "tasks": {"x4": {"task": "sr", "scale": 4}},
            "experiments": {"a": block},
        }
    )
    with pytest.raises(params.ParamsError, match=f"experiments.a.{section}.{key}: found 1000000000"):
        params.parse(text.encode(), "params.yaml")
