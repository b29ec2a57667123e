"""`lutra evaluate | bench | bench-video | compare`: scores, times and sheets of models."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lutra.cli.common import MODEL, Model, app, with_task_options
from lutra.model.tasks import TASKS
from lutra.terminal import TextTable, printable, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lutra.evaluation.protocols import Scores


@app.command()
@with_task_options("the model's")
def evaluate(
    model: Model,
    data: Annotated[str, typer.Option(help="A folder of clean images, or the name of a set in $LUTRA_DATA or data/.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder for scores.csv, scores.json and sheets.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="A file to write the scores to as well.")] = None,
    sheets: Annotated[
        int, typer.Option(min=0, help="The number of best and of worst images that -o draws a sheet of.")
    ] = 2,
    task: Annotated[
        Literal[tuple(TASKS)] | None,  # type: ignore[valid-type]
        typer.Option(help="The task by which to degrade and score, with its own options [default: the model's]."),
    ] = None,
    pairs: Annotated[bool, typer.Option(help="Restore the set's own degraded images instead of making some.")] = False,
    scale: Annotated[
        float | None,
        typer.Option(help="The scale to shrink by and to restore at, of models of any size [default: the model's]."),
    ] = None,
    options: dict[str, Any] | None = None,
    lpips: Annotated[bool, typer.Option(help="Measure LPIPS as well (needs the extra `lpips`).")] = False,
) -> None:
    """Degrade clean images as a task does, restore them, and score the results by the field's protocol."""
    from lutra.evaluation import scoring
    from lutra.evaluation.evaluating import evaluate as evaluated
    from lutra.files import write_whole
    from lutra.imaging.folders import find_images
    from lutra.imaging.perceptual import lpips_measure
    from lutra.restore.restorer import load as load_ready

    restorer, label = load_ready(model), Path(model.partition("#")[0]).name
    if scale is not None and not restorer.any_size:
        raise ValueError(f"--scale: the model restores at x{restorer.scale} alone, expected one of any size")
    options = {**(options or {}), **({} if scale is None else {"scale": scale})}
    folder, more = scoring.find_folder(data), {"lpips": lpips_measure()} if lpips else {}
    found = evaluated(restorer, folder, options=options, task=task, pairs=pairs, more=more)
    scores, means, protocol = found.images, found.mean, found.protocol
    result = {"model": label, "data": folder.resolve().name, "mean": means, "images": scores, "protocol": protocol.text}
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    if json_file is not None:
        write_whole(json_file, text)
    drawn: list[Path] = []
    if output is not None:
        write_whole(output / "scores.json", text)
        write_whole(output / "scores.csv", scoring.csv_of(scores))
        entries = find_images(folder, protocol.border, pairs=pairs)
        methods = {label: scoring.restoring(restorer, protocol)}
        drawn = list(scoring.draw_extremes(methods, entries, protocol, scores, output, sheets))
    _show_scores({**scores, "mean": means})
    say(f"Protocol: {protocol.text}.")
    for path in drawn:
        say(path)


def _show_scores(scores: Mapping[str, Scores]) -> None:
    from lutra.evaluation.protocols import LABELS

    table = TextTable("image", *(LABELS[measure] for measure in scores["mean"]))
    for name, row in scores.items():
        table.add_row(
            name, *(f"{value:.4f}" if "psnr" in measure else f"{value:.5f}" for measure, value in row.items())
        )
    table.show()


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models, named as for `restore` [default: the published systems with synthetic tables]."),
    ] = None,
    colour: Annotated[
        bool, typer.Option(help="Without models: measure those that restore three colours together, at 512x512.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(help="The size of the frame to restore [default: 320x180, or that of --image].")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="The frame [default: a synthetic photograph].")] = None,
    threads: Annotated[int, typer.Option(help="The number of threads; Pillow always uses one.")] = 1,
    level: Annotated[
        str | None,
        typer.Option(help="The vector level: portable, avx2, avx512 or neon [default: the best of this machine]."),
    ] = None,
    reference: Annotated[bool, typer.Option(help="Measure the torch reference as well.")] = True,
    rounds: Annotated[int, typer.Option(help="The number of turns that each gets; the least time counts.")] = 20,
    output: Annotated[Path | None, typer.Option("--json", help="A file to write the figures to as well.")] = None,
) -> None:
    """Measure the engine next to bicubic interpolation, the torch reference and FSRCNN, on one frame in one run."""
    from lutra.evaluation import bench as benchmark
    from lutra.evaluation.compare import load_labelled
    from lutra.files import write_whole

    synthetic = colour and not models
    frame = benchmark.frame(size or ("512x512" if synthetic and image is None else None), image)
    loaded = benchmark.colour_models() if synthetic else load_labelled(models or [])
    record = benchmark.run(loaded, frame, threads=threads, level=level, reference=reference, rounds=rounds)
    if synthetic:
        record["tables"] = "synthetic"
    benchmark.results_table(record).show()
    if output is not None:
        write_whole(output, json.dumps({"command": shlex.join(["lutra", *sys.argv[1:]]), **record}, indent=2) + "\n")


@app.command(name="bench-video")
def bench_video(
    models: Annotated[list[str], typer.Argument(help="Models of one scale, named as for `restore`.")],
    clip: Annotated[Path | None, typer.Option(help="The video [default: a synthetic one].")] = None,
    size: Annotated[str, typer.Option(help="The size of the synthetic video.")] = "320x180",
    frames: Annotated[int, typer.Option(min=1, help="The number of frames.")] = 250,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="The number of threads. Repeat the option for several [default: 1].")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="The encoder of the results [default: libx264].")] = None,
    memory: Annotated[
        bool, typer.Option(help="Measure the memory for the video, and for ten times its length.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--json", help="A file to write the figures to as well.")] = None,
) -> None:
    """Measure frames a second of restoring a video next to FFmpeg's own enlargement, alone and as a whole."""
    import tempfile

    from lutra.cli.videos import needs_pyav
    from lutra.files import write_whole
    from lutra.restore.restorer import load as load_ready
    from lutra.restore.sizes import parse_size

    with needs_pyav():
        from lutra.video import rates
    ready = {Path(model).name: load_ready(model) for model in models}
    with tempfile.TemporaryDirectory(prefix="lutra-") as folder:
        source = clip or Path(folder) / "synthetic.mkv"
        if clip is None:
            rates.write_clip(source, *parse_size(size), frames)
        plan = rates.Plan(source, frames, threads or [1], codec)
        record = rates.measure_rates(ready, plan)
        if memory:
            record["memory"] = rates.measure_memory(models[0], plan, (frames, 10 * frames))
    rates.results_table(record).show()
    for row in record.get("memory", ()):
        say(f"{row['frames']} frames: at most {row['peak_mib']} MiB")
    if output is not None:
        write_whole(output, json.dumps({"command": shlex.join(["lutra", *sys.argv[1:]]), **record}, indent=2) + "\n")


@app.command()
def compare(
    image: Annotated[Path, typer.Argument(help="A clean (HR) image.")],
    models: Annotated[list[str], typer.Option("--model", "-m", help=f"{MODEL}. Repeat the option for several.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet to write, such as sheet.png.")],
    crop: Annotated[
        str | None,
        typer.Option(
            help="The region to zoom in on, in pixels of the image: TOP,LEFT,HEIGHT,WIDTH "
            "[default: where the results differ most]."
        ),
    ] = None,
) -> None:
    """Degrade a clean image as the models' task does, restore it with every model, and draw a labelled sheet."""
    import numpy as np

    from lutra.evaluation import compare as comparison
    from lutra.imaging.images import read_image, write_image

    region = comparison.parse_crop(crop) if crop else None
    loaded = comparison.load_labelled(models)
    sheet = comparison.draw_sheet(read_image(image), loaded, title=printable(image.name), crop=region)
    write_image(output, np.asarray(sheet))
