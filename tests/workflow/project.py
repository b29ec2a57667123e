"""A copy of the project with tiny experiments on two tasks on generated images, to run under an orchestrator."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path(__file__).resolve().parents[2]
TREES = (".dvc", "data", "lutra", "pipeline", "results", "workflow")
FILES = (".dvcignore", ".gitignore", "CMakeLists.txt", "Snakefile", "pyproject.toml")
EXPERIMENTS = {"first": "x2", "second": "x2", "third": "noise"}
"""Each with its task."""
PER_EXPERIMENT = ("train", "export", "finetune", "evaluate")

PARAMS = """
data: {{train: images/train, evaluate: [images/check], validate: 1}}
tasks: {{x2: {{task: sr, scale: 2}}, noise: {{task: denoise, sigma: 25}}}}
tracking: {{enabled: {tracking}}}
experiments:
"""
BLOCK = """
  {name}:
    family: srlut
    task: {task}
    model: {{}}
    network: {{width: 4}}
    table: {{interval: {interval}}}
    train: {{steps: 2, batch: 2, patch: 8, validate_every: 1}}
    finetune: {{steps: {finetune_steps}, batch: 2, patch: 8, validate_every: 1}}
    evaluate: {{sheets: 1}}
"""


@dataclass(frozen=True)
class Project:
    """The copy, and how to run commands in it as a user without settings of their own would."""

    folder: Path
    first: Path | None = None
    """A folder of programs that go before the environment's: a `python` and a `dvc` that start at once."""

    def run(self, *command: str) -> str:
        """Run with the environment's interpreter and tools; what was printed, both streams in one."""
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        places = [self.first, Path(sys.executable).parent, os.environ["PATH"]]
        tools = os.pathsep.join(str(place) for place in places if place)
        environment = os.environ | {
            "HOME": str(home),
            "PATH": tools,
            "DVC_SITE_CACHE_DIR": str(home),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "default",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def python(self, *arguments: str) -> str:
        return self.run(str(self.first / "python") if self.first else sys.executable, *arguments)

    @contextlib.contextmanager
    def edited(self, path: str, edit: Callable[[str], str]) -> Iterator[None]:
        """The file changed, and put back."""
        file = self.folder / path
        before = file.read_text()
        after = edit(before)
        assert after != before
        file.write_text(after)
        try:
            yield
        finally:
            file.write_text(before)

    def commented(self, path: str) -> contextlib.AbstractContextManager[None]:
        """A Python file with a comment more."""
        return self.edited(path, lambda text: text + "# edited\n")


def params(tracking: bool, finetune_steps: int = 2) -> str:
    """Three experiments; the second has larger tables, and finetuning of its own length."""
    steps = dict.fromkeys(EXPERIMENTS, 2) | {"second": finetune_steps}
    blocks = [block(name, task, steps[name], 5 if name == "second" else 6) for name, task in EXPERIMENTS.items()]
    return PARAMS.format(tracking=str(tracking).lower()) + "".join(blocks)


def block(name: str, task: str, finetune_steps: int = 2, interval: int = 6) -> str:
    return BLOCK.format(name=name, task=task, finetune_steps=finetune_steps, interval=interval)


def draw_images(folder: Path, count: int, seed: int) -> None:
    """Smooth random colour images of 40 x 48, so that bicubic interpolation has something to interpolate."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def make_project(folder: Path, tracking: bool, first: Path | None = None) -> Project:
    folder.mkdir()
    for name in TREES:
        # What is compiled stays: it need not be compiled again. Other processes may be writing some, by other names
        caches = shutil.ignore_patterns("cache", "tmp", "*.pyc.*")
        shutil.copytree(SOURCE / name, folder / name, ignore=caches)
    for name in FILES:
        shutil.copy2(SOURCE / name, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    draw_images(folder / "images" / "train", count=4, seed=1)
    draw_images(folder / "images" / "check", count=2, seed=2)
    (folder / "params.yaml").write_text(params(tracking))
    project = Project(folder, first)
    project.run("git", "init", "--quiet")
    project.python("-m", "pipeline", "dvc-yaml")
    return project
