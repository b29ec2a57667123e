"""State what a stage will need before it starts: steps, memory, disk; refuse it where that cannot fit.

All numbers are estimates, of the parts that grow: patches, networks, tables, images. Prepared images are
memory-mapped and cost no memory of their own: the system drops their pages when it needs the memory. docs/needs.md
compares the estimates with measurements. On a GPU a training's patches lie in the GPU's memory, which is not counted.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from lutra.evaluation.protocols import Protocol
from lutra.limits import threads
from pipeline.data.leaves import drawn
from pipeline.data.sets import image_sources
from pipeline.declaration import find
from pipeline.params import Experiment, FitParams, Params, TrainParams
from pipeline.running import footprint, launch, machine

ANYWAY = "LUTRA_TRY_ANYWAY"
"""Environment variable that turns a refusal into a warning, because the estimates may be wrong."""

PYTHON = 150 << 20  # bytes: Python with NumPy, Pillow, MLflow
TORCH = 350 << 20  # bytes: the same with torch, its buffers and its threads
IMAGE = 60  # bytes for every pixel of the largest image while a task's images are prepared
IMAGE_IN_FLOATS = 160  # the same where they are degraded in floating point
SCORED = 60  # bytes for every value of an image that is evaluated
SHEET = 3  # bytes for every value of an image on a comparison sheet


@dataclass(frozen=True)
class Needs:
    """The needs of a stage: its work in words, bytes of memory at the peak, further bytes on disk.

    smaller: advice on what to change if the memory does not suffice.
    """

    work: str
    memory: int
    disk: int
    smaller: str


def check(needs: Needs, name: str, root: Path) -> None:
    """Print a stage's needs, and refuse to start it on a machine that has less.

    Args:
        needs: the estimate.
        name: the name of the stage and its target.
        root: the folder that it writes to.

    Raises:
        ValueError: memory or disk does not suffice; tells what was found, what was expected and what to change.
    """
    memory, disk = machine.available_memory(), machine.free_disk(root)
    print(
        f"{name}: {needs.work}; about {decimal(needs.memory)} of memory ({decimal(memory)} available),"
        f" {decimal(needs.disk)} on disk ({decimal(disk)} free); threads: {threads()}",
        file=sys.stderr,
        flush=True,
    )
    short = [
        f"{what}: found {decimal(found)} {left}, expected about {decimal(wanted)}: {change}"
        for what, found, left, wanted, change in (
            ("memory", memory, "available", needs.memory, needs.smaller),
            (f"{root}", disk, "free on its disk", needs.disk, "make room, or choose another --root"),
        )
        if found < wanted
    ]
    if short and os.environ.get(ANYWAY):
        print(f"warning: {'; '.join(short)}", file=sys.stderr, flush=True)
    elif short:
        raise ValueError(f"{name}: {'; '.join(short)} ({ANYWAY}=1 starts it anyway)")


def of_stage(stage: str, params: Params, root: Path, task: str, experiment: str | None) -> Needs | None:
    """Return the needs of a stage; None if they are too small to matter, or unknown because an input is missing."""
    if stage == "prepare":
        return of_prepare(params, task)
    if experiment is None or stage == "export":
        return None
    block, data = params.experiment(experiment), find("prepare").paths(root, task=task).outputs["data"]
    try:
        if stage == "evaluate":
            return of_evaluate(block, data, params.task_of(experiment).protocol().whole_scale)
        settings: FitParams = block.train if stage == "train" else block.finetune
        return of_fit(block, settings, data, params.task_of(experiment).protocol(), f"experiments.{experiment}.{stage}")
    except FileNotFoundError:  # the stage itself reports what is missing
        return None


def of_prepare(params: Params, task: str) -> Needs:
    """Return the needs of a preparation, from the files' headers: a byte for each value of the images and their inputs.

    A few images at a time are in memory, where they are degraded.
    """
    protocol = params.task(task).protocol()
    scale = protocol.whole_scale
    shapes = [source.shape() for part in image_sources(params, task).values() for source in part]
    pixels = [(width - width % scale) * (height - height % scale) for width, height, _ in shapes]
    values = sum(count * (1 if protocol.luma else shape[2]) for count, shape in zip(pixels, shapes, strict=True))
    disk = values + values // scale**2
    memory = (IMAGE_IN_FLOATS if protocol.degradation.in_floats else IMAGE) * max(pixels)
    smaller = "leave out the largest images, or make them smaller"
    if "deadleaves" in (*params.train_sets(task), *params.evaluate_sets(task)):
        leaves = params.data.deadleaves
        disk += drawn.disk(leaves)
        if drawn.memory_needed(leaves) > memory:
            memory = drawn.memory_needed(leaves)
            smaller = f"set OMP_NUM_THREADS to less than {drawn.processes(leaves)}, or lower data.deadleaves.size"
    return Needs(f"{len(shapes)} images of {sum(pixels) / 1e6:.1f} megapixels", PYTHON + memory, disk, smaller)


def of_fit(block: Experiment, settings: FitParams, data: Path, protocol: Protocol, key: str) -> Needs:
    """Return the needs of a training; `key` is the key of its settings in params.yaml."""
    found = footprint.of_training(block, settings, data, protocol)
    if found.peak > found.states + found.step:
        smaller = "hold smaller images out (data.train)"
    elif found.by == "patches":
        smaller = (
            f"lower {key}.batch ({settings.batch}) or {key}.patch ({settings.patch}),"
            f" or raise {key}.accumulate ({settings.accumulate})"
        )
    else:
        smaller = f"choose {key}.method: network, a smaller network.width or a coarser table.interval"
    patches = f"{settings.steps} steps of {settings.batch} patches of {settings.patch}x{settings.patch}"
    work = patches if settings.steps else "no steps"
    if isinstance(settings, TrainParams) and settings.init == "least_squares":
        work = f"least squares in at most {settings.iterations} passes, {work}"
    ranks = settings.ranks
    here = max(1, ranks // launch.nodes_of(os.environ).count) if ranks > 1 else 1  # processes on this machine
    others = found.states + (0 if _on_gpu() else found.step)  # the main one alone validates
    memory = here * TORCH + (found.states if _on_gpu() else found.peak) + (here - 1) * others
    return Needs(work, memory, 2 * found.checkpoint, smaller)  # the earlier checkpoint stays while one is written


def of_evaluate(block: Experiment, data: Path, scale: int) -> Needs:
    """Return the needs of an evaluation: its largest image, with restorations and scores; the sheets on disk."""
    sets = [folder for folder in sorted((data / "evaluate").iterdir()) if folder.is_dir()]
    pixels = [size * scale**2 for folder in sets for size in footprint.input_sizes(folder)]
    sheets = sum(sorted(pixels)[-block.evaluate.sheets * len(sets) :]) if block.evaluate.sheets else 0
    work = f"{len(pixels)} images, the largest of {max(pixels) / 3e6:.1f} megapixels"
    return Needs(work, TORCH + SCORED * max(pixels), SHEET * sheets, "evaluate on smaller images (data.evaluate)")


def _on_gpu() -> bool:
    import torch  # takes seconds; a training needs it anyway

    return torch.cuda.is_available()
