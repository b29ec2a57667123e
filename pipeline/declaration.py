"""The stages, each declared once: what it reads and writes, and the parameters and code that it depends on.

The Snakemake rules take everything from here, and `python -m pipeline dvc-yaml` writes dvc.yaml from here.
Paths of inputs and outputs are relative to the root that the stage is run with; `{task}` and `{experiment}`
stand for what it is run for. In a stage that runs once per task, `{experiment}` means every experiment of the task.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pipeline import PROJECT, code

REPORT = "report/report.html"
"""The page over all tasks, relative to the root; no stage writes it, as it holds times."""


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage writes.

    Metrics are JSON of numbers alone. A curve is CSV with `step` and `val_psnr`, points with `table_kib` and `psnr`.
    """

    path: str
    kind: Literal["file", "folder", "metrics", "curve", "points"] = "file"


@dataclass(frozen=True)
class Paths:
    """The files and folders of one run of a stage, by the names that its declaration gives them."""

    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]


@dataclass(frozen=True)
class Resources:
    """Resources of a job: threads, memory in MB, minutes, GPUs; those of a training are for each process."""

    threads: int
    mem_mb: int
    runtime: int
    gpu: int = 0


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline, a command `python -m pipeline NAME ...`."""

    name: str
    summary: str
    per: Literal["task", "experiment"]
    outputs: Mapping[str, Output]
    parameters: tuple[str, ...]
    resources: Resources
    inputs: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    """Files and folders besides code that the outputs depend on."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The code that the outputs depend on, found by following imports and includes, and `data`."""
        return tuple(sorted({*code.files_of(f"pipeline.stages.{self.name}", PROJECT), *self.data}))

    @property
    def benchmark(self) -> str:
        """The file in which Snakemake keeps how long a run took, with the placeholders that the outputs have."""
        paths = [output.path for output in self.outputs.values()]
        names = [name for name in ("{task}", "{experiment}") if any(name in path for path in paths)]
        return f"benchmarks/{self.name}/{'/'.join(names)}.tsv"

    @property
    def command(self) -> str:
        """The arguments of `python -m pipeline`, with placeholders: the root, what the stage is run for."""
        return f"{self.name} --{self.per} {{{self.per}}} --root {{root}}"

    def paths(self, root: Path, **target: str) -> Paths:
        """Return where a run of the stage finds its inputs and leaves its outputs.

        Args:
            root: the folder that the stages write to.
            target: `task`, and `experiment` if the stage runs once per experiment. Without it, inputs that there are
                one of for every experiment are left out.
        """
        inputs = {
            name: path for name, path in self.inputs.items() if "{experiment}" not in path or "experiment" in target
        }
        outputs = {name: output.path for name, output in self.outputs.items()}
        return Paths(
            *({name: root / path.format(**target) for name, path in each.items()} for each in (inputs, outputs))
        )

    def checkpoint(self, root: Path, experiment: str) -> Path:
        """Return where a training of the stage keeps its checkpoint until it ends."""
        return root / "checkpoints" / experiment / self.name / "checkpoint.safetensors"

    def resolved(self, params: Any, **target: str) -> dict[str, Any]:
        """Return the parameters that the stage depends on, defaults filled in, as plain values by dotted path."""
        keys = (key.format(**target) for key in self.parameters)
        return {key: _plain(_lookup(params, key)) for key in keys}

    def resources_of(self, params: Any, **target: str) -> Resources:
        """Return what a job asks for: a training gets it for every process, and no GPU when it has no steps."""
        settings = getattr(params.experiment(target["experiment"]), self.name, None) if self.resources.gpu else None
        if settings is None:
            return self.resources
        one, ranks = self.resources, settings.ranks
        return replace(
            one, threads=one.threads * ranks, mem_mb=one.mem_mb * ranks, gpu=one.gpu * ranks if settings.steps else 0
        )


def _of_experiment(*keys: str) -> tuple[str, ...]:
    return tuple(f"experiments.{{experiment}}.{key}" for key in keys)


STAGES: tuple[Stage, ...] = (
    Stage(
        name="prepare",
        summary="Decode, check, crop and degrade the images as a task says, and pack both",
        per="task",
        outputs={"data": Output("prepare/{task}", "folder")},
        parameters=("data", "tasks.{task}"),
        data=("data/catalogue.yaml",),
        resources=Resources(threads=2, mem_mb=4000, runtime=120),
    ),
    Stage(
        name="train",
        summary="Train the network whose units will become tables",
        per="experiment",
        inputs={"data": "prepare/{task}"},
        outputs={
            "network": Output("train/{experiment}/network.safetensors"),
            "curve": Output("train/{experiment}/curve.csv", "curve"),
        },
        parameters=("tasks.{task}", *_of_experiment("family", "task", "model", "network", "table", "train")),
        resources=Resources(threads=8, mem_mb=16000, runtime=7200, gpu=1),
    ),
    Stage(
        name="export",
        summary="Evaluate every unit at the nodes of its table and write the tables as one file",
        per="experiment",
        inputs={"data": "prepare/{task}", "network": "train/{experiment}/network.safetensors"},
        outputs={"model": Output("export/{experiment}/model.safetensors")},
        parameters=("tasks.{task}", *_of_experiment("family", "task", "model", "network", "table")),
        resources=Resources(threads=4, mem_mb=8000, runtime=60),
    ),
    Stage(
        name="finetune",
        summary="Train the exported tables' values as they will be used",
        per="experiment",
        inputs={"data": "prepare/{task}", "model": "export/{experiment}/model.safetensors"},
        outputs={
            "model": Output("finetune/{experiment}/model.safetensors"),
            "curve": Output("finetune/{experiment}/curve.csv", "curve"),
        },
        parameters=("tasks.{task}", *_of_experiment("task", "table", "finetune")),
        resources=Resources(threads=8, mem_mb=16000, runtime=2880, gpu=1),
    ),
    Stage(
        name="evaluate",
        summary="Score the input, network, exported and finetuned tables, and draw comparison sheets",
        per="experiment",
        inputs={
            "data": "prepare/{task}",
            "network": "train/{experiment}/network.safetensors",
            "exported": "export/{experiment}/model.safetensors",
            "finetuned": "finetune/{experiment}/model.safetensors",
            "train_curve": "train/{experiment}/curve.csv",
            "finetune_curve": "finetune/{experiment}/curve.csv",
        },
        outputs={
            "metrics": Output("evaluate/{task}/{experiment}/metrics.json"),
            "scores": Output("evaluate/{task}/{experiment}/scores.json", "metrics"),
            "images": Output("evaluate/{task}/{experiment}/images.csv"),
            "sheets": Output("evaluate/{task}/{experiment}/sheets", "folder"),
            "curves": Output("evaluate/{task}/{experiment}/curves.csv"),
            "model": Output("evaluate/{task}/{experiment}/model.safetensors"),
        },
        parameters=("tasks.{task}", *_of_experiment("family", "task", "evaluate")),
        resources=Resources(threads=4, mem_mb=8000, runtime=120),
    ),
    Stage(
        name="report",
        summary="One page, one table and one picture over all experiments of a task",
        per="task",
        inputs={
            "data": "prepare/{task}",
            "metrics": "evaluate/{task}/{experiment}/metrics.json",
            "sheets": "evaluate/{task}/{experiment}/sheets",
            "curves": "evaluate/{task}/{experiment}/curves.csv",
            "models": "evaluate/{task}/{experiment}/model.safetensors",
        },
        outputs={
            "page": Output("report/{task}/report.html"),
            "table": Output("report/{task}/report.md"),
            "picture": Output("report/{task}/comparison.png"),
            "points": Output("report/{task}/points.csv", "points"),
        },
        parameters=("tasks.{task}", "experiments"),
        data=("pipeline/reporting/templates", "results/published.json"),
        resources=Resources(threads=1, mem_mb=4000, runtime=30),
    ),
)


def find(name: str) -> Stage:
    """Return the stage called `name`; ValueError if there is none."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ValueError(f"stage {name!r} is not one of {', '.join(stage.name for stage in STAGES)}")


def upstream(stage: Stage) -> list[Stage]:
    """Return the stage and all that it builds on, in their order."""
    found: list[Stage] = []
    read = set(stage.inputs.values())
    for one in reversed(STAGES):
        if one == stage or any(output.path in read for output in one.outputs.values()):
            found.insert(0, one)
            read |= set(one.inputs.values())
    return found


def content_hash(modules: Iterable[str], project: Path = PROJECT) -> str:
    """Return the SHA-256 over the names and contents of files, and of the files in folders; Python's caches left out.

    Of Python files counts what runs: comments, docstrings and the layout of lines do not.

    Raises FileNotFoundError for a declared module that does not exist.
    """
    digest = hashlib.sha256()
    for path in sorted(set(_files(modules, project))):
        content = (project / path).read_bytes()
        content = _what_runs(content) if path.endswith(".py") else content
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def source_folders(names: Iterable[str], project: Path = PROJECT) -> list[str]:
    """Return the folders of the named image sets, which prepare must watch: the user's own and fetched ones."""
    places = (place for name in set(names) for place in (name, f"data/{name}"))
    return sorted(place for place in places if (project / place).is_dir())


def _files(modules: Iterable[str], project: Path) -> Iterator[str]:
    for module in modules:
        path = project / module
        if path.is_dir():
            found = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
            sources = (file for file in found if file.suffix != ".so")  # built from the rest
            yield from (file.relative_to(project).as_posix() for file in sources)
        else:
            yield module


@cache
def _what_runs(source: bytes) -> bytes:
    """Return Python code without comments and docstrings, in one layout; code that cannot be parsed as it is."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                block[:] = [line for line in block if not _is_text(line)]
                if not block and name == "body" and not isinstance(node, ast.Module):
                    block.append(ast.Pass())
    return ast.unparse(tree).encode("utf-8", "surrogatepass")


def _is_text(line: ast.stmt) -> bool:
    """Return whether a statement is a string that nothing uses, such as a docstring."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _lookup(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params[part] if isinstance(params, Mapping) else getattr(params, part)
    return params


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
