"""The command line: what reaches the stages, and how a mistake ends."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from lutra.imaging.images import write_image
from pipeline import PROJECT
from pipeline.__main__ import app
from pipeline.declaration import STAGES
from pipeline.params import load
from pipeline.running import needs
from tests.golden.cases import image

PARAMS = """
data: {train: photos, evaluate: [samples], validate: 1}
tasks: {x2: {task: sr, scale: 2}, x4: {task: sr, scale: 4}}
experiments:
  small: {family: srlut, task: x2, model: {}, network: {}, table: {}, train: {}, finetune: {}, evaluate: {}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUTRA_TRACE", raising=False)
    return tmp_path


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException | None = None) -> list[Any]:
    """Replace a stage's module by one that keeps what it is called with."""
    calls: list[Any] = []

    def run(*arguments: Any, **options: Any) -> None:
        calls.append((*arguments, options))
        if error is not None:
            raise error

    module = ModuleType(f"pipeline.stages.{name}")
    module.__dict__["run"] = run
    monkeypatch.setitem(sys.modules, f"pipeline.stages.{name}", module)
    monkeypatch.setattr(needs, "of_stage", lambda *arguments: None)
    return calls


@pytest.mark.parametrize("name", ["train", "export", "finetune", "evaluate"])
def test_a_stage_gets_its_experiment_and_root(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, name)
    result = CliRunner().invoke(app, [name, "--experiment", "small", "--root", "runs/x"])
    assert result.exit_code == 0, result.output
    ((job, _),) = calls
    assert (job.stage.name, job.name, job.task, job.root) == (name, "small", "x2", Path("runs/x"))
    assert all(path.is_relative_to("runs/x") for path in (*job.inputs.values(), *job.outputs.values()))


@pytest.mark.parametrize("option", [["--task", "x2"], ["--experiment", "small"]])
def test_prepare_takes_a_task_or_the_task_of_an_experiment(
    option: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in(monkeypatch, "prepare")
    assert CliRunner().invoke(app, ["prepare", *option, "--root", "r"]).exit_code == 0
    ((job, _),) = calls
    assert (job.task, job.experiment, job.root) == ("x2", None, Path("r"))


@pytest.mark.parametrize("options", [[], ["--task", "x2", "--experiment", "small"]])
def test_prepare_refuses_neither_and_both(options: list[str], project: Path) -> None:
    result = CliRunner().invoke(app, ["prepare", *options])
    assert result.exit_code == 2
    assert result.stderr == "error: prepare takes either --task or --experiment\n"


def test_report_covers_a_task_or_what_it_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, "report")
    for options in ([], ["--experiment", "small"]):
        assert CliRunner().invoke(app, ["report", "--task", "x2", *options, "--root", "r"]).exit_code == 0
    assert [(job.root, job.name, options["experiments"]) for job, options in calls] == [
        (Path("r"), "x2", None),
        (Path("r"), "x2", ["small"]),
    ]


def test_a_report_of_all_tasks_needs_scores(project: Path) -> None:
    result = CliRunner().invoke(app, ["report", "--root", "r"])
    assert result.exit_code == 2
    assert result.stderr == "error: r/evaluate: found no scores of any experiment; evaluate one with this root first\n"
    result = CliRunner().invoke(app, ["report", "--root", "r", "--experiment", "small"])
    assert result.stderr.startswith("error: r/evaluate/x2/small/metrics.json: not found")
    assert not (project / "r").exists()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("a.png: found 3 x 3,\n expected 8 x 8"), 2, "error: a.png: found 3 x 3, expected 8 x 8\n"),
        (FileNotFoundError(2, "No such file", "a.png"), 2, "error: [Errno 2] No such file: 'a.png'\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "train", error)
    result = CliRunner().invoke(app, ["train", "--experiment", "small"])
    assert result.exit_code == code
    assert result.stderr == line


def test_a_trace_is_shown_on_request(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "train", ValueError("wrong"))
    monkeypatch.setenv("LUTRA_TRACE", "1")
    assert isinstance(CliRunner().invoke(app, ["train", "--experiment", "small"]).exception, ValueError)


def test_wrong_parameters_are_one_line(project: Path) -> None:
    (project / "params.yaml").write_text(PARAMS.replace("validate", "validat"))
    result = CliRunner().invoke(app, ["train", "--experiment", "small"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: params.yaml: data.validat: found an unknown key")
    assert len(result.stderr.splitlines()) == 1


def test_generated_files_are_written_checked_and_found_stale(project: Path) -> None:
    for command, path in (("dvc-yaml", "dvc.yaml"), ("schema", "workflow/schemas/params.schema.json")):
        stale = CliRunner().invoke(app, [command, "--check"])
        assert stale.exit_code == 2
        assert stale.stderr == f"error: {path}: is stale; run `python -m pipeline {command}`\n"
        assert CliRunner().invoke(app, [command]).stdout == f"wrote {path}\n"
        assert CliRunner().invoke(app, [command, "--check"]).exit_code == 0


def test_a_folder_of_images_becomes_a_dependency_of_prepare(project: Path) -> None:
    (project / "mine").mkdir()
    (project / "params.yaml").write_text(PARAMS.replace("photos", str(project / "mine")))
    assert CliRunner().invoke(app, ["dvc-yaml"]).exit_code == 0
    assert f"        - {project}/mine\n" in (project / "dvc.yaml").read_text()


def test_new_adds_an_experiment_with_its_changes(project: Path) -> None:
    command = ["new", "mine", "--family", "srlut", "--task", "x4", "--set", "train.steps=7"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert load(project / "params.yaml").experiments["mine"].train.steps == 7
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert again.stderr.startswith("error: params.yaml: experiments.mine exists already")


def test_every_stage_is_a_command() -> None:
    commands = typer.main.get_group(app)
    assert {stage.name for stage in STAGES} <= set(commands.list_commands(typer.Context(commands)))


_RUN = """
import sys
from pipeline.__main__ import app

heavy, *arguments = sys.argv[1:]
try:
    app(arguments, prog_name="pipeline")
except SystemExit as ended:
    assert not ended.code, ended.code
sys.exit(", ".join(sorted({name.partition(".")[0] for name in sys.modules} & set(heavy.split()))) or 0)
"""


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], "torch mlflow numpy"),
        (["prepare", "--help"], "torch mlflow numpy"),
        (["prepare", "--task", "x2", "--root", "runs"], "torch mlflow matplotlib skimage"),
    ],
)
def test_what_takes_seconds_to_import_is_imported_where_it_is_needed(
    arguments: list[str], heavy: str, tmp_path: Path
) -> None:
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", image(40, 45))
    folder = str(tmp_path / "images")
    text = PARAMS.replace("photos", folder).replace("[samples]", f"[{folder}]") + "tracking: {enabled: false}\n"
    (tmp_path / "params.yaml").write_text(text)
    command = [sys.executable, "-c", _RUN, heavy, *arguments]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_shows_defaults_in_brackets() -> None:
    words = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "200"}).output
    assert "[default: all]" in words and "[default: all that have scores]" in words
