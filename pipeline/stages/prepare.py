"""Stage prepare: decode, check, crop and degrade the images of a task, and pack both for memory-mapping."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from lutra.evaluation.protocols import Protocol
from lutra.files import whole_folder
from lutra.imaging.degrade import SEED
from lutra.terminal import printable
from lutra.training.pairs import channels_first
from pipeline import tracking
from pipeline.data.sets import ImageSource, image_sources
from pipeline.params import TaskParams
from pipeline.running.job import Job

Image = NDArray[np.uint8]
CACHE = "cache"
"""Folder under a root that keeps what several preparations need; it may be deleted at any time."""
LEAST = 8
"""Smallest side of an input image, in pixels, that is accepted."""
TRAIN_SEED = 1
"""The seed of the degradations of training images; protocols use another."""


def run(job: Job) -> Path:
    """Prepare the training, validation and evaluation images of one task.

    Returns:
        The prepared folder, root/prepare/TASK. It appears whole, in place of what was there.

    Raises:
        ValueError, OSError: an image is missing, damaged, too small or of the wrong mode; names the file.
    """
    params, task, block = job.params, job.task, job.task_params
    protocol, out = block.protocol(), job.outputs["data"]
    settings = {"data": params.data.model_dump(mode="json"), "task": block.model_dump(mode="json")}
    names = {"train": " + ".join(params.train_sets(task)), "evaluate": " ".join(params.evaluate_sets(task))}
    with tracking.stage_run(
        params.tracking,
        stage="prepare",
        experiment=task,
        root=job.root,
        params=names | block.options,
        settings=settings,
        live=False,
    ) as log:
        sets = image_sources(params, task, job.root / CACHE)
        ways = {f"evaluate/{one.name}": one.protocol for one in params.evaluations(task)}
        with whole_folder(out) as folder:
            parts = {
                name: _pack(sources, ways.get(name, protocol), folder / name, block if name == "train" else None)
                for name, sources in sets.items()
            }
            if params.data.shares:
                shares = _add_shares(folder / "train" / "index.json", sets["train"], params.data.shares)
                parts["train"]["shares"] = shares
            index = {"task": block.task, "options": block.options, "pairs": block.pairs, "parts": parts}
            (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")
        log.metrics({f"images/{name}": part["images"] for name, part in parts.items()})
        log.artifact(out / "index.json")
    return out


def _pack(sources: list[ImageSource], protocol: Protocol, folder: Path, trained: TaskParams | None) -> dict[str, Any]:
    """Write target.npy, input.npy and index.json of one set, an image at a time; return a summary.

    `trained`: the task, if its models train on the images.
    """
    folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    with _Npy(folder / "target.npy") as target_file, _Npy(folder / "input.npy") as input_file:
        for source, target, degraded in track(
            _made(sources, protocol, trained is not None),
            total=len(sources),
            description=escape(printable(folder.name)),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        ):
            target_file.write(channels_first(target))
            input_file.write(channels_first(degraded))
            images.append({"name": source.name, "input_shape": list(channels_first(degraded).shape)})
    digests = {"target.npy": target_file.sha256, "input.npy": input_file.sha256}
    index: dict[str, Any] = {"scale": protocol.scale, "images": images, "sha256": digests}
    if trained and protocol.degradation.per_patch and not protocol.pairs:  # for every patch, by the sampler
        index["drawn_anew"] = {"task": trained.task, "options": trained.options}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    pixels = sum(int(np.prod(image["input_shape"][1:])) for image in images) * protocol.scale**2
    return {"images": len(images), "target_pixels": pixels, "sha256": digests}


def _add_shares(path: Path, sources: list[ImageSource], given: Mapping[str, float]) -> list[tuple[int, float]]:
    """Add to an index, and return, how many images each set has, and the share of the patches that come from it.

    Sets without a share divide the rest in proportion to their pixels.
    """
    index = json.loads(path.read_text())
    counts: Counter[str] = Counter()
    pixels: Counter[str] = Counter()
    for source, image in zip(sources, index["images"], strict=True):
        counts[source.group] += 1
        pixels[source.group] += math.prod(image["input_shape"])
    whole = sum(given.get(name, 0) for name in counts)
    others = sum(pixels[name] for name in counts if name not in given)
    left = 1 - whole if others else 0
    weights = {name: given[name] if name in given else left * pixels[name] / others for name in counts}
    shares = [(counts[name], weight / (whole + left)) for name, weight in weights.items()]
    path.write_text(json.dumps(index | {"shares": shares}, indent=1) + "\n")
    return shares


def _made(sources: list[ImageSource], protocol: Protocol, trained: bool) -> Iterator[tuple[ImageSource, Image, Image]]:
    """Yield the clean image and the input of each source in order. Two threads make them: decoding drops Python's lock.

    `trained`: whether models train on the images, which are not scored then.
    """
    seed = TRAIN_SEED if trained else SEED
    least = LEAST * protocol.scale if trained else max(LEAST * protocol.scale, protocol.least)

    def make(place: tuple[int, ImageSource]) -> tuple[ImageSource, Image, Image]:
        number, source = place
        image = source.read()
        if min(image.shape[:2]) < least:
            found = f"{image.shape[1]}x{image.shape[0]} pixels"
            raise ValueError(f"{source.name}: too small: {found}, expected at least {least} on each side")
        own = source.read_input() if protocol.pairs and source.read_input else None
        try:
            target = protocol.target(image)
            return source, target, protocol.input(target, number, own, seed)
        except ValueError as error:
            raise ValueError(f"{source.name}: {error}") from None

    numbered = list(enumerate(sources))
    # reading changes the warning filters for a moment; two threads at once might restore them in the wrong order
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        for start in range(0, len(sources), 4):  # a few at a time, so that memory does not grow with the set
            yield from pool.map(make, numbered[start : start + 4])


class _Npy:
    """A one-dimensional .npy file of bytes that is written piece by piece, so that memory does not grow with it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._size = 0
        self._header()

    def write(self, pixels: Image) -> None:
        content = pixels.tobytes()
        self._file.write(content)
        self._digest.update(content)
        self._size += len(content)

    def _header(self) -> None:
        # NumPy leaves room in it for any size, so that it can be rewritten at the end
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._size,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes, without the header."""
        return self._digest.hexdigest()

    def __enter__(self) -> _Npy:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._header()
