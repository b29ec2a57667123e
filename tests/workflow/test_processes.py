"""Two processes under `accelerate launch` train as one does, share the work out and write once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from lutra import artifact
from lutra.imaging.files import write_image
from tests.golden.cases import image
from tests.workflow.project import SOURCE

PARAMS = """
data: {{train: {images}, evaluate: [{images}], validate: 1}}
tasks: {{x2: {{task: sr, scale: 2}}}}
tracking: {{enabled: true, uri: "sqlite:///{database}"}}
experiments:
  one:
    family: mulut
    task: x2
    model: {{patterns: sd}}
    network: {{width: 4}}
    table: {{interval: 5, dfc: {{interval: 6}}}}
    train: {{method: network, steps: 3, batch: 4, patch: 12, validate_every: 2}}
    finetune: {{steps: 4, batch: 4, patch: 12, validate_every: 2}}
    evaluate: {{}}
"""
TWO = [
    "--multi_gpu",
    "--num_processes",
    "2",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
]


def run(folder: Path, root: Path, stage: str, *, two: bool = False) -> str:
    """A stage in one process, or in two CPU processes; what it printed."""
    launcher = [sys.executable, "-m"]
    if two:
        # `accelerate launch --cpu --num_processes 2` would start one process without a word.
        port = ["--main_process_port", "0"]
        launcher = [sys.executable, "-m", "accelerate.commands.launch", *TWO, *port, "-m"]
    command = [*launcher, "pipeline", stage, "--root", str(root), "--params", str(folder / "params.yaml")]
    target = ["--task", "x2"] if stage == "prepare" else ["--experiment", "one"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *target], cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", image(60 + number, 64))
    text = PARAMS.format(images=tmp_path / "images", database=tmp_path / "mlflow.db")
    (tmp_path / "params.yaml").write_text(text)
    one, two = tmp_path / "one", tmp_path / "two"
    run(tmp_path, one, "prepare")
    shutil.copytree(one, two)
    assert "2 processes, cpu" not in run(tmp_path, one, "train")
    said = run(tmp_path, two, "train", two=True)
    assert said.count("2 processes, cpu") == 1 and said.count("step 3/3") == 1
    for root in (one, two):
        run(tmp_path, root, "export")
    run(tmp_path, one, "finetune")
    run(tmp_path, two, "finetune", two=True)
    first, second = (artifact.load(root / "finetune/one/model.safetensors") for root in (one, two))
    for name, tensor in first.tensors.items():
        # Gradients are the same but for the order of their sums, which Adam's first steps may blow up to a level.
        difference = np.abs(tensor.astype(np.int32) - second.tensors[name].astype(np.int32))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    curves = [(root / "finetune/one/curve.csv").read_text().splitlines() for root in (one, two)]
    assert len(curves[0]) == len(curves[1])
    assert not (two / "checkpoints/one/finetune").exists()
