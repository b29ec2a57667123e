"""The command line of the stages: `python -m pipeline STAGE --experiment NAME --root DIR`.

A mistake of the user's ends in exit code 2 and one line on stderr. Modules are imported when their command runs,
because some take seconds.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from lutra import terminal

if TYPE_CHECKING:
    from pipeline.params import Params


class _Commands(TyperGroup):
    """Turns what a command raises into the exit code and the line that a user gets."""

    def invoke(self, ctx: Any) -> Any:
        terminal.prepare()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None
        except (ValueError, OSError) as error:
            if os.environ.get("LUTRA_TRACE"):
                raise
            terminal.error(error)
            raise SystemExit(2) from None


app = typer.Typer(
    cls=_Commands,
    help="Photographs in, a measured table out. Run from the project's folder.",
    epilog="LUTRA_TRACE=1 shows the stack trace of an error.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Experiment = Annotated[str, typer.Option(help="Name of a block under `experiments:`.")]


def _root(text: str | Path) -> Path:
    if not str(text).strip():
        raise typer.BadParameter("found an empty name, expected a folder")
    return Path(text)


Root = Annotated[
    Path, typer.Option(parser=_root, metavar="FOLDER", help="Folder that holds the outputs of all stages.")
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameters.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; fail when the file is stale.")]

DEFAULT_ROOT = Path("runs/local")
DEFAULT_PARAMS = Path("params.yaml")


def _load(path: Path) -> "Params":
    from pipeline import params

    return params.load(path)


@contextmanager
def _guarded(stage: str, params: "Params", root: Path, task: str, experiment: str | None = None) -> Iterator[None]:
    """Alone with its target, and only if the machine has what it needs."""
    from pipeline import PROJECT, code
    from pipeline.running import guard, needs

    code.check_core(PROJECT)
    settings = getattr(params.experiment(experiment), stage, None) if experiment is not None else None
    several = getattr(settings, "ranks", 1) > 1
    with guard.alone(stage, root, task=task, experiment=experiment, several=several):
        if "RANK" not in os.environ:  # one of several processes: its launcher has checked
            needed = needs.of_stage(stage, params, root, task, experiment)
            if needed is not None:
                needs.check(needed, f"{stage} {experiment or task}", root)
        yield


def _in_processes(stage: str, loaded: "Params", experiment: str, root: Path, params: Path) -> bool:
    """Whether the stage asks for several processes; they have run it then."""
    from pipeline.running import launch

    settings, key = getattr(loaded.experiment(experiment), stage), f"experiments.{experiment}.{stage}"
    target = ("--experiment", experiment, "--root", str(root), "--params", str(params))
    return launch.ran(settings, key, stage, *target)


@app.command()
def prepare(
    task: Annotated[str | None, typer.Option(help="Name of a block under `tasks:`.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Experiment whose task to prepare for.")] = None,
    root: Root = DEFAULT_ROOT,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Decode, check, degrade and pack the images of one task."""
    if (task is None) == (experiment is None):
        raise ValueError("prepare takes either --task or --experiment")
    loaded = _load(params)
    chosen = loaded.experiment(experiment).task if experiment is not None else task
    assert chosen is not None
    loaded.task(chosen)
    with _guarded("prepare", loaded, root, chosen):
        from pipeline.stages.prepare import run

        run(loaded, task=chosen, root=root)


@app.command()
def train(experiment: Experiment, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train an experiment's network, resuming where it was interrupted."""
    loaded = _load(params)
    with _guarded("train", loaded, root, loaded.experiment(experiment).task, experiment):
        if _in_processes("train", loaded, experiment, root, params):
            return
        from pipeline.running.job import Job
        from pipeline.stages.train import run

        run(Job.of("train", loaded, root, experiment=experiment))


@app.command()
def export(experiment: Experiment, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write the tables of an experiment's trained network."""
    loaded = _load(params)
    with _guarded("export", loaded, root, loaded.experiment(experiment).task, experiment):
        from pipeline.running.job import Job
        from pipeline.stages.export import run

        run(Job.of("export", loaded, root, experiment=experiment))


@app.command()
def finetune(experiment: Experiment, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train the values of an experiment's tables."""
    loaded = _load(params)
    with _guarded("finetune", loaded, root, loaded.experiment(experiment).task, experiment):
        if _in_processes("finetune", loaded, experiment, root, params):
            return
        from pipeline.running.job import Job
        from pipeline.stages.finetune import run

        run(Job.of("finetune", loaded, root, experiment=experiment))


@app.command()
def evaluate(experiment: Experiment, root: Root = DEFAULT_ROOT, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Score an experiment and draw its comparison sheets."""
    loaded = _load(params)
    with _guarded("evaluate", loaded, root, loaded.experiment(experiment).task, experiment):
        from pipeline.running.job import Job
        from pipeline.stages.evaluate import run

        run(Job.of("evaluate", loaded, root, experiment=experiment))


@app.command()
def report(
    task: Annotated[
        str | None, typer.Option(help="Name of a block under `tasks:`; without it, all that have scores.")
    ] = None,
    experiment: Annotated[list[str] | None, typer.Option(help="Restrict the report to these.")] = None,
    root: Root = DEFAULT_ROOT,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write a page, a table and a picture over the experiments of a task; or one page over those of all tasks."""
    loaded = _load(params)
    if task is None:
        from pipeline.stages.report import together

        print(together(loaded, root, experiment))
        return
    with _guarded("report", loaded, root, task):
        from pipeline.running.job import Job
        from pipeline.stages.report import run

        run(Job.of("report", loaded, root, task=task), experiment)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the experiment: small letters, digits and dashes.")],
    family: Annotated[str, typer.Option(help="srlut, mulut, spflut or autolut.")],
    preset: Annotated[
        Literal["quick", "published"], typer.Option(help="Minutes on two cores, or the papers' recipe.")
    ] = "quick",
    task: Annotated[str, typer.Option(help="Name of a block under `tasks:`.")] = "x4",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Such as train.steps=100; may be repeated.")
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Add an experiment's documented block to params.yaml."""
    from pipeline.tools.new import add_experiment

    add_experiment(params, name, family, preset, task, overrides or ())
    print(f"added experiments.{name} to {params}; `dvc repro` or `snakemake --cores 2` runs it")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Of a set in data/catalogue.yaml.")],
    origin: Annotated[
        Path | None, typer.Option("--from", metavar="DIR_OR_ARCHIVE", help="Your own copy, in place of a download.")
    ] = None,
) -> None:
    """Bring an image set to data/NAME: download it, or copy it from where you have it."""
    from pipeline.data.fetch import fetch as bring

    bring(name, origin, say=lambda text: print(terminal.printable(text), file=sys.stderr, flush=True))


data = typer.Typer(help="The image sets.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command("list")
def list_data(
    decode: Annotated[bool, typer.Option(help="Decode every image, to find broken ones.")] = True,
) -> None:
    """Say which image sets are here, with their counts, sizes, licences and broken files."""
    from pipeline.data import inventory

    rows = inventory.listing(decode=decode)
    inventory.table(rows).show()
    problems = [problem for row in rows for problem in row.problems]
    for problem in problems:
        terminal.say(problem)
    if problems:
        raise typer.Exit(1)


@app.command()
def record(
    experiment: Experiment,
    command: Annotated[str, typer.Option(help="What was run, for the reader to run again.")],
    minutes: Annotated[float, typer.Option(help="Wall-clock of training and finetuning.")],
    root: Root = DEFAULT_ROOT,
    params: ParamsFile = DEFAULT_PARAMS,
    zoo: Annotated[str | None, typer.Option(help="Ship the model with the library under this name.")] = None,
    licence: Annotated[str, typer.Option(help="With --zoo: the licence of its data.")] = "",
) -> None:
    """Keep an experiment's figures under results/, and the README's table of them."""
    from lutra.files import write_whole
    from pipeline.reporting import record as recording
    from pipeline.running.job import Job

    job = Job.of("evaluate", _load(params), root, experiment=experiment)
    result = recording.record(job, command, minutes)
    print(f"wrote {result}")
    if zoo is not None:
        print(f"wrote {recording.ship(zoo, result, job.inputs['finetuned'], licence)}")
    write_whole(recording.README, recording.readme_with_table(recording.README.read_text()))


@app.command("bench-training")
def bench_training(
    family: Annotated[list[str] | None, typer.Option(help="Only these; may be repeated.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")
    ] = None,
) -> None:
    """Time whole training steps of every method: some minutes."""
    import json

    from lutra.files import write_whole
    from pipeline.params.reading import one_of
    from pipeline.tools import bench_training as benching

    for name in family or ():
        if name not in benching.FAMILIES:
            raise ValueError(f"--family {name}: expected {one_of(name, list(benching.FAMILIES))}")
    found = benching.run(family, lambda text: print(text, file=sys.stderr))
    benching.table(found).show()
    if json_file is not None:
        command = "python -m pipeline bench-training"
        write_whole(json_file, json.dumps({"command": command, **found}, indent=2) + "\n")


@app.command("bench-methods")
def bench_methods(
    task: Annotated[str, typer.Option(help="Of the prepared images under the root.")] = "x4",
    seconds: Annotated[float, typer.Option(min=1, help="Of training, for every method and system.")] = 120,
    root: Root = DEFAULT_ROOT,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the scores there.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the curves there, as PNG.")] = None,
) -> None:
    """Train SR-LUT and MuLUT by every method for the same time."""
    import json

    from lutra.files import write_whole
    from pipeline.tools import bench_methods as benching

    found = benching.run(root / "prepare" / task, seconds, lambda text: print(text, file=sys.stderr, flush=True))
    if json_file is not None:
        command = f"python -m pipeline bench-methods --seconds {seconds:g}"
        write_whole(json_file, json.dumps({"command": command, **found}, indent=1) + "\n")
    if plot is not None:
        benching.plot(found, plot)


@app.command("dvc-yaml")
def dvc_yaml(check: Check = False, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write dvc.yaml from the declaration of the stages."""
    from pipeline import declaration
    from pipeline.tools import dvcfile

    text = dvcfile.text(declaration.source_folders(_load(params).image_sets()))
    _generate(Path("dvc.yaml"), text, "dvc-yaml", check)


@app.command()
def schema(check: Check = False) -> None:
    """Write the JSON schema of params.yaml, for Snakemake and editors."""
    from pipeline import params

    _generate(Path("workflow/schemas/params.schema.json"), params.json_schema(), "schema", check)


def _generate(path: Path, text: str, command: str, check: bool) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    if check:
        raise ValueError(f"{path}: is stale; run `python -m pipeline {command}`")
    from lutra.files import write_whole

    write_whole(path, text)
    print(f"wrote {path}")


@app.command()
def ui(port: Annotated[int, typer.Option()] = 5000, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Show the tracked runs in MLflow's pages, on this machine only."""
    from pipeline import tracking

    tracking.serve(_load(params).tracking, port)


track = typer.Typer(help="The runs in MLflow.", no_args_is_help=True)
app.add_typer(track, name="track")


@track.command("sync")
def sync(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Send the runs that wait since MLflow did not answer."""
    from pipeline import tracking

    sent, waiting = tracking.sync(_load(params).tracking)
    if waiting:
        raise ValueError(f"{waiting} waiting: of stages that still run, for another server, or refused by this one")
    print(f"sent {sent}, nothing waits")


if __name__ == "__main__":
    # A scheduler's SIGTERM unwinds as Ctrl-C does: temporary files go, the tracked run is marked as killed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="python -m pipeline")
