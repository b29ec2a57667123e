"""Several processes train as one does, share the work out, write once, and stop together when they are told to."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lutra.imaging.images import write_image
from lutra.model import artifact
from tests.golden.cases import image
from tests.workflow.project import SOURCE
from tests.workflow.warm import Warm

pytestmark = pytest.mark.xdist_group("processes")

PARAMS = """
data: {{train: {images}, evaluate: [{images}], validate: 1}}
tasks: {{x2: {{task: sr, scale: 2}}}}
tracking: {{enabled: {tracking}, uri: "sqlite:///{database}"}}
experiments:
  one:
    family: mulut
    task: x2
    model: {{patterns: sd}}
    network: {{width: 4}}
    table: {{interval: 5, dfc: {{interval: 6}}}}
    train: {{method: network, steps: 3, batch: 4, patch: 12, validate_every: 2, num_processes: {processes}}}
    finetune: {{steps: {steps}, batch: 4, patch: 12, validate_every: 2, num_processes: {processes}{more}}}
    evaluate: {{}}
"""
TWO = "--multi_gpu --num_processes 2 --num_machines 1 --main_process_port 0 --mixed_precision no --dynamo_backend no"
PATIENCE = 600
"""Seconds until something hangs, and is not merely slow on a busy machine."""
ENVIRONMENT = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}

STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="module")
def quick(warm_programs: Warm) -> str:
    """A `python` that starts at once, and whose stages start their processes by it, which are no children of theirs."""
    return str(warm_programs.folder / "python")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, quick: str) -> Path:
    """Images, and a root in which one process has made tables."""
    made = tmp_path_factory.mktemp("exported")
    (made / "images").mkdir()
    for number in range(3):
        write_image(made / "images" / f"{number}.png", image(60 + number, 64))
    write_params(made, 1)
    for stage in ("prepare", "train", "export"):
        run(quick, made, made / "root", stage)
    return made


@pytest.fixture
def folder(tmp_path: Path, exported: Path) -> Path:
    """The images, and the parameters for one process and for two: `params-1.yaml`, `params-2.yaml`."""
    (tmp_path / "images").symlink_to(exported / "images")
    for processes in (1, 2):
        write_params(tmp_path, processes)
    return tmp_path


def write_params(folder: Path, processes: int, *, steps: int = 4, tracking: bool = False, more: str = "") -> None:
    values = {"images": folder / "images", "database": folder / "mlflow.db", "tracking": str(tracking).lower()}
    text = PARAMS.format(processes=processes, steps=steps, more=more, **values)
    (folder / f"params-{processes}.yaml").write_text(text)


def command(folder: Path, root: Path, stage: str, processes: int) -> list[str]:
    target = ["--task", "x2"] if stage == "prepare" else ["--experiment", "one"]
    return ["pipeline", stage, "--root", str(root), "--params", str(folder / f"params-{processes}.yaml"), *target]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """What a test started and did not wait for ends with it."""
    yield
    while STARTED:
        process = STARTED.pop()
        for one in (*descendants(process.pid), process.pid):
            if process.poll() is None:
                os.kill(one, signal.SIGKILL)
        process.communicate()


def start(python: str, arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [python, "-m", *arguments],
        cwd=SOURCE,
        env=os.environ | ENVIRONMENT | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    STARTED.append(process)
    return process


def run(python: str, folder: Path, root: Path, stage: str, processes: int = 1) -> str:
    """A stage as its parameters say; what it printed."""
    process = start(python, command(folder, root, stage, processes))
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0, said
    return said


def descendants(parent: int) -> set[int]:
    """The processes that a process started, and what they started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
    found, ahead = set(), {parent}
    while ahead:
        found |= (ahead := {child for child, its in parents.items() if its in ahead})
    return found


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + PATIENCE
    while not path.is_file():
        assert process.poll() is None and time.monotonic() < ends
        time.sleep(0.02)


def test_two_processes_train_as_one_does(folder: Path, exported: Path, quick: str) -> None:
    one, two = folder / "one", folder / "two"
    for root in (one, two):
        shutil.copytree(exported / "root" / "prepare", root / "prepare")
    assert "2 processes, cpu" not in run(quick, folder, one, "train")
    said = run(quick, folder, two, "train", 2)
    assert said.count("2 processes, cpu") == 1 and said.count("step 3/3") == 1
    for root in (one, two):
        run(quick, folder, root, "export")
    for processes, root in enumerate((one, two), start=1):
        write_params(folder, processes, tracking=True)
        run(quick, folder, root, "finetune", processes)
    assert logged_processes(folder) == {"one": "1", "two": "2"}
    first, second = (artifact.load(root / "finetune/one/model.safetensors") for root in (one, two))
    for name, tensor in first.tensors.items():
        # Gradients are the same but for the order of their sums, which Adam's first steps may blow up to a level.
        difference = np.abs(tensor.astype(np.int32) - second.tensors[name].astype(np.int32))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    curves = [(root / "finetune/one/curve.csv").read_text().splitlines() for root in (one, two)]
    assert len(curves[0]) == len(curves[1])
    assert not (two / "checkpoints/one/finetune").exists()


def logged_processes(folder: Path) -> dict[str, str]:
    """The processes of each root's finetuning, as MLflow knows them."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lutra")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.stage = 'finetune'")
    return {Path(run.data.tags["root"]).name: run.data.params["processes"] for run in runs}


def test_a_signal_to_the_stage_stops_its_processes_at_a_checkpoint(folder: Path, exported: Path) -> None:
    root = folder / "root"
    shutil.copytree(exported / "root", root)
    write_params(folder, 2, steps=100_000, more=", checkpoint_every: 4")
    stage = start(sys.executable, command(folder, root, "finetune", 2))
    wait_for(root / "checkpoints/one/finetune/checkpoint.safetensors", stage)
    stop(stage, signal.SIGTERM, root)
    stage = start(sys.executable, command(folder, root, "finetune", 2))
    wait_until_resumed(stage)
    stop(stage, signal.SIGINT, root)
    stage = start(sys.executable, command(folder, root, "finetune", 2))
    wait_until_resumed(stage)
    stage.send_signal(signal.SIGKILL)  # nobody hands this one on
    ranks = descendants(stage.pid)
    stage.communicate(timeout=PATIENCE)
    ends = time.monotonic() + PATIENCE
    while [process for process in ranks if Path(f"/proc/{process}").exists()]:
        assert time.monotonic() < ends, "processes outlive their launcher"
        time.sleep(0.1)


def stop(stage: subprocess.Popen[str], number: int, root: Path) -> None:
    """Send a signal to a stage and its two processes, as a scheduler does; the launcher hands its own on besides."""
    ranks = descendants(stage.pid)
    assert len(ranks) == 2
    for process in (stage.pid, *ranks):
        os.kill(process, number)
    said = stage.communicate(timeout=PATIENCE)[1]
    assert stage.returncode == 130 and said.count("interrupted") == 3, said
    assert "Traceback" not in said
    assert not [process for process in ranks if Path(f"/proc/{process}").exists()]
    assert not list(root.rglob("*.tmp"))


def wait_until_resumed(stage: subprocess.Popen[str]) -> None:
    assert stage.stderr is not None
    lines = iter(stage.stderr.readline, "")
    assert next(line for line in lines if "resuming" in line).startswith("resuming at step ")
    assert next(line for line in lines if line.startswith("step "))  # both processes train


def test_a_killed_process_ends_the_stage_which_continues_to_the_same_result(
    folder: Path, exported: Path, quick: str
) -> None:
    killed, whole = folder / "killed", folder / "whole"
    for root in (killed, whole):
        shutil.copytree(exported / "root", root)
    write_params(folder, 2, steps=100, more=", checkpoint_every: 10")
    run(quick, folder, whole, "finetune", 2)
    stage = start(sys.executable, command(folder, killed, "finetune", 2))
    wait_for(killed / "checkpoints/one/finetune/checkpoint.safetensors", stage)
    os.kill(max(descendants(stage.pid)), signal.SIGKILL)
    said = stage.communicate(timeout=PATIENCE)[1]
    assert stage.returncode == 128 + signal.SIGKILL and "was ended by SIGKILL" in said, said
    assert not (killed / "finetune").exists()
    assert "resuming at step" in run(quick, folder, killed, "finetune", 2)
    for name in ("model.safetensors", "curve.csv"):
        results = [(root / "finetune/one" / name).read_bytes() for root in (killed, whole)]
        assert results[0] == results[1]


def test_the_parameters_say_how_many_processes_there_are(folder: Path, exported: Path, quick: str) -> None:
    shutil.copytree(exported / "root" / "prepare", folder / "root" / "prepare")
    by_hand = ["accelerate.commands.launch", *TWO.split(), "-m"]
    stage = start(quick, [*by_hand, *command(folder, folder / "root", "train", 1)])
    said = stage.communicate(timeout=PATIENCE)[1]
    assert stage.returncode != 0
    assert "error: experiments.one.train.num_processes: found 2 processes, expected 1; start the stage" in said


def test_a_mistake_of_the_processes_is_the_stages(folder: Path, quick: str) -> None:
    stage = start(quick, command(folder, folder / "absent", "train", 2))
    said = stage.communicate(timeout=PATIENCE)[1]
    assert stage.returncode == 2 and "run `python -m pipeline prepare`" in said and "Traceback" not in said


def test_two_nodes_train_together(folder: Path, exported: Path, quick: str) -> None:
    """Both nodes are this machine; each has a launcher of its own, as `srun` would start it."""
    root = folder / "root"
    shutil.copytree(exported / "root" / "prepare", root / "prepare")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {"NNODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    nodes = [start(quick, command(folder, root, "train", 2), **where, NODE_RANK=rank) for rank in ("0", "1")]
    said = [node.communicate(timeout=PATIENCE)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "2 processes, cpu" in said[0] and "step 3/3" in said[0] and "step 3/3" not in said[1]
    assert (root / "train/one/network.safetensors").is_file()
