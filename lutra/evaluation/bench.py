"""`lutra bench`: the engine beside bicubic, the torch reference and a small network, on one frame in one run."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lutra
from lutra import engine
from lutra.imaging.colour import rgb_to_y, to_three_channels
from lutra.imaging.files import read_image
from lutra.limits import processors
from lutra.model.artifact import Artifact, layout_for, split_table
from lutra.model.description import TAP_BITS, SampledTaps
from lutra.model.families import registry
from lutra.model.fixedpoint import adarl_shares, sampling_weights
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.terminal import Table

SYSTEMS: dict[str, tuple[str, dict[str, Any], Layout]] = {
    "SR-LUT": ("srlut", {}, DenseLayout(4)),
    "MuLUT-sdy": ("mulut", {}, DenseLayout(4)),
    "SPF-Light + DFC": ("autolut", {"base": "spflut", "kernel": 5}, DiagonalLayout()),
    "SPF-LUT-sdy + DFC": ("spflut", {}, DiagonalLayout()),
}
"""What is measured where no model is given: family, options and layout of the published systems."""

BASELINE = "Pillow bicubic"
BUDGET = 4.0
"""Seconds after which a slow call takes no more turns."""

_PACKAGES = ("numpy", "pillow", "opencv-python-headless", "opencv-python", "torch", "onnxruntime", "onnx")

_TAP_WEIGHTS = np.array([0.7, 0.1, 0.1, 0.1])
"""How much of each tap a synthetic table returns: mostly the pixel itself, or planes would blur from step to step."""

Call = Callable[[], object]


def synthetic_model(family: str, options: dict[str, Any], layout: Layout, *, scale: int = 4) -> Artifact:
    """A model whose steps return about the pixel they see, so that inner planes look like photographs.

    It is about as fast as a trained one: what a table holds changes only which entries the next step reads.
    """
    description = registry.describe(family, scale, options)
    description = replace(description, tap_bits=TAP_BITS if family == "autolut" else None)
    generator = np.random.default_rng(0)
    functions: dict[str, Layout] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for step, unit in description.units():
        functions[unit.name] = layout_for(unit, layout)
        nodes = functions[unit.name].nodes()
        gain = step.divisor / (len(step.units) * step.rotations)  # makes the step's sum the pixel again
        pixel = nodes @ _TAP_WEIGHTS - step.offset
        values = gain * pixel[:, None] + generator.normal(0, 4, (len(nodes), unit.values))
        tensors |= split_table(unit.name, functions[unit.name], np.rint(values).clip(-128, 127).astype(np.int8))
        if isinstance(unit.taps, SampledTaps):
            logits = generator.normal(0, 1, (4, unit.taps.kernel**2)).astype(np.float32)
            tensors |= {f"{unit.name}.sampler": logits, f"{unit.name}.sampler_fixed": sampling_weights(logits)}
        if unit.previous:
            mix = np.full(4, 0.2, np.float32)
            tensors |= {f"{unit.name}.adarl": mix, f"{unit.name}.adarl_fixed": adarl_shares(mix)}
    return Artifact(description, functions, tensors)


def synthetic_photograph(width: int, height: int) -> NDArray[np.uint8]:
    """An RGB image (height, width, 3) as smooth as photographs are, the same on every machine.

    Its spectra are powers of 1 / frequency, as those of photographs (Field, J. Opt. Soc. Am. A 4, 1987), colour
    varies less than luma, and two fields of objects cut edges. Where neighbours are close decides which part of
    a DFC table is read.
    """
    generator = np.random.default_rng(0)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.maximum(np.hypot(down, across), 1 / max(height, width))

    def field(slope: float) -> NDArray[np.float64]:
        spectrum = np.fft.rfft2(generator.normal(size=(height, width))) / frequency**slope
        plane = np.fft.irfft2(spectrum, (height, width))
        normal: NDArray[np.float64] = (plane - plane.mean()) / (plane.std() + 1e-9)
        return normal

    luma = 120 + 38 * field(1.5) + 35 * np.sign(field(2.2)) + 20 * np.sign(field(2))
    planes = [luma + weight * field(2) for weight in (10, 5, 12)]
    return np.stack(planes, axis=-1).round().clip(0, 255).astype(np.uint8)


def frame(size: str | None, image: Path | None) -> NDArray[np.uint8]:
    """The image to enlarge: the file, resized where a size is given, or a synthetic photograph (320x180)."""
    if image is None:
        return synthetic_photograph(*_parse_size(size or "320x180"))
    read = read_image(image)
    return read if size is None else np.asarray(Image.fromarray(read).resize(_parse_size(size)))


def _parse_size(text: str) -> tuple[int, int]:
    """Width and height, from "320x180"; raises ValueError."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 0 < int(side) <= 1 << 14 for side in sides):
        raise ValueError(f"size is {text!r}, expected WIDTHxHEIGHT in pixels, such as 320x180")
    return int(sides[0]), int(sides[1])


def run(
    models: Mapping[str, Artifact],
    frame: NDArray[np.uint8],
    *,
    threads: int = 1,
    level: str | None = None,
    reference: bool = True,
    rounds: int = 20,
) -> dict[str, Any]:
    """Measure models and what they are compared with, in turns; the record as `lutra bench --json` writes it.

    Sets the number of threads of OpenCV and torch for the whole process. Pillow always uses one.

    Args:
        models: models of tables by name, all of one scale; none for `SYSTEMS` with synthetic tables.
        frame: (H, W) or (H, W, 3) uint8, what is enlarged.
        threads: for everything but Pillow.
        level: vector instructions of the engine, as `engine.compile` takes them.
        reference: whether to measure the torch reference too.
        rounds: how many turns of two calls each gets.

    Raises:
        ValueError: the models differ in scale, it is 1, a model is a network, the engine was not built, or an
            argument is out of range.
    """
    if threads < 1 or rounds < 1:
        raise ValueError(f"threads and rounds are {threads} and {rounds}, expected at least 1")
    source = "given" if models else "synthetic"
    models = models or {name: synthetic_model(*system) for name, system in SYSTEMS.items()}
    scale = common_scale(models)
    try:
        engines = {name: engine.compile(model, level=level) for name, model in models.items()}
    except RuntimeError as error:  # not built
        raise ValueError(str(error)) from None
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    calls: dict[str, Call] = {BASELINE: partial(Image.fromarray(frame).resize, size, Image.Resampling.BICUBIC)}
    absent = []
    if cv2 := _optional("cv2"):
        cv2.setNumThreads(threads)
        calls["OpenCV bicubic"] = partial(cv2.resize, frame, size, interpolation=cv2.INTER_CUBIC)
    else:
        absent.append("OpenCV bicubic")
    for name, runner in engines.items():
        out = np.empty((size[1], size[0], *frame.shape[2:]), np.uint8)
        calls[name] = partial(runner.restore, frame, threads=threads, out=out)
    network = _fsrcnn_call(frame, scale, threads)
    if network is None:
        absent.append("FSRCNN")
    else:
        calls["FSRCNN(56,12,4) in ONNX Runtime, luma alone"] = network
    if reference and (torch := _optional("torch")):
        torch.set_num_threads(threads)
        convert = importlib.import_module("lutra.reference.convert")
        for name, model in models.items():
            calls[f"{name}, torch reference"] = partial(convert.from_artifact(model).restore_image, frame)
    elif reference:
        absent.append("torch reference")
    return {
        "machine": machine(),
        "versions": _versions(),
        "frame": {"width": frame.shape[1], "height": frame.shape[0], "planes": frame[0, 0].size},
        "scale": scale,
        "threads": threads,
        "level": next(iter(engines.values())).level,
        "tables": source,
        "models": {name: {"family": m.description.family, "table_bytes": m.table_bytes} for name, m in models.items()},
        "absent": absent,
        "results": _results(measure(calls, rounds), size[0] * size[1]),
    }


def measure(calls: Mapping[str, Call], rounds: int) -> dict[str, tuple[float, int]]:
    """The least milliseconds of each call, and how often it ran.

    They take turns, so that a busy moment hurts all alike; a turn is two calls, so that the second finds in the
    cache what the others drove out. A call that has taken `BUDGET` seconds sits out after its second run.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(2):
                if len(times[name]) >= 2 and sum(times[name]) > BUDGET:
                    break
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: (min(taken) * 1e3, len(taken)) for name, taken in times.items()}


def table(record: Mapping[str, Any]) -> Table:
    """The record's results for people."""
    frame, scale = record["frame"], record["scale"]
    width, height = frame["width"], frame["height"]
    size = f"{width}x{height} to {width * scale}x{height * scale}, {frame['planes']} planes"
    caption = f"{size}; threads: {record['threads']} (Pillow: 1); {record['level']}; {record['machine']['processor']}"
    if record["absent"]:
        caption += f"; not installed: {', '.join(record['absent'])}"
    shown = Table("", caption=caption)
    for heading in ("ms", "megapixels/s", f"x {BASELINE}", "runs"):
        shown.add_column(heading, justify="right")
    for row in record["results"]:
        numbers = f"{row['milliseconds']:.2f}", f"{row['megapixels_per_second']:.1f}", f"{row['ratio']:.2f}"
        shown.add_row(row["name"], *numbers, str(row["runs"]))
    return shown


def common_scale(models: Mapping[str, Artifact]) -> int:
    """The scale of all the models; raises ValueError where they differ, or it is 1: nothing would be enlarged."""
    scales = {name: model.description.scale for name, model in models.items()}
    if len(set(scales.values())) != 1 or 1 in scales.values():
        found = ", ".join(f"{name} x{scale}" for name, scale in scales.items())
        raise ValueError(f"models to compare: found {found}, expected one scale for all, at least 2")
    return next(iter(scales.values()))


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, and system."""
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


def fsrcnn(scale: int) -> bytes:
    """FSRCNN(d = 56, s = 12, m = 4) of Dong et al., ECCV 2016, with random weights, as an ONNX file; needs onnx.

    One plane (1, 1, H, W) float32 named "image" in, (1, 1, scale * H, scale * W) out.
    """
    onnx = importlib.import_module("onnx")
    helper, from_array = onnx.helper, onnx.numpy_helper.from_array
    generator = np.random.default_rng(0)
    nodes, weights, last = [], [], "image"
    layers = [(1, 56, 5), (56, 12, 1), *[(12, 12, 3)] * 4, (12, 56, 1)]
    for index, (before, after, side) in enumerate(layers):
        kernel = generator.normal(0, np.sqrt(2 / (before * side**2)), (after, before, side, side))
        slope = np.full((after, 1, 1), 0.1)
        for name, values in ((f"w{index}", kernel), (f"b{index}", np.zeros(after)), (f"s{index}", slope)):
            weights.append(from_array(values.astype(np.float32), name))
        inputs = [last, f"w{index}", f"b{index}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], pads=[side // 2] * 4))
        nodes.append(helper.make_node("PRelu", [f"c{index}", f"s{index}"], [f"p{index}"]))
        last = f"p{index}"
    kernel = generator.normal(0, 0.01, (56, 1, 9, 9)).astype(np.float32)
    weights.append(from_array(kernel, "enlarge"))
    options = {"strides": [scale] * 2, "pads": [4] * 4, "output_padding": [scale - 1] * 2}
    nodes.append(helper.make_node("ConvTranspose", [last, "enlarge"], ["restored"], **options))
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, None, None])
        for name in ("image", "restored")
    ]
    graph = helper.make_graph(nodes, "fsrcnn", ends[:1], ends[1:], weights)
    # Old enough for every ONNX Runtime in use.
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    content: bytes = model.SerializeToString()
    return content


def _fsrcnn_call(frame: NDArray[np.uint8], scale: int, threads: int) -> Call | None:
    """The network on the frame's luma, its published use: bicubic of the colours is not counted."""
    runtime = _optional("onnxruntime")
    if runtime is None or _optional("onnx") is None:
        return None
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Its threads would otherwise wait for the next run in a loop, through the turns of the others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = runtime.InferenceSession(fsrcnn(scale), options, providers=["CPUExecutionProvider"])
    luma = (rgb_to_y(to_three_channels(frame)) / 255).astype(np.float32)[None, None]
    return partial(session.run, None, {"image": luma})


def _results(measured: Mapping[str, tuple[float, int]], pixels: int) -> list[dict[str, Any]]:
    """Of every call, with megapixels of output a second and the ratio to `BASELINE`'s time."""
    return [
        {
            "name": name,
            "milliseconds": round(milliseconds, 4),
            "megapixels_per_second": round(pixels / milliseconds / 1e3, 3),
            "ratio": round(milliseconds / measured[BASELINE][0], 4),
            "runs": runs,
        }
        for name, (milliseconds, runs) in measured.items()
    ]


def _optional(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _versions() -> dict[str, str]:
    found = {"lutra": lutra.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
