"""The command line: `lutra restore | evaluate | info | import | export`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import click
import typer
from rich.console import Console
from rich.table import Table

import lutra

if TYPE_CHECKING:
    from lutra.artifact import Artifact
    from lutra.models.interpreter import LutModel

app = typer.Typer(
    name="lutra",
    help="Image restoration with lookup tables.",
    epilog="LUTRA_TRACE=1 shows the stack trace of an error.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Model = Annotated[Path, typer.Argument(help="A model file (.safetensors).")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lutra {lutra.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Image restoration with lookup tables."""


@app.command()
def restore(
    model: Annotated[Path, typer.Option("--model", "-m", help="A model file (.safetensors).")],
    source: Annotated[Path, typer.Option("--input", "-i", help="The image to restore.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it; the ending names the format.")],
) -> None:
    """Restore one image."""
    from lutra.imaging.files import read_image, write_image

    image = read_image(source)
    write_image(output, _torch_model(_load(model)).restore_image(image))


@app.command()
def info(model: Model) -> None:
    """Say what a model is, and list its tables with their sizes."""
    loaded = _load(model)
    description = loaded.description
    options = ", ".join(f"{key} {value}" for key, value in description.options.items())
    print(f"{description.family} x{description.scale} ({options}), task {loaded.task}")
    print(f"padding {description.padding}, rounding {description.rounding}, sees {description.radius} pixels around")
    if description.tap_bits is not None:
        print(f"sampled taps in fixed point of {description.tap_bits} fractional bits")
    _print(_table_of_tables(loaded))


@app.command(name="import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="All .npy tables of one model, or its network (.safetensors).")],
    family: Annotated[str, typer.Option(help="srlut, mulut, spflut or autolut.")],
    scale: Annotated[int, typer.Option(help="Upscaling factor, 1 to 4.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file to write.")],
) -> None:
    """Read a published model; everything but family and scale is in its files' names and shapes."""
    from lutra import artifact, published, published_networks

    if len(files) == 1 and files[0].suffix == ".safetensors":
        imported = published_networks.read_network(files[0], family, scale)
    else:
        imported = published.read_tables(files, family, scale)
    artifact.save(output, imported)
    print(f"{output}: {family} x{scale}, {imported.table_bytes} bytes of tables")


@app.command()
def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    format: Annotated[Literal["npy"], typer.Option(help="npy: the published tables' form.")] = "npy",
) -> None:
    """Write a model's tables in another form."""
    from lutra import published

    for path in published.write_tables(_load(model), output):
        print(path)


@app.command()
def evaluate(
    model: Model,
    data: Annotated[Path, typer.Option(help="A folder of HR images.")],
    output: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file too.")] = None,
    bicubic: Annotated[Literal["uint8", "double"], typer.Option(help="Which of MATLAB's variants makes LR.")] = "uint8",
) -> None:
    """Degrade HR images, restore them, and score the result by the field's protocol."""
    from lutra.evaluation import PROTOCOL, evaluate_folder, mean
    from lutra.files import write_whole

    loaded = _load(model)
    scores = evaluate_folder(_torch_model(loaded).restore_image, data, loaded.description.scale, bicubic)
    protocol = PROTOCOL.format(scale=loaded.description.scale, bicubic=bicubic)
    table = Table("image", "PSNR-Y, dB", "SSIM-Y", caption=protocol)
    for name, row in [*scores.items(), ("mean", mean(scores))]:
        table.add_row(name, f"{row['psnr_y']:.4f}", f"{row['ssim_y']:.5f}")
    _print(table)
    if output is not None:
        means, name = mean(scores), data.resolve().name
        result = {"model": model.name, "data": name, "mean": means, "images": scores, "protocol": protocol}
        write_whole(output, json.dumps(result, indent=2) + "\n")


def _load(path: Path) -> Artifact:
    from lutra import artifact

    return artifact.load(path)


def _torch_model(loaded: Artifact) -> LutModel:
    try:
        from lutra.models.convert import from_artifact
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError("restoring needs torch: install it with `pip install 'lutra[train]'`") from None
    return from_artifact(loaded)


def _table_of_tables(loaded: Artifact) -> Table:
    from lutra.description import NetworkSpec

    table = Table("unit", "taps", "layout", "entries", "values", "bytes")
    for _, unit in loaded.description.units():
        function = loaded.functions[unit.name]
        taps = str(getattr(unit.taps, "pattern", None) or getattr(unit.taps, "kernel", None) or "channel")
        if isinstance(function, NetworkSpec):
            table.add_row(unit.name, taps, f"network, width {function.width}", "", str(unit.values), "")
            continue
        layout = ", ".join(f"{key} {value}" for key, value in function.to_json().items())
        numbers = (function.entries, unit.values, function.entries * unit.values)
        table.add_row(unit.name, taps, layout.removeprefix("kind "), *map(str, numbers))
    others = sum(array.nbytes for name, array in loaded.tensors.items() if name.endswith((".sampler", ".adarl")))
    if others:
        table.add_row("samplers, AdaRL", "", "float32", "", "", str(others))
    total = loaded.table_bytes + others
    table.add_section()
    table.add_row("sum", "", "", "", "", f"{total} = {total / 2**20:.3f} MB")
    return table


def _print(table: Table) -> None:
    """A table as wide as it needs to be where the output is not a terminal."""
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> int:
    """Run the command line; the process's exit code."""
    try:
        app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("LUTRA_TRACE"):
            raise
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0
