"""The command line: `lutra restore | models | evaluate | info | import | export | bench | compare`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import lutra
from lutra import terminal
from lutra.terminal import Table, printable, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lutra.model.artifact import Artifact
    from lutra.restore.batch import Job

app = typer.Typer(
    name="lutra",
    help="Image restoration with lookup tables.",
    epilog="LUTRA_TRACE=1 shows the stack trace of an error.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

# Typer brings its own copy of Click or uses the one installed, so this class has no fixed address.
_UsageError: Any = typer.BadParameter.__base__

_INTERRUPTED = 128 + signal.SIGINT

_MODEL = "A model file, a name that `lutra models` lists, or an https: or file: address with #sha256=..."
Model = Annotated[str, typer.Argument(help=_MODEL)]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lutra {lutra.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Image restoration with lookup tables."""


@app.command("upscale", help="The same as `restore`.")
@app.command("restore")
def restore(
    model: Annotated[str, typer.Option("--model", "-m", help=_MODEL)],
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", "-i", help="An image, a folder with its subfolders, or - for standard input."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file for one image, else a folder; - for standard output."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[INPUT]...", help="As --input.")] = None,
    format: Annotated[
        Literal["png", "jpeg", "webp", "tiff", "bmp"] | None, typer.Option(help="Else each file keeps its own.")
    ] = None,
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Of JPEG (else 95) and WebP (else lossless).")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Else one per processor.")] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda (through torch).")] = "cpu",
    overwrite: Annotated[
        bool | None,
        typer.Option(help="Restore what is done already, too; or never replace a file, whatever made it."),
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="The largest result that is made, in pixels [default: 268435456].")
    ] = None,
) -> None:
    """Restore images. Of several, those are skipped that this model made of the same files before."""
    from PIL import Image

    from lutra.restore import batch, sources, streams
    from lutra.restore.done import Done, Making
    from lutra.restore.restorer import load

    everything = [*(inputs or []), *(more or [])]
    if not everything or output is None:
        wanted = "'--output' / '-o'" if everything else "'--input' / '-i', or a file or folder as an argument"
        raise typer.BadParameter(f"missing option {wanted}")
    suffix = {"jpeg": ".jpg", "tiff": ".tif"}.get(format, f".{format}") if format else None
    Image.MAX_IMAGE_PIXELS = sys.maxsize  # `batch.run` has a limit of its own, which an option raises
    file = sources.find(model)
    standard = streams.concern(everything, output)
    jobs = [] if standard else batch.plan(everything, output, suffix)
    restorer = load(file, device=device)
    work = partial(batch.run, restorer, threads=threads, quality=quality, max_pixels=max_pixels)
    if standard:
        streams.restore(work, everything, output, suffix)
        return
    kept = [job for job in jobs if overwrite is False and os.path.lexists(job.target)]
    if len(jobs) == 1 and jobs[0].source in everything:
        if kept:
            raise ValueError(f"{jobs[0].target}: found a file, which --no-overwrite keeps")
        work(jobs[0])
        return
    done = Done(output, Making.of(file, quality))
    skipped = kept or [job for job in jobs if not overwrite and job.is_done(done, file)]

    def recorded(job: Job) -> None:
        with done.adding(job.source, job.target):
            work(job)

    left = set(skipped)
    failures = _restore_all([job for job in jobs if job not in left], recorded)
    why = "there already; --no-overwrite" if kept else "done already; --overwrite"
    said = f", {len(skipped)} skipped ({why})" if skipped else ""
    print(f"{len(jobs) - len(skipped) - failures} restored{said}" + (f", {failures} failed" if failures else ""))
    if failures:
        raise typer.Exit(1)


@app.command()
def models() -> None:
    """List the models that come with the library."""
    from lutra import zoo

    table = Table("name", "task", "scale", "bytes", "score", "licence")
    for name, path in zoo.models().items():
        table.add_row(name, *zoo.facts(path))
    table.show()
    if not table.row_count:
        print("none comes with this installation", file=sys.stderr)


@app.command()
def info(model: Model) -> None:
    """Say what a model is, and list its tables with their sizes."""
    loaded = _load(model)
    description = loaded.description
    options = ", ".join(f"{key} {value}" for key, value in description.options.items())
    task = " ".join([loaded.task, *(f"{key} {value}" for key, value in loaded.options.items())])
    say(f"{description.family} x{description.scale} ({options}), task {task}")
    print(f"padding {description.padding}, rounding {description.rounding}, sees {description.radius} pixels around")
    if description.tap_bits is not None:
        print(f"sampled taps in fixed point of {description.tap_bits} fractional bits")
    _table_of_tables(loaded).show()


@app.command(name="import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="All .npy tables of one model, or its network (.safetensors).")],
    family: Annotated[str, typer.Option(help="srlut, mulut, spflut or autolut.")],
    scale: Annotated[int, typer.Option(help="Upscaling factor, 1 to 4.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file to write.")],
    task: Annotated[
        Literal["sr", "denoise", "deblock", "deblur"] | None,
        typer.Option(help="What it was trained for [default: sr]."),
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="denoise, deblur: of the noise.")] = None,
    quality: Annotated[int | None, typer.Option(help="deblock: of JPEG.")] = None,
    length: Annotated[float | None, typer.Option(help="deblur: of the camera's path, pixels.")] = None,
    padding: Annotated[
        Literal["replicate", "reflect"] | None, typer.Option(help="At the border [default: the publication's].")
    ] = None,
    rounding: Annotated[
        Literal["exact", "lookup", "branch"] | None, typer.Option(help="Of sums [default: the publication's].")
    ] = None,
) -> None:
    """Read a published model, or tables that `lutra export` wrote.

    Names and shapes of the files tell all but family, scale, task, padding and rounding. Those that `lutra export`
    wrote come with a .lutra.json next to them, which holds the rest; options given here go before it.
    """
    from dataclasses import replace

    from lutra.evaluation import scoring
    from lutra.model import artifact
    from lutra.model.published import networks
    from lutra.model.published import tables as published

    if len(files) == 1 and files[0].suffix == ".safetensors":
        imported = networks.read_network(files[0], family, scale)
    else:
        imported = published.read_tables(files, family, scale)
    options = {"sigma": sigma, "quality": quality, "length": length}
    given = {key: value for key, value in options.items() if value is not None}
    own = imported.options if task in (None, imported.task) else {}
    how = {key: value for key, value in (("padding", padding), ("rounding", rounding)) if value is not None}
    description = replace(imported.description, **how)  # type: ignore[arg-type]
    imported = replace(imported, description=description, task=task or imported.task, options={**own, **given})
    scoring.protocol_of(imported)  # refuses options that are not the task's
    artifact.save(output, imported)
    say(f"{output}: {family} x{scale}, {imported.table_bytes} bytes of tables")


@app.command()
def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    format: Annotated[Literal["npy"], typer.Option(help="npy: the published tables' form.")] = "npy",
) -> None:
    """Write a model's tables in another form, with a .lutra.json of what that form does not hold."""
    from lutra.model.published import tables as published

    written = published.write_tables(_load(model), output)
    for path in [*written, published.sidecar_of(written)]:
        say(path)


@app.command()
def evaluate(
    model: Model,
    data: Annotated[str, typer.Option(help="A folder of clean images, or the name of a set in $LUTRA_DATA or data/.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder for scores.csv, scores.json and sheets.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file too.")] = None,
    sheets: Annotated[int, typer.Option(min=0, help="With -o: how many of the best and of the worst are drawn.")] = 2,
    pairs: Annotated[bool, typer.Option(help="Restore the set's own degraded images.")] = False,
    bicubic: Annotated[
        Literal["uint8", "double"] | None, typer.Option(help="sr: which of MATLAB's variants makes LR.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="denoise, deblur: of the noise, in place of the model's.")] = None,
    quality: Annotated[int | None, typer.Option(help="deblock: of JPEG, in place of the model's.")] = None,
    length: Annotated[float | None, typer.Option(help="deblur: of the camera's path, pixels.")] = None,
    lpips: Annotated[bool, typer.Option(help="Measure LPIPS too (pip install 'lutra[lpips]').")] = False,
) -> None:
    """Degrade clean images as the model's task says, restore them, and score the result by the field's protocol."""
    from lutra.evaluation import protocols, scoring
    from lutra.files import write_whole
    from lutra.imaging.folders import find_images
    from lutra.imaging.perceptual import lpips_measure
    from lutra.restore.restorer import Restorer

    loaded = _load(model)
    options = {"bicubic": bicubic, "sigma": sigma, "quality": quality, "length": length}
    protocol = scoring.protocol_of(loaded, options, pairs=pairs)
    folder = scoring.find_folder(data)
    try:
        restore = Restorer(loaded).restore_planes
    except ValueError as error:
        raise ValueError(f"{model}: {error}") from None
    more = {"lpips": lpips_measure()} if lpips else {}
    entries = find_images(folder, protocol.scale, pairs=pairs)
    scores = {found.name: found.scores for found in scoring.evaluate(restore, entries, protocol, more)}
    means, label = protocols.mean(scores), Path(model.partition("#")[0]).name
    result = {"model": label, "data": folder.resolve().name, "mean": means, "images": scores, "protocol": protocol.text}
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    if json_file is not None:
        write_whole(json_file, text)
    drawn: Iterable[Path] = ()
    if output is not None:
        write_whole(output / "scores.json", text)
        write_whole(output / "scores.csv", scoring.table(scores))
        drawn = scoring.draw_extremes(restore, entries, protocol, scores, label, output, sheets)
    table = Table("image", *(protocols.LABELS[measure] for measure in means))
    for name, row in [*scores.items(), ("mean", means)]:
        table.add_row(
            name, *(f"{value:.4f}" if "psnr" in measure else f"{value:.5f}" for measure, value in row.items())
        )
    table.show()
    say(f"Protocol: {protocol.text}.")
    for path in drawn:
        say(path)


@app.command()
def bench(
    models: Annotated[list[str] | None, typer.Argument(help="As for `restore`; none: four systems.")] = None,
    size: Annotated[str | None, typer.Option(help="Of the frame to enlarge; 320x180, or the image's own.")] = None,
    image: Annotated[Path | None, typer.Option(help="The frame, instead of a synthetic photograph.")] = None,
    threads: Annotated[int, typer.Option(help="For everything but Pillow, which has one.")] = 1,
    level: Annotated[str | None, typer.Option(help="Force the engine's vector level: portable, avx2, avx512.")] = None,
    reference: Annotated[bool, typer.Option(help="Measure the torch reference too.")] = True,
    rounds: Annotated[int, typer.Option(help="Turns that each gets; the least time counts.")] = 20,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
) -> None:
    """Measure the engine beside bicubic, the torch reference and FSRCNN, on one frame in one run."""
    from lutra.evaluation import bench as benchmark
    from lutra.evaluation.compare import load_labelled
    from lutra.files import write_whole

    frame = benchmark.frame(size, image)
    loaded = load_labelled(models or [])
    record = benchmark.run(loaded, frame, threads=threads, level=level, reference=reference, rounds=rounds)
    benchmark.table(record).show()
    if output is not None:
        write_whole(output, json.dumps({"command": shlex.join(["lutra", *sys.argv[1:]]), **record}, indent=2) + "\n")


@app.command()
def compare(
    image: Annotated[Path, typer.Argument(help="A clean (HR) image.")],
    models: Annotated[list[str], typer.Option("--model", "-m", help=f"{_MODEL}. Repeat it for several.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet to write, such as sheet.png.")],
    crop: Annotated[
        str | None, typer.Option(help="The region to zoom, in pixels of the image: TOP,LEFT,HEIGHT,WIDTH.")
    ] = None,
) -> None:
    """Degrade a clean image as the models' task says, restore it with every model, and draw a labelled sheet."""
    import numpy as np

    from lutra.evaluation import compare as comparison
    from lutra.imaging.files import read_image, write_image

    region = comparison.parse_crop(crop) if crop else None
    loaded = comparison.load_labelled(models)
    sheet = comparison.draw(read_image(image), loaded, title=printable(image.name), crop=region)
    write_image(output, np.asarray(sheet))


def _load(model: str | Path) -> Artifact:
    from lutra.model import artifact
    from lutra.restore import sources

    return artifact.load(sources.find(model))


def _restore_all(jobs: Sequence[Job], work: Callable[[Job], None]) -> int:
    """Do the jobs, behind one progress bar on a terminal, and say what failed; how many did."""
    from lutra.restore import batch

    failures = []

    def failed(text: str) -> None:
        failures.append(text)
        terminal.error(text)

    with terminal.progress() as progress:
        task = progress.add_task("restoring", total=len(jobs))
        for job in batch.run_all(jobs, work, failed):
            progress.update(task, advance=1, description=printable(job.source.name))
    return len(failures)


def _table_of_tables(loaded: Artifact) -> Table:
    from lutra.model.description import NetworkSpec

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


def _stop(number: int, _: object) -> None:
    """End as Ctrl-C does, so that temporary files are removed."""
    raise SystemExit(128 + number)


def main() -> int:
    """Run the command line; return the process's exit code."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _stop)
    terminal.prepare()
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        if text := error.format_message():  # none where the help was shown instead
            terminal.error(text)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except (ValueError, OSError, MemoryError) as error:
        if os.environ.get("LUTRA_TRACE"):
            raise
        terminal.error(str(error) or "not enough memory")
        return 2
    if code == _INTERRUPTED:  # typer returns this number for Ctrl-C, or lets the exception through
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0
