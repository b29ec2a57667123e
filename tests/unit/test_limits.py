"""Processors that a process may use: affinity, and quotas of control groups."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lutra import limits
from lutra.evaluation import bench
from lutra.limits import processor_quota
from pipeline import PROJECT
from pipeline.reporting import record
from pipeline.running import launch


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {}, None),
        ("0::/job/step\n", {"job/cpu.max": "max 100000", "job/step/cpu.max": "max 100000"}, None),
        ("0::/job/step\n", {"job/cpu.max": "200000 100000"}, 2),
        ("0::/job/step\n", {"job/cpu.max": "400000 100000", "job/step/cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/job\n", {"job/cpu.max": "nonsense"}, None),
        ("4:cpu,cpuacct:/job\n0::/\n", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        (
            "4:cpu,cpuacct:/job\n0::/\n",
            {"cpu/job/cpu.cfs_quota_us": "300000", "cpu/job/cpu.cfs_period_us": "100000"},
            3,
        ),
        # A container of version 1 sees the host's name of its group, and its own limits at the top
        ("4:cpu:/docker/1f\n", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_the_least_quota_around_counts(
    tmp_path: Path, membership: str, files: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "self").write_text(membership)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert processor_quota(tmp_path, tmp_path / "self") == expected


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert processor_quota(tmp_path, tmp_path / "missing") is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (3, 3), (20, 8)])
def test_affinity_and_quota_bound_threads_everywhere(
    monkeypatch: pytest.MonkeyPatch, quota: int | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(limits, "_quota", lambda: quota)
    assert limits.processors() == expected
    assert bench.machine()["cores"] == record.hardware()["cores"] == expected
    assert launch.threads_of({}, 1)["OMP_NUM_THREADS"] == str(expected)


@pytest.mark.parametrize(
    ("given", "quota", "expected"),
    [("", None, 8), ("3", None, 3), ("64", None, 8), ("6", 2, 2), ("5,2", None, 5), ("0", None, 1), ("many", 3, 3)],
)
def test_threads_are_those_given_and_no_more_than_the_processors(
    monkeypatch: pytest.MonkeyPatch, given: str, quota: int | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(limits, "_quota", lambda: quota)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert limits.limit_threads() == expected
    assert os.environ["OMP_NUM_THREADS"] == str(expected)


def test_a_stage_takes_no_more_threads_than_there_are_and_says_so_once() -> None:
    code = """
import sys
from types import SimpleNamespace
from pipeline.commands import stages
module = SimpleNamespace(run=lambda job: __import__("torch") and print(sys.modules["torch"].get_num_threads()))
stages.import_module = lambda name: module
stages._run("prepare", stages.Path("params.yaml"), stages.Path(sys.argv[1]), task="x4")
"""
    environment = os.environ | {"OMP_NUM_THREADS": "400"}
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-W", "ignore", "-c", code, root]
        ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    found = limits.processors()
    assert ended.stdout == f"{found}\n"
    assert ended.stderr.startswith("prepare x4: ") and ended.stderr.count("\n") == 1
    assert ended.stderr.endswith(f"; threads: {found}\n")
