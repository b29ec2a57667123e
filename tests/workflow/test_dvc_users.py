"""docs/dvc.md, command by command as it stands, on a tiny project: experiments, comparisons, plots, a remote."""

import re
from collections.abc import Callable

import pytest
from ruamel.yaml import YAML

from tests.workflow.project import SOURCE, Project, draw_images

pytestmark = pytest.mark.xdist_group("dvc_users")

GUIDE = SOURCE / "docs" / "dvc.md"
PARAMS = """# kept
data: {train: images/train, evaluate: [images/check], validate: 1}
tasks: {x4: {task: sr, scale: 4}}
tracking: {enabled: false}
experiments:
  srlut: # kept too
    family: srlut
    task: x4
    model: {}
    network: {width: 4}
    table: {interval: 6}
    train: {steps: 0, patch: 8}
    finetune: {steps: 20, batch: 2, patch: 8, validate_every: 100, checkpoint_every: 100}
    evaluate: {sheets: 1}
"""
MARK = "=== "

Said = dict[str, str]
"""What each command printed."""


@pytest.fixture(scope="module")
def said(make: Callable[[bool], Project]) -> Said:
    project = make(False)
    (project.folder / "params.yaml").write_text(PARAMS)
    draw_images(project.folder.parent / "home" / "images" / "Set5", count=1, seed=3)
    for command in ("config user.name tester", "config user.email tester@localhost", "add --all", "commit -qm start"):
        project.run("git", *command.split())
    commands = [
        line for block in re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL) for line in block.splitlines()
    ]
    extra = ["cd -", "git status --short", "dvc plots show --json --out plots"]
    extra += ["git show HEAD:params.yaml"]
    script = "export PYTHONWARNINGS=ignore\n" + "".join(
        f"echo {MARK}{number}\n{command}\n" for number, command in enumerate(commands + extra)
    )
    printed = project.run("bash", "-e", "-c", script)
    found = re.findall(rf"^{MARK}(\d+)\n(.*?)(?=^{MARK}|\Z)", printed, re.DOTALL | re.MULTILINE)
    return {(commands + extra)[int(number)]: text for number, text in found}


def of(said: Said, start: str) -> str:
    found = [text for command, text in said.items() if command.startswith(start)]
    assert len(found) == 1, f"{start}: {list(said)}"
    return found[0]


def executed(text: str) -> list[str]:
    return re.findall(r"^Running stage '(.*)':$", text, re.MULTILINE)


def test_metrics_are_a_short_line_of_numbers(said: Said) -> None:
    lines = of(said, "dvc metrics show").strip().splitlines()
    assert lines[0].split() == ["Path", "check.psnr_y", "check.ssim_y", "table_kib"]
    path, *numbers = lines[1].split()
    assert path == "runs/dvc/evaluate/x4/srlut/scores.json"
    assert all(float(number) > 0 for number in numbers)
    assert max(map(len, lines)) < 100


def test_an_experiment_runs_what_its_parameter_changes(said: Said) -> None:
    assert executed(of(said, "dvc exp run")) == ["finetune@srlut", "evaluate@srlut", "report@x4"]
    after = of(said, "git show")
    assert "# kept\n" in after and "# kept too\n" in after
    yaml = YAML(typ="safe")
    assert yaml.load(after) == yaml.load(PARAMS.replace("steps: 20", "steps: 600"))


def test_experiments_are_shown_by_what_changed(said: Said) -> None:
    shown = of(said, "dvc exp show --only-changed")
    assert "longer" in shown and "experiments.srlut.finetune.steps" in shown and "600" in shown
    assert "batch" not in shown and "protocol" not in shown


def test_parameters_metrics_and_curves_are_compared_with_the_commit(said: Said) -> None:
    assert re.search(r"experiments\.srlut\.finetune\.steps +20 +600", of(said, "dvc params diff"))
    assert re.search(r"scores\.json +check\.psnr_y +[\d.]+ +[\d.]+ +-?[\d.]+", of(said, "dvc metrics diff"))
    assert "index.html" in of(said, "dvc plots diff")
    assert "index.html" in of(said, "dvc plots show runs/")


def test_plots_are_curves_and_quality_against_size(said: Said) -> None:
    plots = of(said, "dvc plots show --json")
    for text in ("finetune/srlut/curve.csv", "train/srlut/curve.csv", "report/x4/points.csv", "table, KiB", "PSNR, dB"):
        assert text in plots


def test_an_applied_experiment_is_as_it_was(said: Said) -> None:
    assert executed(of(said, "dvc exp apply")) == []
    assert "dvc.lock" not in of(said, "git status --short") and "params.yaml" not in of(said, "git status --short")


def test_a_clone_evaluates_pulled_tables_without_training(said: Said) -> None:
    assert re.search(r"^A\s+runs/dvc/finetune/srlut/", of(said, "dvc pull finetune@srlut"), re.MULTILINE)
    assert "PSNR-Y" in of(said, "lutra evaluate")
    assert re.search(r"\d+ files? (added|fetched)|A\s+runs", said["dvc pull"])


def test_a_clone_with_everything_pulled_has_nothing_to_run(said: Said) -> None:
    repro = said["dvc repro"]  # the second of that name, in the clone
    assert executed(repro) == [] and "up to date" in repro
