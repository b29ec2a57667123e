"""Records that cannot be sent or read: refused by the server, damaged, or without a place to be kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import tracking
from pipeline.__main__ import app
from pipeline.params import TrackingParams
from pipeline.tracking import journal, sending
from tests.unit.pipeline.tracking.stages import log, runs, waiting


def test_what_a_server_refuses_does_not_keep_back_the_rest(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tracking.stage_run(
        TrackingParams(uri=uri), stage="train", experiment="a", root=tmp_path, params={"not allowed?!": 1}
    ) as run:
        run.metrics({"loss": 0.5})
    (logged,) = runs(uri)
    assert (logged.info.status, logged.data.params, logged.data.metrics) == ("FINISHED", {}, {"loss": 0.5})
    assert capfd.readouterr().err.startswith("tracking: params left out: MLflow says ")
    assert waiting(tmp_path) == []


def test_a_run_that_cannot_be_sent_does_not_keep_back_later_ones(
    uri: str, tmp_path: Path, down: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create = MlflowClient.create_run

    def refuse(self: MlflowClient, experiment: str, time: int, tags: dict[str, str], name: str) -> Any:
        if tags["experiment"] == "refused":
            raise ValueError("no such run here")
        return create(self, experiment, time, tags, name)

    monkeypatch.setattr(MlflowClient, "create_run", refuse)
    down(True)
    for steps in range(4):
        log(uri, steps=steps)
    down(False)
    damaged, _, refused, _ = (path for path in waiting(tmp_path) if path.suffix == ".jsonl")
    damaged.write_text("{")
    refused.write_text(refused.read_text().replace('"experiment": "a"', '"experiment": "refused"'))
    with pytest.raises(ValueError, match=rf"^{damaged}: damaged, "):
        tracking.sync(TrackingParams(uri=uri))
    assert {run.data.params["steps"] for run in runs(uri)} == {"1", "3"}
    damaged.unlink()
    with pytest.raises(ValueError, match=rf"^{refused}: MLflow refuses it \(no such run here\)"):
        tracking.sync(TrackingParams(uri=uri))
    assert refused in waiting(tmp_path)


def test_a_stage_names_a_damaged_file_and_logs_all_the_same(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tracking" / "mlflow-pending" / "damaged.json"
    file.parent.mkdir()
    file.write_text("{")
    log(uri)
    expected = f"tracking: {file}: damaged, expected a run that waits to be sent; remove it to lose it\n"
    assert capfd.readouterr().err == expected
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_a_folder_that_cannot_be_written_is_named_and_the_run_sent(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tracking" / "mlflow-pending").write_text("a file in its place")
    log(uri)
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith(f"tracking: incomplete: {tmp_path}/tracking/mlflow-pending/")
    assert said.endswith(".jsonl: File exists")
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_what_fails_while_the_server_answers_is_tried_three_times(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fail(self: sending.Sender, record: journal.RunRecord, **_: Any) -> None:
        tried.append(record.tries)
        raise OSError("the files' disk is full")

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sending.Sender, "_artifact", fail)
    log(uri, (tmp_path / "file",))
    assert tried == [0]  # a stage tries once
    for _ in range(3):
        tracking.sync(TrackingParams(uri=uri))
    assert tried == [0, 1, 2]
    (logged,) = runs(uri)
    assert (logged.info.status, logged.data.tags["latest"]) == ("FINISHED", "true")


@pytest.mark.parametrize(
    "content", ["", '{"server": "a", "project": "b", "run_id": "", "ended": true, "operations": [{}]}']
)
def test_a_damaged_file_is_named_by_the_command(uri: str, tmp_path: Path, content: str) -> None:
    file = tmp_path / "tracking" / "mlflow-pending" / "damaged.json"
    file.parent.mkdir()
    file.write_text(content)
    (tmp_path / "params.yaml").write_text(
        f'data: {{train: a, evaluate: [b], validate: 1}}\ntasks: {{}}\ntracking: {{uri: "{uri}"}}\nexperiments: {{}}\n'
    )
    done = CliRunner().invoke(app, ["track", "sync", "--params", str(tmp_path / "params.yaml")])
    assert done.exit_code == 2
    assert done.stderr == f"error: {file}: damaged, expected a run that waits to be sent; remove it to lose it\n"
