"""The committed dvc.yaml is the one that the stages and params.yaml give."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import PROJECT, declaration, params
from pipeline.commands.project import dvc_yaml
from pipeline.tools import dvcfile


def test_dvc_yaml_is_current() -> None:
    folders = declaration.source_folders(params.load(PROJECT / "params.yaml").image_sets())
    found = (PROJECT / "dvc.yaml").read_text()
    assert found == dvcfile.text(folders), "run `python -m pipeline dvc-yaml`"


def test_every_stage_is_in_it_once() -> None:
    lines = dvcfile.text().splitlines()
    for stage in declaration.STAGES:
        assert lines.count(f"  {stage.name}:") == 1


def test_a_report_depends_on_the_folder_that_every_experiment_of_its_task_writes_into() -> None:
    _, _, report = dvcfile.text().partition("\n  report:\n")
    assert report.startswith("    foreach: ${tasks}\n")
    assert "        - runs/dvc/evaluate/${key}\n" in report


def test_names_are_quoted_in_commands() -> None:
    """DVC puts a name into the command before the pipeline could refuse it."""
    commands = [line for line in dvcfile.text().splitlines() if "cmd:" in line]
    assert len(commands) == len(declaration.STAGES)
    assert all(line.count("'${key}'") == line.count("${") == 1 for line in commands)


def test_another_file_of_parameters_gets_a_pipeline_next_to_it() -> None:
    content = YAML(typ="safe").load(dvcfile.text(params=Path("results/recipes.yaml")))
    assert content["vars"] == ["recipes.yaml"]
    for stage in (group["do"] for group in content["stages"].values()):
        assert stage["wdir"] == ".."
        assert stage["cmd"].endswith(" --root runs/dvc-recipes --params results/recipes.yaml")
        assert [list(entry) for entry in stage["params"]] == [["results/recipes.yaml"]]
        written = [*stage.get("outs", []), *stage.get("metrics", [])]
        assert written and all(path.startswith("runs/dvc-recipes/") for path in written)


@pytest.mark.parametrize("path", ["recipes.yaml", "../recipes.yaml"])
def test_a_file_whose_pipeline_would_replace_the_projects_is_refused(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    with pytest.raises(ValueError, match=r"recipes\.yaml: expected params\.yaml, or a file in a folder of the project"):
        dvc_yaml(params=Path(path))


def test_a_folder_stands_for_its_files_where_it_holds_nothing_else(tmp_path: Path) -> None:
    files = ("a/x.py", "a/y.py", "a/in/z.py", "b/x.py", "b/y.py", "b/in/x.py", "b/in/y.py", "c/x.py", "top.py")
    for name in (*files, "b/other.py", "a/__pycache__/x.pyc", "a/.x.py.swp", "a/x.py~"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = dvcfile.gathered(files, tmp_path)
    assert found == ["a", "b/in", "b/x.py", "b/y.py", "c/x.py", "top.py"]


def test_what_it_depends_on_is_what_the_stages_depend_on_and_no_more() -> None:
    for stage in declaration.STAGES:
        modules, entries = set(stage.modules), set(dvcfile.gathered(stage.modules, PROJECT))
        assert all({module, *map(str, Path(module).parents)} & entries for module in modules)
        files = {file for entry in entries - modules for file in (PROJECT / entry).rglob("*.*") if file.is_file()}
        named = {file.relative_to(PROJECT).as_posix() for file in files if file.suffix != ".pyc"}
        assert named <= modules
