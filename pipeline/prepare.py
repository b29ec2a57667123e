"""Stage prepare: decode, check and crop the images, make LR by MATLAB's bicubic, pack both for memory-mapping."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from lutra.imaging.resize import imresize, modcrop
from pipeline import tracking
from pipeline.datasets import Source, resolve
from pipeline.params import Params, set_name

Image = NDArray[np.uint8]
LEAST = 8
"""Smallest side of an LR image, in pixels, that is accepted."""


def run(params: Params, *, scale: int, root: Path) -> Path:
    """Prepare the training, validation and evaluation images of one scale.

    Returns:
        The prepared folder, root/prepare/x{scale}. It appears whole, in place of what was there.

    Raises:
        ValueError, OSError: an image is missing, damaged, too small or of the wrong mode; names the file.
    """
    out = root / "prepare" / f"x{scale}"
    temporary = out.with_name(f".x{scale}.{os.getpid()}.tmp")
    data = params.data
    sets = _sets(params)
    with tracking.stage_run(
        params.tracking, stage="prepare", experiment=f"x{scale}", root=root, params=data.model_dump(mode="json")
    ) as log:
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            parts = {name: _pack(sources, scale, data.bicubic, temporary / name) for name, sources in sets.items()}
            index = {"scale": scale, "bicubic": data.bicubic, "parts": parts}
            (temporary / "index.json").write_text(json.dumps(index, indent=2) + "\n")
            shutil.rmtree(out, ignore_errors=True)
            os.replace(temporary, out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        log.metrics({f"images/{name}": part["images"] for name, part in parts.items()})
        log.artifact(out / "index.json")
    return out


def _sets(params: Params) -> dict[str, list[Source]]:
    """Folder name -> images: train and validate share one set, evaluation sets have a folder each."""
    sources = resolve(params.data.train)
    held = params.data.validate
    if held >= len(sources):
        raise ValueError(f"data.validate: found {held}, expected fewer than the {len(sources)} images of data.train")
    chosen = {(2 * number + 1) * len(sources) // (2 * held) for number in range(held)}
    sets = {
        "train": [source for number, source in enumerate(sources) if number not in chosen],
        "validate": [source for number, source in enumerate(sources) if number in chosen],
    }
    names = [set_name(name) for name in params.data.evaluate]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"data.evaluate: found two sets called {twice[0]!r}, expected different names")
    return sets | {f"evaluate/{name}": resolve(given) for name, given in zip(names, params.data.evaluate, strict=True)}


def _pack(sources: list[Source], scale: int, bicubic: Any, folder: Path) -> dict[str, Any]:
    """Write hr.npy, lr.npy and index.json of one set, an image at a time; returns a summary."""
    folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    with (folder / "hr.raw").open("wb") as hr_file, (folder / "lr.raw").open("wb") as lr_file:
        for source, hr, lr in track(
            _made(sources, scale, bicubic),
            total=len(sources),
            description=folder.name,
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        ):
            hr_file.write(_planes(hr).tobytes())
            lr_file.write(_planes(lr).tobytes())
            images.append({"name": source.name, "lr_shape": list(_planes(lr).shape)})
    digests = {f"{name}.npy": _as_npy(folder / f"{name}.raw") for name in ("hr", "lr")}
    index = {"scale": scale, "images": images, "sha256": digests}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    pixels = sum(int(np.prod(image["lr_shape"][1:])) for image in images) * scale**2
    return {"images": len(images), "hr_pixels": pixels, "sha256": digests}


def _made(sources: list[Source], scale: int, bicubic: Any) -> Iterator[tuple[Source, Image, Image]]:
    """HR and LR of every source, in order, two at a time: decoding and resizing leave Python's lock."""

    def make(source: Source) -> tuple[Source, Image, Image]:
        image = source.read()
        if min(image.shape[:2]) < LEAST * scale:
            found = f"{image.shape[1]}x{image.shape[0]} pixels"
            raise ValueError(f"{source.name}: too small: {found}, expected at least {LEAST * scale} on each side")
        hr = modcrop(image, scale)
        return source, hr, imresize(hr, 1 / scale, bicubic) if scale > 1 else hr

    # reading changes the filters of warnings for a moment, which two threads may put back in the wrong order
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        for start in range(0, len(sources), 4):  # a few at a time, so that memory does not grow with the set
            yield from pool.map(make, sources[start : start + 4])


def _planes(image: Image) -> Image:
    return np.atleast_3d(image).transpose(2, 0, 1)


def _as_npy(raw: Path) -> str:
    """Turn a file of bytes into a one-dimensional .npy file beside it; returns the sha256 of the bytes."""
    digest = hashlib.sha256()
    target = raw.with_suffix(".npy")
    with raw.open("rb") as source, target.open("wb") as file:
        _header(file, raw.stat().st_size)
        while block := source.read(1 << 24):
            digest.update(block)
            file.write(block)
    raw.unlink()
    return digest.hexdigest()


def _header(file: BinaryIO, size: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, header)
