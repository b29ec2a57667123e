"""The committed dvc.yaml is the one that the stages and params.yaml give."""

from pipeline import PROJECT, declaration, params
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
