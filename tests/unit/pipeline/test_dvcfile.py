"""The committed dvc.yaml is the one that the stages and params.yaml give."""

from pipeline import dvcfile, params, stages
from pipeline.stages import PROJECT


def test_dvc_yaml_is_current() -> None:
    data = params.load(PROJECT / "params.yaml").data
    folders = stages.source_folders([data.train, *data.evaluate])
    found = (PROJECT / "dvc.yaml").read_text()
    assert found == dvcfile.text(folders), "run `python -m pipeline dvc-yaml`"


def test_every_stage_is_in_it_once() -> None:
    lines = dvcfile.text().splitlines()
    for stage in stages.STAGES:
        assert lines.count(f"  {stage.name}:") == 1


def test_the_report_depends_on_the_folder_that_every_experiment_writes_into() -> None:
    _, _, report = dvcfile.text().partition("\n  report:\n")
    assert "foreach" not in report
    assert "      - runs/dvc/evaluate\n" in report
