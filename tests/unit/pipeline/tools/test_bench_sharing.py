"""The benchmark of training on a machine that does other work: what it measures, and that it leaves nothing running."""

import json
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.tools import bench_sharing


def test_steps_are_measured_alone_with_busy_processes_and_in_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_sharing, "SECONDS", 0.02)
    monkeypatch.setattr(bench_sharing, "TURNS", 1)
    record = tmp_path / "bench.json"
    record.write_text('{"batch": 32}')
    command = ["bench-training", "--busy", "2", "--family", "srlut", "--json", str(record)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert "2 busy" in result.stdout and "srlut" in result.stdout
    content = json.loads(record.read_text())
    assert content["batch"] == 32  # the file's other figures stay
    assert content["sharing"]["command"] == "python -m pipeline bench-training --busy 2"
    row = content["sharing"]["families"]["srlut"]
    assert min(row.values()) > 0
    assert row["busy_ratio"] == pytest.approx(row["busy_seconds"] / row["seconds"], rel=0.01)
    assert row["pair_ratio"] == pytest.approx(row["pair_seconds"] / row["one_thread_seconds"], rel=0.01)
    assert not [child for child in psutil.Process().children() if "while True" in " ".join(child.cmdline())]


def test_busy_processes_run_while_the_block_does() -> None:
    with bench_sharing._busy(2):
        children = [child for child in psutil.Process().children() if "while True" in " ".join(child.cmdline())]
        assert len(children) == 2
    assert not any(child.is_running() for child in children)
