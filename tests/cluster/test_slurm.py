"""The pipeline on a SLURM cluster: every stage is a job that asks for what it declares; what is killed is made good."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline import declaration
from pipeline import params as parameter_file
from tests.cluster import slurm
from tests.workflow.project import SOURCE, Project, make_project

pytestmark = pytest.mark.xdist_group("slurm")

PROFILE = ("--workflow-profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "3")
TABLES = "runs/snakemake/finetune/first/model.safetensors"
LONG = "steps: 4000, batch: 2, patch: 8, validate_every: 1000, checkpoint_every: 50"
PARAMS = """
data: {train: images/train, evaluate: [images/check], validate: 1}
tasks: {x2: {task: sr, scale: 2}}
tracking: {enabled: false}
experiments:
  first:
    family: srlut
    task: x2
    model: {}
    network: {width: 4}
    table: {interval: 6}
    train: {steps: 2, batch: 2, patch: 8, validate_every: 1}
    finetune: {steps: 2, batch: 2, patch: 8, validate_every: 1, num_processes: 2}
    evaluate: {sheets: 1}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has run on the cluster once."""
    project = make_project(tmp_path_factory.mktemp("cluster") / "project", tracking=False)
    (project.folder / "params.yaml").write_text(PARAMS)
    print(submit(project))
    return project


def submit(project: Project, *options: str) -> str:
    return project.python("-m", "snakemake", *PROFILE, *options)


@contextlib.contextmanager
def submitted(project: Project, *options: str) -> Iterator[Future[str]]:
    """Run Snakemake during the block; nothing is left of it afterwards."""
    with ThreadPoolExecutor() as threads:
        try:
            yield threads.submit(submit, project, *options)
        finally:
            slurm.end_jobs(60)


def job_of(stage: str, *, running: bool = False) -> dict[str, str]:
    """The newest job of a stage."""
    found = [job for job in slurm.jobs() if job["Comment"].startswith(f"rule_{stage}_")]
    found = [job for job in found if job["JobState"] == "RUNNING"] if running else found
    return max(found, key=lambda job: int(job["JobId"]))


def when_it_has_a_checkpoint(project: Project, future: Future[str]) -> None:
    path = project.folder / "runs/snakemake/checkpoints/first/finetune/checkpoint.safetensors"
    ends = time.monotonic() + 600
    while not path.is_file():
        assert not future.done() and time.monotonic() < ends, future.exception() if future.done() else "too slow"
        time.sleep(0.02)


def process_of(project: Project, stage: str) -> int:
    """The stage's process, by what it runs and where: the nodes of the cluster are this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = (folder / "cmdline").read_text().split("\0")
            if words[1:4] == ["-m", "pipeline", stage] and (folder / "cwd").readlink() == project.folder:
                return int(folder.name)
    raise AssertionError(f"no process runs {stage}")


def unfinished(project: Project) -> list[Path]:
    return [path for path in (project.folder / "runs").rglob("*") if path.name.endswith(".tmp")]


def test_every_stage_is_a_job_that_asks_for_what_it_declares(built: Project) -> None:
    ran = {job["Comment"].split("_")[1]: job for job in slurm.jobs()}
    assert set(ran) == {"prepare", "train", "export", "finetune", "evaluate"}
    assert (built.folder / "runs/snakemake/report/x2/report.md").is_file()
    settings = parameter_file.load(built.folder / "params.yaml")
    for name, job in ran.items():
        asked = declaration.find(name).resources_of(settings, experiment="first", task="x2")
        resources = dict(entry.split("=") for entry in job["TRES"].split(","))
        assert job["JobState"] == "COMPLETED"
        assert int(resources["cpu"]) == asked.threads
        assert megabytes(resources["mem"]) == asked.mem_mb
        assert minutes(job["TimeLimit"]) == asked.runtime
        assert gpus(job) == asked.gpu
        assert resources["node"] == "1"
    said = (built.folder / "runs/snakemake/logs/finetune/first.log").read_text()
    assert "2 processes, cpu" in said


def test_the_quick_comparison_runs_on_the_cluster(tmp_path: Path) -> None:
    project = make_project(tmp_path / "comparison", tracking=True)
    shutil.copy(SOURCE / "params.yaml", project.folder)
    before = {job["JobId"] for job in slurm.jobs()}
    root = project.folder / "runs/snakemake"
    threads = ("--set-threads", *(f"{stage}=1" for stage in ("train", "export", "finetune", "evaluate")))
    submit(project, *threads, "--", "runs/snakemake/report/x4/report.html")  # this machine has fewer than it claims
    ran = Counter(job["Comment"].split("_")[1] for job in slurm.jobs() if job["JobId"] not in before)
    settings = parameter_file.load(project.folder / "params.yaml")
    names = [name for name, block in settings.experiments.items() if block.task == "x4"]
    assert ran == {"prepare": 1} | dict.fromkeys(("train", "export", "finetune", "evaluate"), len(names))
    print((root / "report/x4/report.md").read_text())
    for name in names:
        scores = json.loads((root / "evaluate/x4" / name / "metrics.json").read_text())
        assert scores["finetuned"]["samples"]["psnr_y"] > scores["bicubic"]["samples"]["psnr_y"] + 0.5
    client = MlflowClient(f"sqlite:///{project.folder}/runs/mlflow.db")
    logged = client.search_runs(
        [found.experiment_id for found in client.search_experiments()],
        "tags.stage = 'evaluate' and tags.latest = 'true' and attributes.status = 'FINISHED'",
    )
    assert sorted(run.data.tags["experiment"] for run in logged) == sorted(names)


def gpus(job: dict[str, str]) -> int:
    """The GPUs that a job asks for."""
    return int(job.get("TresPerJob", "gres:gpu:0").rpartition(":")[2])


def megabytes(text: str) -> float:
    return float(text[:-1]) * {"M": 1, "G": 1000 if float(text[:-1]) % 1 else 1024}[text[-1]]


def minutes(text: str) -> int:
    days, _, clock = text.rpartition("-")
    hours, minute, _ = map(int, clock.split(":"))
    return int(days or 0) * 1440 + hours * 60 + minute


def test_a_second_call_submits_nothing(built: Project) -> None:
    before = len(slurm.jobs())
    assert "Nothing to be done" in submit(built)
    assert len(slurm.jobs()) == before


def test_a_job_that_is_killed_is_retried_and_resumes_to_the_same_result(built: Project) -> None:
    with built.edited("params.yaml", lambda text: re.sub(r"steps: 2(.*), num_processes: 2", LONG, text)):
        options = ("--set-resources", "finetune:gpu=0", "--set-threads", "finetune=1", "--", TABLES)
        with submitted(built, *options) as run:
            when_it_has_a_checkpoint(built, run)
            killed = job_of("finetune", running=True)
            assert gpus(killed) == 0
            os.kill(process_of(built, "finetune"), signal.SIGKILL)  # as the kernel does when memory runs out
            run.result(timeout=900)
        assert job_of("finetune")["JobId"] != killed["JobId"]
        said = (built.folder / "runs/snakemake/logs/finetune/first.log").read_text()
        resumed = re.search(r"resuming at step (\d+)", said)
        assert resumed and int(resumed[1]) % 50 == 0  # checkpoint_every: nothing was left to do for the killed one
        whole = built.folder / "runs/whole"
        for stage in ("prepare", "export"):
            shutil.copytree(built.folder / "runs/snakemake" / stage, whole / stage)
        built.python("-m", "pipeline", "finetune", "--experiment", "first", "--root", "runs/whole")
        uninterrupted = (whole / "finetune/first/model.safetensors").read_bytes()
        assert (built.folder / TABLES).read_bytes() == uninterrupted


def test_a_cancelled_job_leaves_nothing_half_written_and_a_second_call_finishes(built: Project) -> None:
    changed = f"{LONG}, seed: 1"
    with built.edited("params.yaml", lambda text: re.sub(r"steps: 2(.*), num_processes: 2", changed, text)):
        with submitted(built, "--retries", "0", "--", TABLES) as run:
            when_it_has_a_checkpoint(built, run)
            assert slurm.answers("scancel", job_of("finetune", running=True)["JobId"])
            with pytest.raises(AssertionError, match="CANCELLED"):
                run.result(timeout=900)
        assert not unfinished(built)
        assert not (built.folder / TABLES).exists()
        assert "interrupted" in (built.folder / "runs/snakemake/logs/finetune/first.log").read_text()
        submit(built)
        assert "resuming at step" in (built.folder / "runs/snakemake/logs/finetune/first.log").read_text()
        assert not unfinished(built)
        assert (built.folder / TABLES).is_file()
