"""`lutra bench`: the engine next to bicubic, the torch reference and a small network, on one frame in one run."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lutra
from lutra import engine
from lutra.evaluation import fsrcnn
from lutra.evaluation.fsrcnn import optional
from lutra.evaluation.synthetic import COLOUR_SYSTEMS, SYSTEMS, synthetic_model, synthetic_photograph
from lutra.evaluation.timing import Call, least_seconds, seconds_in_turns
from lutra.imaging.images import read_image
from lutra.limits import processors
from lutra.model.artifact import Artifact
from lutra.restore.restorer import Restorer
from lutra.restore.running import suits_engine
from lutra.restore.sizes import parse_size
from lutra.terminal import TextTable

BASELINE = "Pillow bicubic"
MOST_SIDE = 1 << 14
"""Limit of a side of the frame."""
_RESULT = 256  # pixels: side of the result that `ms_per_megapixel` measures
_PACKAGES = ("numpy", "pillow", "opencv-python-headless", "opencv-python", "torch", "onnxruntime", "onnx")


def colour_models() -> dict[str, Artifact]:
    """Return `COLOUR_SYSTEMS` with synthetic tables."""
    return {name: synthetic_model(*system, scale=1) for name, system in COLOUR_SYSTEMS.items()}


def frame(size: str | None, image: Path | None) -> NDArray[np.uint8]:
    """Return the image to enlarge: the file, resized where a size is given, or a synthetic photograph (320x180)."""
    if image is None:
        return synthetic_photograph(*parse_size(size or "320x180", MOST_SIDE))
    read = read_image(image)
    return read if size is None else np.asarray(Image.fromarray(read).resize(parse_size(size, MOST_SIDE)))


def ms_per_megapixel(model: Artifact) -> float | None:
    """Return the milliseconds for a megapixel of the result, on one thread; None where torch would have to run it."""
    if not (engine.available() and suits_engine(model)):
        return None
    restorer, side = Restorer(model), _RESULT // model.description.scale
    small = frame(f"{side}x{side}", None)
    seconds = least_seconds({"": lambda: restorer.restore(small, threads=1)}, 1, in_a_row=3)[""]
    return seconds * 1e3 / ((side * model.description.scale) ** 2 / 1e6)


def run(
    models: Mapping[str, Artifact],
    frame: NDArray[np.uint8],
    *,
    threads: int = 1,
    level: str | None = None,
    reference: bool = True,
    rounds: int = 20,
) -> dict[str, Any]:
    """Measure models and what they are compared with, in turns; return the record that `lutra bench --json` writes.

    Sets the number of threads of OpenCV and torch for the whole process. Pillow always uses one.

    Args:
        models: models of tables by name, all of one scale; none for `SYSTEMS` with synthetic tables.
        frame: (H, W) or (H, W, 3) uint8, what is enlarged.
        threads: the number of threads of everything but Pillow.
        level: vector instructions of the engine, as `engine.compile` takes them.
        reference: whether to measure the torch reference too.
        rounds: how many turns of two calls each gets.

    Raises:
        ValueError: the models differ in scale, a model is a network, the engine was not built, or an
            argument is out of range.
    """
    if threads < 1 or rounds < 1:
        raise ValueError(f"threads and rounds are {threads} and {rounds}, expected at least 1")
    tables = "given" if models else "synthetic"
    models = models or {name: synthetic_model(*system) for name, system in SYSTEMS.items()}
    scale = common_scale(models)
    try:
        engines = {name: engine.compile(model, level=level) for name, model in models.items()}
    except RuntimeError as error:  # not built
        raise ValueError(str(error)) from None
    height, width = frame.shape[0] * scale, frame.shape[1] * scale
    calls, absent = _calls(engines, frame, scale, threads)
    if reference:
        references = _references(models, frame, threads)
        calls |= references
        absent += [] if references else ["torch reference"]
    return {
        "machine": machine(),
        "versions": _versions(),
        "frame": {"width": frame.shape[1], "height": frame.shape[0], "planes": frame[0, 0].size},
        "scale": scale,
        "threads": threads,
        "level": next(iter(engines.values())).level,
        "tables": tables,
        "models": {name: {"family": m.description.family, "table_bytes": m.table_bytes} for name, m in models.items()},
        "absent": absent,
        "results": _results(seconds_in_turns(calls, rounds), width * height),
    }


def _calls(
    engines: Mapping[str, engine.Engine], frame: NDArray[np.uint8], scale: int, threads: int
) -> tuple[dict[str, Call], list[str]]:
    """Return what is measured besides the torch reference, by name, and the names of what is not installed.

    At scale 1 bicubic interpolation enlarges every fourth pixel of every fourth row, and FSRCNN is left out.
    """
    width, height = frame.shape[1] * scale, frame.shape[0] * scale
    small = frame if scale > 1 else np.ascontiguousarray(frame[::4, ::4])
    calls: dict[str, Call] = {
        BASELINE: partial(Image.fromarray(small).resize, (width, height), Image.Resampling.BICUBIC)
    }
    absent = []
    if cv2 := optional("cv2"):
        cv2.setNumThreads(threads)
        calls["OpenCV bicubic"] = partial(cv2.resize, small, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        absent.append("OpenCV bicubic")
    for name, runner in engines.items():
        out = np.empty((height, width, *frame.shape[2:]), np.uint8)
        calls[name] = partial(runner.restore, frame, threads=threads, out=out)
    if scale == 1:
        return calls, absent
    if network := fsrcnn.call(frame, scale, threads):
        calls["FSRCNN(56,12,4) in ONNX Runtime, luma alone"] = network
    else:
        absent.append("FSRCNN")
    return calls, absent


def _references(models: Mapping[str, Artifact], frame: NDArray[np.uint8], threads: int) -> dict[str, Call]:
    """Return the torch reference of every model; nothing where torch is not installed."""
    torch = optional("torch")
    if torch is None:
        return {}
    torch.set_num_threads(threads)
    convert = importlib.import_module("lutra.reference.convert")
    return {
        f"{name}, torch reference": partial(convert.from_artifact(model).restore_image, frame)
        for name, model in models.items()
    }


def results_table(record: Mapping[str, Any]) -> TextTable:
    """Return the record's results as a table for the terminal."""
    frame, scale = record["frame"], record["scale"]
    width, height = frame["width"], frame["height"]
    size = f"{width}x{height} to {width * scale}x{height * scale}, {frame['planes']} planes"
    caption = f"{size}; threads: {record['threads']} (Pillow: 1); {record['level']}; {record['machine']['processor']}"
    if record["absent"]:
        caption += f"; not installed: {', '.join(record['absent'])}"
    shown = TextTable("", caption=caption)
    for heading in ("ms", "megapixels/s", f"x {BASELINE}", "runs"):
        shown.add_column(heading, justify="right")
    for row in record["results"]:
        numbers = f"{row['milliseconds']:.2f}", f"{row['megapixels_per_second']:.1f}", f"{row['ratio']:.2f}"
        shown.add_row(row["name"], *numbers, str(row["runs"]))
    return shown


def common_scale(models: Mapping[str, Artifact]) -> int:
    """Return the scale of all the models; raises ValueError where they differ."""
    scales = {name: model.description.scale for name, model in models.items()}
    if len(set(scales.values())) != 1:
        found = ", ".join(f"{name} x{scale}" for name, scale in scales.items())
        raise ValueError(f"models to compare: found {found}, expected one scale for all")
    return next(iter(scales.values()))


def machine() -> dict[str, Any]:
    """Return the processor, the number of cores that this process may use, and the system."""
    processor = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.is_file():
        names = [
            line.partition(":")[2].strip()
            for line in described.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return {"processor": processor, "cores": processors(), "system": f"{platform.system()} {platform.machine()}"}


def _results(times: Mapping[str, list[float]], pixels: int) -> list[dict[str, Any]]:
    """Return the results of every call: megapixels of output a second, and the ratio to `BASELINE`'s time."""
    milliseconds = {name: min(taken) * 1e3 for name, taken in times.items()}
    return [
        {
            "name": name,
            "milliseconds": round(least, 4),
            "megapixels_per_second": round(pixels / least / 1e3, 3),
            "ratio": round(least / milliseconds[BASELINE], 4),
            "runs": len(times[name]),
        }
        for name, least in milliseconds.items()
    ]


def _versions() -> dict[str, str]:
    found = {"lutra": lutra.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
