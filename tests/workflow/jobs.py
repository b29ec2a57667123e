"""All stages of three tiny experiments, to run by themselves in a warm process: by each method, on two tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.declaration import STAGES, Stage
from tests.workflow.project import draw_images
from tests.workflow.warm import Warm

EXPERIMENTS = {"net": "x2", "solved": "x2", "leaves": "noise"}
"""Each with its task."""
PARAMS = """
data: {{train: {images}/train, evaluate: [{images}/check], validate: 1}}
tasks: {{x2: {{task: sr, scale: 2}}, noise: {{task: denoise, sigma: 25}}}}
tracking: {{enabled: false}}
experiments:
  net:
    family: srlut
    task: x2
    model: {{}}
    network: {{width: 8}}
    table: {{interval: 5}}
    train: {{method: network, steps: 40, batch: 2, patch: 16, validate_every: 7, checkpoint_every: 3, seed: 1}}
    finetune: {{steps: 40, batch: 2, patch: 16, validate_every: 7, checkpoint_every: 3}}
    evaluate: {{sheets: 2}}
  solved:
    family: srlut
    task: x2
    model: {{}}
    network: {{width: 4}}
    table: {{interval: 5}}
    train: {{init: least_squares, steps: 30, batch: 2, patch: 16, validate_every: 6, checkpoint_every: 4}}
    finetune: {{steps: 30, batch: 2, patch: 16, average: 0, validate_every: 7, checkpoint_every: 5}}
    evaluate: {{sheets: 1}}
  leaves:
    family: autolut
    task: noise
    model: {{base: mulut, branches: 1, kernel: 3}}
    network: {{width: 4}}
    table: {{interval: 6}}
    train: {{method: table, steps: 30, batch: 2, patch: 16, validate_every: 5, checkpoint_every: 3}}
    finetune: {{steps: 30, batch: 2, patch: 16, samplers: true, validate_every: 5, checkpoint_every: 3}}
    evaluate: {{sheets: 1}}
"""


@dataclass(frozen=True)
class Job:
    """A stage and what it is run for."""

    stage: Stage
    target: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.stage.name}/{self.target[self.stage.per]}"

    def arguments(self, root: Path, params: Path) -> list[str]:
        target = self.target[self.stage.per]
        return [self.stage.name, f"--{self.stage.per}", target, "--root", str(root), "--params", str(params)]

    def outputs(self, found: Mapping[str, str]) -> dict[str, str]:
        """Those of `found` that lie in its declared outputs."""
        paths = [output.path.format(**self.target) for output in self.stage.outputs.values()]
        return {
            name: digest
            for name, digest in found.items()
            for path in paths
            if name == path or name.startswith(f"{path}/")
        }


def every() -> list[Job]:
    """All of them, in an order in which they can run."""
    tasks = [{"task": task} for task in sorted(set(EXPERIMENTS.values()))]
    experiments = [{"experiment": name, "task": task} for name, task in EXPERIMENTS.items()]
    return [Job(stage, target) for stage in STAGES for target in (tasks if stage.per == "task" else experiments)]


def contents(root: Path) -> dict[str, str]:
    """Every file that stages wrote, by path, with its hash; locks are no results."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and ".locks" not in path.parts)
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class Built:
    """A folder in which every stage ran to the end once."""

    folder: Path
    warm: Warm
    durations: dict[str, float]
    """Seconds that each took, by the job's name."""

    @property
    def params(self) -> Path:
        return self.folder / "params.yaml"

    @property
    def root(self) -> Path:
        return self.folder / "whole"


def build(folder: Path, warm: Warm) -> Built:
    """The images and params.yaml of the experiments made, every stage run."""
    draw_images(folder / "images" / "train", count=12, seed=1)
    draw_images(folder / "images" / "check", count=4, seed=2)
    (folder / "params.yaml").write_text(PARAMS.format(images=folder / "images"))
    made = Built(folder, warm, {})
    for job in every():
        status, said, made.durations[job.name] = warm.stage(job.arguments(made.root, made.params))
        assert status == 0, said
    return made
