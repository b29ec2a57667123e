"""The benchmark of the stages' start."""

from pathlib import Path

import pytest

from pipeline import declaration
from pipeline.tools import bench_start

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"


def test_every_part_of_a_start_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_start, "STAGES", (declaration.find("export"),))
    record = bench_start.run(PARAMS, rounds=1, report=lambda text: None)
    parts = record["stages"]["export"]
    assert list(parts) == list(bench_start.PARTS)
    assert parts["torch"] == 0 and all(
        parts[part] > 0 for part in ("interpreter", "command line", "parameters", "MLflow")
    )
    assert len(bench_start.start_table(record).rows) == 1


def test_a_stage_that_imports_torch_and_need_not_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_start, "STAGES", (declaration.find("train"),))
    monkeypatch.setattr(bench_start, "TRAINS", ())
    with pytest.raises(ValueError, match="train: found torch after its imports"):
        bench_start.run(PARAMS, rounds=1, report=lambda text: None)
