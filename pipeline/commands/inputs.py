"""The commands that bring image sets and list them, and the one that adds an experiment."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lutra import terminal
from pipeline.commands.options import DEFAULT_PARAMS, ParamsFile

app = typer.Typer()


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The name of the experiment: small letters, digits and dashes.")],
    family: Annotated[
        str, typer.Option(help="The family: srlut, mulut, spflut, autolut, shiftlut, tinylut, hklut, lerf or dnlut.")
    ],
    preset: Annotated[
        Literal["quick", "published"],
        typer.Option(help="The recipe: quick trains in minutes on two cores; published is that of the papers."),
    ] = "quick",
    task: Annotated[str, typer.Option(help="The task: the name of a block under `tasks:`.")] = "x4",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter, such as train.steps=100; may be repeated."),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Add an experiment's documented block to params.yaml."""
    from pipeline.tools.new import add_experiment

    add_experiment(params, name, family, preset, task, overrides or ())
    print(f"added experiments.{name} to {params}; `dvc repro` or `snakemake --cores 2` runs it")


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Names of sets in data/catalogue.yaml [default: all that params.yaml names]."
        ),
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR_OR_ARCHIVE", help="Your own copy of one set [default: download it]."),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Download image sets into data/NAME, or copy one from your own folder or archive."""
    from pipeline.data.catalogue import Downloaded, catalogue
    from pipeline.data.fetch import fetch as bring
    from pipeline.params import load

    if origin and len(names or ()) != 1:
        raise typer.BadParameter(f"--from: found {len(names or ())} sets, expected one")
    known = catalogue()
    for name in names or [name for name in load(params).image_sets() if isinstance(known.get(name), Downloaded)]:
        bring(name, origin, say=lambda text: print(terminal.printable(text), file=sys.stderr, flush=True))


data = typer.Typer(help="List the image sets, or find images that two of them share.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command()
def overlap(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Find images that training and evaluation share, by what they show; fail if there are any."""
    from dataclasses import replace

    from pipeline.data.copies import shared
    from pipeline.data.sets import resolve
    from pipeline.params import load

    loaded = load(params)
    trained = sorted({name for task in loaded.tasks for name in loaded.train_sets(task)} - {"deadleaves"})
    scored = sorted({name for task in loaded.tasks for name in loaded.evaluate_sets(task)})
    ones, others = (
        [replace(source, name=f"{name}: {source.name}") for name in names for source in resolve(name)]
        for names in (trained, scored)
    )
    found = shared(ones, others)
    for pair in found:
        terminal.say(f"{pair.one} shows the same as {pair.other} (alike {pair.alike:.2f})")
    if found:
        raise typer.Exit(1)
    print(f"no image of {', '.join(trained)} is in {', '.join(scored)}")


@data.command("list")
def list_data(
    decode: Annotated[bool, typer.Option(help="Decode every image to find broken ones.")] = True,
) -> None:
    """List the image sets with their counts, sizes, licences and broken files."""
    from pipeline.data import inventory

    rows = inventory.listing(decode=decode)
    inventory.listing_table(rows).show()
    problems = [problem for row in rows for problem in row.problems]
    for problem in problems:
        terminal.say(problem)
    if problems:
        raise typer.Exit(1)
