"""The commands that run a stage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lutra.limits import limit_threads
from pipeline.commands.options import DEFAULT_PARAMS, DEFAULT_ROOT, ExperimentName, ParamsFile, Root

if TYPE_CHECKING:
    from pipeline.running.job import Job

app = typer.Typer()


@app.command()
def prepare(
    task: Annotated[
        str | None, typer.Option(help="The task: the name of a block under `tasks:` [default: that of --experiment].")
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="An experiment, in place of its task.")] = None,
    root: Root = DEFAULT_ROOT,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Decode, check, degrade and pack the images of one task."""
    if (task is None) == (experiment is None):
        raise ValueError("prepare takes either --task or --experiment")
    _run("prepare", params, root, task=task, experiment=experiment)


@app.command()
def train(experiment: ExperimentName, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train an experiment's networks, or its tables; resume a training that was interrupted."""
    _run("train", params, root, experiment=experiment)


@app.command()
def export(experiment: ExperimentName, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Export an experiment's trained networks to tables."""
    _run("export", params, root, experiment=experiment)


@app.command()
def finetune(experiment: ExperimentName, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train an experiment's exported tables; resume a training that was interrupted."""
    _run("finetune", params, root, experiment=experiment)


@app.command()
def evaluate(experiment: ExperimentName, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Score an experiment and draw its comparison sheets."""
    _run("evaluate", params, root, experiment=experiment)


@app.command()
def report(
    task: Annotated[
        str | None,
        typer.Option(help="The task: the name of a block under `tasks:` [default: all that have scores]."),
    ] = None,
    experiment: Annotated[
        list[str] | None, typer.Option(help="An experiment to report; may be repeated [default: all].")
    ] = None,
    root: Root = DEFAULT_ROOT,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Compare the experiments of a task on a page, in a table and in a picture; or those of all tasks on one page."""
    if task is None:
        from pipeline.params import load
        from pipeline.stages.report import together

        print(together(load(params), root, experiment))
        return
    _run("report", params, root, task=task, experiments=experiment)


def _run(
    stage: str,
    params: Path,
    root: Path,
    *,
    task: str | None = None,
    experiment: str | None = None,
    **options: Any,
) -> None:
    """Run a stage for a task or an experiment; `options`: further ones of its `run`."""
    from pipeline.params import load
    from pipeline.running.job import Job

    job = Job.of(stage, load(params), root, task=task, experiment=experiment)
    limit_threads()
    with _guarded(job):
        if not _in_processes(job, params):
            import_module(f"pipeline.stages.{stage}").run(job, **options)


@contextmanager
def _guarded(job: "Job") -> Iterator[None]:
    """Run the block alone with its target, and only if the machine has what it needs."""
    from pipeline import PROJECT, code
    from pipeline.running import guard, needs

    code.check_core(PROJECT)
    stage, settings = job.stage.name, job.settings
    several = settings is not None and settings.ranks > 1
    with guard.exclusive(stage, job.root, task=job.task, experiment=job.experiment, several=several):
        if "RANK" not in os.environ:  # one of several processes: its launcher has checked
            needed = needs.of_stage(stage, job.params, job.root, job.task, job.experiment)
            if needed is not None:
                needs.check(needed, f"{stage} {job.name}", job.root)
        yield


def _in_processes(job: "Job", params: Path) -> bool:
    """Run a training on several processes if it asks for them; return whether it did."""
    from pipeline.running import launch

    if job.settings is None:
        return False
    target = ("--experiment", job.name, "--root", str(job.root), "--params", str(params))
    return launch.ran(job.settings, job.key, job.stage.name, *target)
