"""Several processes: which nodes they run on, how they share threads, and when a stage starts them at all."""

from pathlib import Path

import pytest

from pipeline import PROJECT
from pipeline.params import FinetuneParams
from pipeline.running import launch
from pipeline.running.launch import Nodes, nodes_of, threads_of

FOUR = FinetuneParams(num_processes=4)
STEP = {
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "41234",
}


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that knows the nodes of STEP."""
    program = tmp_path / "scontrol"
    program.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[07-08]" ] && printf "node07\\nnode08\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(("processes", "count"), [(4, 1), (8, 2)])
def test_the_guide_shows_what_is_started(processes: int, count: int) -> None:
    guide = (PROJECT / "docs/cluster.md").read_text().replace("\\\n", " ")
    lines = [
        line.split()
        for line in guide.splitlines()
        if line.startswith(f"accelerate launch --num_processes {processes} ")
    ]
    settings = FinetuneParams(num_processes=processes, batch=32)
    nodes = Nodes() if count == 1 else Nodes(count, "$NODE_RANK", "node07", launch.PORT)  # type: ignore[arg-type]
    (line,) = lines
    assert line[4 : line.index("--module")] == launch._options(settings, nodes)


def test_without_a_word_it_is_this_node() -> None:
    assert nodes_of({}) == Nodes(1, 0, "127.0.0.1", 0)
    # A batch script of two nodes that starts the stage without srun, and Snakemake's own step
    assert nodes_of({"SLURM_JOB_NUM_NODES": "2", "SLURM_NNODES": "2"}) == Nodes()
    assert nodes_of({**STEP, "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "1"}) == Nodes()


@pytest.mark.usefixtures("scontrol")
def test_the_nodes_of_srun() -> None:
    assert nodes_of(STEP) == Nodes(2, 1, "node07", 21234)


def test_nodes_by_hand() -> None:
    given = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.7"}
    assert nodes_of(given) == Nodes(2, 1, "10.0.0.7", launch.PORT)
    assert nodes_of({**given, "MASTER_PORT": "1234"}).port == 1234
    assert nodes_of({**given, **STEP}).address == "10.0.0.7"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"NNODES": "2", "NODE_RANK": "1"}, "found no MASTER_ADDR"),
        ({"NNODES": "2", "NODE_RANK": "last", "MASTER_ADDR": "a"}, "NODE_RANK: found 'last'"),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "8"}, "found 8 tasks on 2 nodes, expected one a node"),
        ({"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "4"}, "found 4 tasks on 1 nodes"),
    ],
)
def test_what_cannot_work_is_said(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nodes_of(environment)


def test_threads_are_shared_out() -> None:
    assert threads_of({"OMP_NUM_THREADS": "32"}, 4) == {"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"}
    assert threads_of({"OMP_NUM_THREADS": "1"}, 4)["OMP_NUM_THREADS"] == "1"
    assert int(threads_of({}, 1)["OMP_NUM_THREADS"]) >= 1


def test_one_process_does_the_work_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not launch.ran(FinetuneParams(), "experiments.one.finetune", "finetune")
    assert not launch.ran(FinetuneParams(num_processes=4, steps=0), "experiments.one.finetune", "finetune")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert not launch.ran(FOUR, "experiments.one.finetune", "finetune")


def test_processes_that_do_not_fit_the_nodes_or_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NNODES": "3", "NODE_RANK": "0", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"experiments\.one\.finetune\.num_processes: found 4, expected a multiple"):
        launch.ran(FOUR, "experiments.one.finetune", "finetune")
    monkeypatch.delenv("NNODES")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ACCELERATE_USE_CPU"):
        monkeypatch.setenv(name, "1" if name.endswith("THREADS") else "false")  # put back afterwards
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"num_processes: found 2 GPUs on this node, expected 4"):
        launch.ran(FOUR, "experiments.one.finetune", "finetune")


def test_accelerate_is_told_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.launch import launch_command_parser

    given: list[list[str]] = []
    monkeypatch.setattr(launch, "_launch", given.append)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ACCELERATE_USE_CPU"):
        monkeypatch.setenv(name, "1")  # put back afterwards
    four = FinetuneParams(num_processes=4, precision="bf16")
    assert launch.ran(four, "experiments.one.finetune", "finetune", "--experiment", "one")
    options = launch_command_parser().parse_args(given[0])
    assert (options.num_processes, options.num_machines, options.multi_gpu) == (4, 1, True)
    assert (options.mixed_precision, options.module, options.training_script) == ("bf16", True, "pipeline")
    assert options.training_script_args == ["finetune", "--experiment", "one"]
