"""Two runs of one stage for one target never overlap; what killed runs left is cleared, and nothing else."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lutra.files import whole_folder
from pipeline.running import guard

PROJECT = Path(__file__).resolve().parents[4]
HOLD = """
import sys, time
from pathlib import Path
from pipeline.running import guard
with guard.exclusive("report", Path(sys.argv[1]), task="x4"):
    print("held", flush=True)
    time.sleep(600)
"""
TAKE = """
import sys
from pathlib import Path
from pipeline.running import guard
with guard.exclusive("report", Path(sys.argv[1]), task="x4"):
    print("taken")
"""


@pytest.fixture(autouse=True)
def alone_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "NODE_RANK", "SLURM_NODEID", guard.HELD):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def holder(root: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(root)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_run_is_refused_by_the_command_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "data: {train: photos, evaluate: [samples], validate: 1}\ntasks: {x4: {task: sr, scale: 4}}\nexperiments: {}\n"
    )
    arguments = ["report", "--task", "x4", "--root", str(tmp_path), "--params", str(tmp_path / "params.yaml")]
    with holder(tmp_path) as process:
        command = [sys.executable, "-m", "pipeline", *arguments]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        f"error: report of x4 into {tmp_path}: found it running already (process {process.pid} on "
    )
    assert done.stderr.endswith("), expected one run at a time\n")


def test_a_lock_ends_with_the_process_that_was_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with guard.exclusive("report", tmp_path, task="x4"):
            assert str(os.getpid()) in (tmp_path / ".locks" / "report-x4.json").read_text()


def test_other_stages_targets_and_roots_are_free(tmp_path: Path) -> None:
    with holder(tmp_path):
        for name, root, task in (
            ("prepare", tmp_path, "x4"),
            ("report", tmp_path, "x2"),
            ("report", tmp_path / "a", "x4"),
        ):
            with guard.exclusive(name, root, task=task):
                pass


@pytest.mark.parametrize("rank", [None, "0"])
def test_the_main_process_takes_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str | None) -> None:
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with (
        holder(tmp_path),
        pytest.raises(ValueError, match="running already"),
        guard.exclusive("report", tmp_path, task="x4"),
    ):
        pass


def test_other_ranks_run_beside_the_main_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with holder(tmp_path), guard.exclusive("report", tmp_path, task="x4"):
        pass


@pytest.mark.parametrize("name", ["NODE_RANK", "SLURM_NODEID"])
def test_other_nodes_run_beside_the_first_where_several_processes_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with holder(tmp_path):
        with guard.exclusive("report", tmp_path, task="x4", several=True):
            pass
        with pytest.raises(ValueError, match="running already"), guard.exclusive("report", tmp_path, task="x4"):
            pass


def test_children_run_under_their_parents_lock(tmp_path: Path) -> None:
    take = [sys.executable, "-c", TAKE, str(tmp_path)]
    with guard.exclusive("report", tmp_path, task="x4"):
        child = subprocess.run(take, cwd=PROJECT, capture_output=True, text=True, check=True)
        assert child.stdout == "taken\n"
        with (
            as_a_stranger(),
            pytest.raises(ValueError, match="already"),
            guard.exclusive("report", tmp_path, task="x4"),
        ):
            pass
    with guard.exclusive("report", tmp_path, task="x4"):
        pass


@contextmanager
def as_a_stranger() -> Iterator[None]:
    """Act as a process that was started by somebody else."""
    held = os.environ.pop(guard.HELD)
    try:
        yield
    finally:
        os.environ[guard.HELD] = held


def test_what_killed_runs_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    left = [
        "train/a/.network.safetensors.17.tmp",
        "train/a/.curve.csv.18.tmp",
        "checkpoints/a/train/.checkpoint.safetensors.17.tmp",
        "prepare/.x4.3.tmp/train/target.npy",
        "prepare/.x4.3.old.tmp/index.json",
    ]
    kept = [
        "train/a/network.safetensors",
        "train/b/.network.safetensors.17.tmp",
        "finetune/a/.curve.csv.18.tmp",
        "checkpoints/a/train/checkpoint.safetensors",
        "checkpoints/a/finetune/.checkpoint.safetensors.17.tmp",
        "prepare/.x4-large.3.tmp/train/target.npy",
        "prepare/x4/index.json",
    ]
    for name in left + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with guard.exclusive("train", tmp_path, task="x4", experiment="a"), guard.exclusive("prepare", tmp_path, task="x4"):
        pass
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".locks")} == set(kept)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on its disk"),
        (errno.EDQUOT, "its disk quota used up"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_a_full_disk_is_said_with_its_place(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(OSError, match=words) as caught, guard.exclusive("train", tmp_path, task="x4", experiment="a"):
        raise OSError(number, "short")
    assert str(caught.value).startswith(f"{tmp_path}/train/a: found ")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), guard.exclusive("train", tmp_path, task="x4", experiment="a"):
        raise FileNotFoundError("absent")
    assert [path.name for path in (tmp_path / ".locks").iterdir()] == ["train-a.lock"]


def test_unknown_stages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not one of"), guard.exclusive("distil", tmp_path, task="x4"):
        pass


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    for number in (1, 2):
        with whole_folder(place) as made:
            (made / f"{number}.txt").write_text("x")
        assert [path.name for path in place.iterdir()] == [f"{number}.txt"]
    with pytest.raises(RuntimeError), whole_folder(place) as made:
        (made / "3.txt").write_text("x")
        raise RuntimeError
    assert [path.name for path in place.iterdir()] == ["2.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
