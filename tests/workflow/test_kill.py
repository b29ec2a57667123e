"""Stages that are killed at random moments and started again end exactly where uninterrupted ones do."""

import random
import signal
from pathlib import Path

import pytest

from tests.workflow import jobs
from tests.workflow.jobs import Built, Job

pytestmark = pytest.mark.xdist_group("kill")

SEED = 20
KILLS = 20
MORE = ("train", "finetune")  # those with checkpoints are killed more than once
ATTEMPTS = 200  # a kill that comes too late is drawn again


def test_killed_stages_end_where_uninterrupted_ones_do(built: Built) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    every = jobs.every()
    more = rng.choices([job.name for job in every if job.stage.name in MORE], k=KILLS - len(every))
    expected, root = jobs.contents(built.root), built.folder / "killed"
    killed = 0
    for job in every:
        arguments, duration = job.arguments(root, built.params), built.durations[job.name]
        due = 1 + more.count(job.name)
        for _ in range(ATTEMPTS):
            if not due:
                break
            moment, resumed = rng.uniform(0, duration), _resumes(job, root)
            status, said, took = built.warm.stage(arguments, kill_after=moment)
            if status != -signal.SIGKILL:
                assert status == 0, said
                print(f"{job.name} ended before {moment:.2f} s")
                if not resumed:  # other work on the machine made it longer
                    duration = min(duration, took)
                continue
            due -= 1
            killed += 1
            left = jobs.contents(root)
            whole = job.outputs(left)
            assert whole.items() <= job.outputs(expected).items(), "a killed stage left half an output"
            temporary = sum(".tmp" in name for name in left)
            print(
                f"killed {job.name} after {moment:.2f} s of {duration:.2f} s:"
                f" {len(whole)} outputs, {temporary} temporary files, {'a' if _resumes(job, root) else 'no'} checkpoint"
            )
        assert not due
        status, said, _ = built.warm.stage(arguments)
        assert status == 0, said
    assert killed == KILLS
    assert jobs.contents(root) == expected
    assert not [path for path in root.rglob("*.tmp")]
    print(f"{killed} kills, {len(expected)} files equal")


def test_a_checkpoint_that_is_no_use_changes_nothing(built: Built) -> None:
    job = next(job for job in jobs.every() if job.name == "train/solved")
    before = jobs.contents(built.root)
    path = built.root / "checkpoints" / "solved" / "train" / "checkpoint.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not whole")
    status, said, _ = built.warm.stage(job.arguments(built.root, built.params))
    assert status == 0 and "least squares 1/" in said
    assert jobs.contents(built.root) == before


def _resumes(job: Job, root: Path) -> bool:
    experiment = job.target.get("experiment", "")
    return (root / "checkpoints" / experiment / job.stage.name / "checkpoint.safetensors").is_file()
