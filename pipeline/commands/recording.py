"""The commands that record results and measure training."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import DEFAULT_PARAMS, DEFAULT_ROOT, ExperimentName, ParamsFile, Root

app = typer.Typer()

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="A file to write the figures to as well [default: none].")
]


@app.command()
def record(
    experiment: ExperimentName,
    command: Annotated[
        str | None, typer.Option(help="The command that made the result [default: that of each stage].")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="The minutes that training and finetuning took [default: as Snakemake measured them]."),
    ] = None,
    root: Root = DEFAULT_ROOT,
    params: ParamsFile = DEFAULT_PARAMS,
    zoo: Annotated[
        str | None, typer.Option(help="Ship the model with the library under this name [default: do not ship it].")
    ] = None,
) -> None:
    """Write an experiment's figures to results/ and into the README's table."""
    from lutra.files import write_whole
    from pipeline.params import load
    from pipeline.reporting import record as recording
    from pipeline.reporting.cards import ship
    from pipeline.running.job import Job

    job = Job.of("evaluate", load(params), root, experiment=experiment)
    command = command or recording.command_of(job, params)
    result = recording.record(job, command, recording.minutes_of(job) if minutes is None else minutes)
    print(f"wrote {result}")
    if zoo is not None:
        print(f"wrote {ship(zoo, result, job.inputs['finetuned'])}")
    write_whole(recording.README, recording.readme_with_table(recording.README.read_text()))


@app.command()
def cards() -> None:
    """Write the cards of the models that come with the library, from results/ and data/catalogue.yaml."""
    from pipeline.reporting.cards import write_cards

    for path in write_cards():
        print(f"wrote {path}")


@app.command("bench-training")
def bench_training(
    family: Annotated[
        list[str] | None, typer.Option(help="A family to measure; may be repeated [default: all].")
    ] = None,
    json_file: JsonFile = None,
    busy: Annotated[
        int,
        typer.Option(
            min=0,
            help="Measure only the finetuning step: with this many busy processes next to it, and with a second "
            "training. --json then adds the figures to those in the file [default: 0, measure the methods' steps].",
            show_default=False,
        ),
    ] = 0,
) -> None:
    """Time whole training steps of every method; this takes some minutes."""
    from lutra.files import write_whole
    from pipeline.params.reading import one_of
    from pipeline.tools import bench_sharing, bench_training

    known = [*bench_training.FAMILIES, *([] if busy else bench_training.BLOCKS)]
    for name in family or ():
        if name not in known:
            raise ValueError(f"--family {name}: expected {one_of(name, known)}")

    def report(text: str) -> None:
        print(text, file=sys.stderr)

    command = "python -m pipeline bench-training"
    kept = json.loads(json_file.read_text()) if json_file is not None and json_file.exists() else {}
    if busy:
        found = bench_sharing.run(family or list(bench_training.FAMILIES), busy, report)
        bench_sharing.sharing_table(found).show()
        content = kept | {"sharing": {"command": f"{command} --busy {busy}", **found}}
    else:
        found = bench_training.run(family, report)
        bench_training.steps_table(found).show()
        bench_training.layers_table(found).show()
        content = {"command": command, **found} | {name: kept[name] for name in ("sharing",) if name in kept}
    if json_file is not None:
        write_whole(json_file, json.dumps(content, indent=2) + "\n")


@app.command("bench-start")
def bench_start(
    rounds: Annotated[int, typer.Option(min=1, help="The number of times to start each stage.")] = 3,
    params: ParamsFile = DEFAULT_PARAMS,
    json_file: JsonFile = None,
) -> None:
    """Time the start of each stage, part by part; this takes about half a minute."""
    from lutra.files import write_whole
    from pipeline.tools import bench_start as benching

    found = benching.run(params, rounds, lambda text: print(text, file=sys.stderr, flush=True))
    benching.start_table(found).show()
    if json_file is not None:
        write_whole(json_file, json.dumps({"command": "python -m pipeline bench-start", **found}, indent=2) + "\n")


@app.command("bench-methods")
def bench_methods(
    task: Annotated[str, typer.Option(help="The task; the root must hold its prepared images.")] = "x4",
    seconds: Annotated[float, typer.Option(min=1, help="The seconds to train each method and system for.")] = 120,
    root: Root = DEFAULT_ROOT,
    json_file: JsonFile = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A PNG file to draw the curves into [default: none].")
    ] = None,
) -> None:
    """Train SR-LUT and MuLUT by every method for the same time."""
    from lutra.files import write_whole
    from pipeline.declaration import find
    from pipeline.tools import bench_methods as benching

    data = find("prepare").paths(root, task=task).outputs["data"]
    found = benching.run(data, seconds, lambda text: print(text, file=sys.stderr, flush=True))
    if json_file is not None:
        command = f"python -m pipeline bench-methods --seconds {seconds:g}"
        write_whole(json_file, json.dumps({"command": command, **found}, indent=1) + "\n")
    if plot is not None:
        benching.plot(found, plot)
