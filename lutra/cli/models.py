"""`lutra models | info | import | export`: models as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lutra.cli.common import Model, app, load, with_task_options
from lutra.model.taps import ColourTaps
from lutra.model.tasks import TASKS
from lutra.terminal import TextTable, say

if TYPE_CHECKING:
    from lutra.model.artifact import Artifact


@app.command()
def models() -> None:
    """List the models that come with the library.

    ms/MP: milliseconds for a megapixel of the result, measured on this machine with one thread. Licence: free for any
    purpose, or research if the training images are for research only.
    """
    from lutra import zoo
    from lutra.evaluation.bench import ms_per_megapixel

    table = TextTable("name", "task", "scale", "bytes", "score", "ms/MP", "licence")
    for name, path in zoo.models().items():
        model = load(path)
        *known, licence = zoo.facts(path, model)
        speed = ms_per_megapixel(model)
        table.add_row(name, *known, "" if speed is None else f"{float(f'{speed:.2g}'):g}", licence)
    table.show()
    if not table.row_count:
        print("this installation has no models", file=sys.stderr)


@app.command()
def info(model: Model) -> None:
    """Describe a model, and list its tables with their sizes."""
    loaded = load(model)
    description = loaded.description
    options = ", ".join(f"{key} {_short(value)}" for key, value in description.options.items())
    task = " ".join([loaded.task, *(f"{key} {value}" for key, value in loaded.options.items())])
    scale = f"x{description.scale}" + (" unless asked for another size" if description.any_size else "")
    say(f"{description.family} {scale}{f' ({options})' if options else ''}, task {task}")
    side = 1 + 2 * description.radius
    print(f"padding {description.padding}, rounding {description.rounding}, receptive field: {side}x{side} pixels")
    if description.tap_bits is not None:
        print(f"sampled taps: fixed point with {description.tap_bits} fractional bits")
    _units(loaded).show()


@app.command(name="import")
@with_task_options()
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="All files of one model's tables, the folder that holds them, or the .safetensors file of its network."
        ),
    ],
    family: Annotated[
        str, typer.Option(help="The family: srlut, mulut, spflut, autolut, shiftlut, tinylut, hklut, lerf or dnlut.")
    ],
    scale: Annotated[int, typer.Option(help="The upscaling factor, 1 to 4.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file to write.")],
    task: Annotated[
        Literal[tuple(TASKS)] | None,  # type: ignore[valid-type]
        typer.Option(help="The task that the model was trained for [default: sr]."),
    ] = None,
    options: dict[str, Any] | None = None,
    padding: Annotated[
        Literal["replicate", "reflect"] | None,
        typer.Option(help="How the model continues an image at its border [default: as published]."),
    ] = None,
    rounding: Annotated[
        Literal["exact", "lookup", "branch"] | None,
        typer.Option(help="When the model rounds its sums [default: as published]."),
    ] = None,
) -> None:
    """Read a published model, or tables that `lutra export` wrote.

    The files' names and shapes tell everything but family, scale, task, padding and rounding. Tables that
    `lutra export` wrote come with a .lutra.json file, which holds the rest; the options given here override it.
    """
    from dataclasses import replace

    from lutra.evaluation import scoring
    from lutra.model import artifact
    from lutra.model.published import networks, tables

    if len(files) == 1 and files[0].suffix == ".safetensors":
        imported = networks.read_network(files[0], family, scale)
    else:
        imported = tables.read_tables(files, family, scale)
    own = imported.options if task in (None, imported.task) else {}
    how = {key: value for key, value in (("padding", padding), ("rounding", rounding)) if value is not None}
    description = replace(imported.description, **how)  # type: ignore[arg-type]
    imported = replace(
        imported, description=description, task=task or imported.task, options={**own, **(options or {})}
    )
    scoring.protocol_of(imported)  # refuses options that are not the task's
    artifact.save(output, imported)
    say(f"{output}: {family} x{scale}, {imported.table_bytes} bytes of tables")


@app.command()
def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder (npy) or the file (plan, such as model.lut) to write.")
    ],
    format: Annotated[
        Literal["npy", "plan"],
        typer.Option(help="The form: npy, that of the published tables, or plan, one file for liblutra (docs/c.md)."),
    ] = "npy",
) -> None:
    """Write a model in another form.

    npy holds the tables, and a .lutra.json file holds the rest. A plan holds all that restoring needs.
    """
    if format == "plan":
        from lutra.engine.plan_file import write_plan

        write_plan(output, load(model))
        say(output)
        return
    from lutra.model.published import tables

    written = tables.write_tables(load(model), output)
    for path in [*written, tables.sidecar_of(written)]:
        say(path)


def _short(option: object) -> str:
    """Return an option of a family in few words."""
    return f"of its own for {len(option)} blocks" if isinstance(option, list) else str(option)


def _layer_layout(function: object) -> str:
    """Describe how the function of a layer is stored."""
    from lutra.model.vectors import VectorLayout

    if not isinstance(function, VectorLayout):
        return "scales, float32"
    steps = function.steps
    known = [steps] if isinstance(steps, int) else [step for row in steps for step in row]
    text = f"vectors, step {min(known)}" + (f" to {max(known)}" if min(known) < max(known) else "")
    ranges = ", ranges of its own" if function.ranges else ""
    return text + ranges + ("" if function.rounded else ", not rounded")


def _units(loaded: Artifact) -> TextTable:
    """Return a table of the model's units or layers, with the sizes of their tables."""
    from lutra.model.description import NetworkSpec

    table = TextTable("unit", "taps", "layout", "entries", "values", "bytes")
    for _, unit in loaded.description.units():
        function = loaded.functions[unit.name]
        colours = f"{len(unit.taps.offsets)} of colours" if isinstance(unit.taps, ColourTaps) else "channel"
        taps = str(getattr(unit.taps, "pattern", None) or getattr(unit.taps, "kernel", None) or colours)
        taps += f" at {', '.join(str(90 * turn) for turn in unit.turns)} degrees" if unit.turns else ""
        if isinstance(function, NetworkSpec):
            table.add_row(unit.name, taps, f"network, width {function.width}", "", str(unit.values), "")
            continue
        layout = ", ".join(f"{key} {value}" for key, value in function.to_json().items())
        size = loaded.bytes_of(unit.name)
        numbers = (size // unit.values, unit.values, size)
        table.add_row(unit.name, taps, layout.removeprefix("kind "), *map(str, numbers))
    for step, layer in loaded.description.layers():
        taps = f"{layer.kind}, {len(layer.taps)}" if layer.kind == "depthwise" else layer.kind
        number = str(loaded.bytes_of(layer.name))
        inputs = loaded.description.form(step).inputs
        kind = _layer_layout(loaded.functions[layer.name])
        table.add_row(layer.name, taps, kind, f"{inputs} inputs", str(step.channels), number)
    for residual, direct in loaded.description.direct_tables():
        taps = f"{direct.bits} bits, {len(direct.taps)}"
        numbers = (residual.entries(direct), residual.upscale**2, loaded.bytes_of(direct.name))
        table.add_row(direct.name, taps, "direct", *map(str, numbers))
    others = sum(array.nbytes for name, array in loaded.tensors.items() if name.endswith((".sampler", ".adarl")))
    if others:
        table.add_row("samplers, AdaRL", "", "float32", "", "", str(others))
    total = loaded.table_bytes + others
    table.add_section()
    table.add_row("sum", "", "", "", "", f"{total} = {total / 2**20:.3f} MiB")
    return table
