"""The commands that generate the project's files and show its runs in MLflow."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import DEFAULT_PARAMS, Check, ParamsFile

app = typer.Typer()


@app.command("dvc-yaml")
def dvc_yaml(check: Check = False, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write dvc.yaml from the declaration of the stages, next to the file of parameters."""
    from pipeline import declaration
    from pipeline.params import load
    from pipeline.tools import dvcfile

    own = Path(os.path.relpath(params))
    if own != dvcfile.PARAMS and (own.parent == Path() or ".." in own.parts):
        raise ValueError(
            f"{params}: expected params.yaml, or a file in a folder of the project, which gets its dvc.yaml"
        )
    settings = load(params)
    text = dvcfile.text(
        declaration.source_folders(settings.image_sets()), own, dvcfile.watched_models(settings.starts())
    )
    _generate(params.parent / "dvc.yaml", text, "dvc-yaml", check)


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
def ui(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 5000, params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Serve MLflow's pages on this machine: all runs, and a comparison for each task."""
    from pipeline import tracking
    from pipeline.params import load

    tracking.serve(load(params).tracking, port)


track = typer.Typer(help="Send runs to MLflow.", no_args_is_help=True)
app.add_typer(track, name="track")


@track.command("sync")
def sync(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Send MLflow the runs that it lacks, because it did not answer, a stage was killed or its database was lost."""
    from pipeline import tracking
    from pipeline.params import load

    sent, waiting = tracking.sync(load(params).tracking)
    if waiting:
        raise ValueError(f"sent {sent}; {waiting} wait: for another server, refused by this one, or still running")
    print(f"sent {sent}, nothing waits")
