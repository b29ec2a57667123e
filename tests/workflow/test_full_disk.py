"""A stage that runs out of room says so in one line, and leaves what was there before as it was."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workflow import jobs
from tests.workflow.jobs import Built, Job

pytestmark = pytest.mark.xdist_group("kill")

SIZE = 4 << 20
MESSAGES = 4096  # bytes: room for what a stage prints, below the size of what it writes

each_stage = pytest.mark.parametrize(
    "job", [job for job in jobs.every() if job.target.get("experiment", "net") == "net"], ids=lambda job: job.name
)


@pytest.fixture(scope="module")
def small_disk(built: Built) -> Iterator[Path]:
    """A disk of its own, in memory, with the results of every stage."""
    disk = built.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk of a few megabytes needs root")
    try:
        shutil.copytree(built.root, disk / "root")
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def results(root: Path) -> dict[str, str]:
    """Everything but checkpoints, which a stage that stopped half-way keeps."""
    return {name: digest for name, digest in jobs.contents(root).items() if not name.startswith("checkpoints/")}


def fill(disk: Path, free: int) -> None:
    """Leave about `free` bytes."""
    with (disk / "filler").open("wb", buffering=0) as file:
        left = os.statvfs(disk)
        for size in (max(0, left.f_bavail * left.f_frsize - free), *([4096] * 4 if not free else [])):
            try:
                file.write(bytes(size))
            except OSError:
                break


def age(root: Path, job: Job) -> dict[str, str]:
    """Make a stage's outputs others than it would write again; the results then."""
    for name in job.outputs(results(root)):
        with (root / name).open("ab") as file:
            file.write(b" ")
    return results(root)


def check(said: str, status: int, problem: str) -> None:
    assert status == 2, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and problem in errors[0] and " free), expected room" in errors[0]
    assert "Traceback" not in said


@each_stage
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_full_disk_stops_a_stage_and_harms_nothing(built: Built, small_disk: Path, job: Job, share: float) -> None:
    root = small_disk / "root"
    before = age(root, job)
    sizes = [(root / name).stat().st_size for name in job.outputs(before)]
    fill(small_disk, int(share * sum(sizes)) // 4096 * 4096)
    try:
        status, said, _ = built.warm.stage(job.arguments(root, built.params), anyway=True)
        check(said, status, "no space left on its disk")
        assert "earlier outputs are kept" in said
        assert results(root) == before
        if job.stage.name == "prepare":  # knows to the byte what it will write
            status, said, _ = built.warm.stage(job.arguments(root, built.params))
            assert status == 2 and " free on its disk, expected about " in said
    finally:
        (small_disk / "filler").unlink()
    status, said, _ = built.warm.stage(job.arguments(root, built.params))
    assert status == 0, said
    assert jobs.contents(root) == jobs.contents(built.root)


@pytest.fixture
def limited(built: Built) -> Callable[[Job], tuple[int, str, float]]:
    return lambda job: built.warm.stage(job.arguments(built.root, built.params), file_limit=MESSAGES)


@each_stage
def test_a_limit_of_files_sizes_stops_a_stage_and_harms_nothing(
    built: Built, job: Job, limited: Callable[[Job], tuple[int, str, float]]
) -> None:
    whole = jobs.contents(built.root)
    before = age(built.root, job)
    status, said, _ = limited(job)
    check(said, status, "a file as large as files may get here")
    assert results(built.root) == before
    status, said, _ = built.warm.stage(job.arguments(built.root, built.params))
    assert status == 0, said
    assert jobs.contents(built.root) == whole
