"""`new` adds a documented, valid block and keeps every other byte."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lutra.model.families import FAMILIES, describe
from pipeline.params import ParamsError, load
from pipeline.tools.new import add_experiment

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    copy = tmp_path / "params.yaml"
    copy.write_bytes((ROOT / "params.yaml").read_bytes())
    return copy


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("preset", ["quick", "published"])
def test_the_block_is_added_and_the_rest_kept(path: Path, family: str, preset: str) -> None:
    before = path.read_text()
    block = add_experiment(path, "mine", family, preset)  # type: ignore[arg-type]
    after = path.read_text()
    assert after.startswith(before.rstrip("\n"))
    assert load(path).experiments["mine"] == block
    layered = describe(family, 4).is_layered
    assert block.train.steps == (200_000 if preset == "published" and not layered else 0)
    if layered:
        assert block.finetune.steps == (400_000 if preset == "published" else 10_000)
        assert (block.finetune.learning_rate, block.table.depthwise, block.table.pointwise) == (0.0079, 2, 2)
    added = after[len(before) :].splitlines()
    assert all("#" in line for line in added if line.strip() and not line.strip().startswith("mine:"))


def test_the_published_recipe(path: Path) -> None:
    block = add_experiment(path, "published", "mulut", "published")
    train, finetune = block.train, block.finetune
    assert (train.steps, train.batch, train.patch, train.init) == (200_000, 32, 48, "random")
    assert (train.learning_rate, train.final_learning_rate) == (1e-3, 1e-4)
    assert (finetune.steps, finetune.learning_rate) == (2000, 1e-4)
    assert block.network.width == 64


def test_a_block_before_another_key(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "# mine\nexperiments: {} # none yet\n# about data\ndata:\n  train: photos\n  evaluate: [samples]\n"
        "  validate: 1\ntasks: {x2: {task: sr, scale: 2}}\n"
    )
    add_experiment(
        path, "two", "srlut", task="x2", overrides=["train.steps=7", "model.pattern=d", "table.dfc={width: 1}"]
    )
    text = path.read_text()
    assert text.startswith("# mine\nexperiments: # none yet\n  two:\n")
    assert "\n# about data\ndata:\n" in text
    block = load(path).experiments["two"]
    assert (block.task, block.train.steps, block.model.pattern) == ("x2", 7, "d")
    assert block.table.dfc is not None and block.table.dfc.width == 1


def test_a_task_of_a_usual_name_is_added(path: Path) -> None:
    before = path.read_text()
    add_experiment(path, "two", "srlut", task="x2")
    add_experiment(path, "harder", "mulut", task="denoise50")
    text = path.read_text()
    assert "  deblur: {task: deblur, length: [5, 10], sigma: 1} # " in text
    assert "\n  x2: {task: sr, scale: 2}\n  denoise50: {task: denoise, sigma: 50}\n\ntracking:\n" in text
    assert before.partition("\ntracking:")[0] in text
    assert load(path).task_of("harder").options == {"sigma": 50}
    with pytest.raises(ParamsError, match="found 'x2b', expected one of x4"):
        add_experiment(path, "third", "srlut", task="x2b")
    with pytest.raises(ParamsError, match=r"tasks\.deblock700\.quality: found 700"):
        add_experiment(path, "third", "srlut", task="deblock700")


@pytest.mark.parametrize(
    ("name", "family", "overrides", "message"),
    [
        ("srlut", "srlut", [], "experiments.srlut exists already"),
        ("My LUT", "srlut", [], "My LUT"),
        ("mine", "lutnet", [], "family"),
        ("mine", "srlut", ["train.stepz=3"], "did you mean 'steps'"),
        ("mine", "srlut", ["train.steps"], "expected KEY=VALUE"),
        ("mine", "srlut", ["model.stages=3"], "no option 'stages'"),
        ("mine", "srlut", ["train.steps=-1"], "train.steps"),
        ("mine", "srlut", ["train.steps=[1"], "found no YAML in the value"),
        ("mine", "srlut", ["model=3", "model.pattern=s"], "model holds no keys"),
    ],
)
def test_mistakes_change_nothing(path: Path, name: str, family: str, overrides: list[str], message: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ParamsError) as caught:
        add_experiment(path, name, family, overrides=overrides)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_small_rates_and_words_that_yaml_reads_otherwise_survive(path: Path) -> None:
    add_experiment(path, "small", "srlut", overrides=["train.final_learning_rate=0.00001"])
    block = add_experiment(path, "on", "mulut", overrides=["model.patterns=yes", "train.final_learning_rate=1e-7"])
    add_experiment(path, "007", "srlut")
    loaded = load(path)
    assert list(loaded.experiments)[-3:] == ["small", "on", "007"]
    assert loaded.experiments["small"].train.final_learning_rate == 1e-5
    assert loaded.experiments["on"] == block and block.model.patterns == "yes"
    yaml_1_1 = YAML(typ="safe", pure=True)
    yaml_1_1.version = (1, 1)
    assert yaml_1_1.load(path)["experiments"]["on"]["model"]["patterns"] == "yes"


BLOCK = "{family: srlut, task: x4, model: {}, network: {}, table: {}, train: {}, finetune: {}, evaluate: {}}"


@pytest.mark.parametrize(
    "experiments",
    [f"experiments:\n    other: {BLOCK}\n", f"experiments: {{other: {BLOCK}}}\n"],
)
def test_a_layout_that_cannot_be_added_to_is_left_alone(path: Path, experiments: str) -> None:
    text = path.read_text().partition("experiments:\n")[0] + experiments
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"add experiments\.mine by hand"):
        add_experiment(path, "mine", "srlut")
    assert path.read_text() == text
