"""How fast the engine is: a 320x180 RGB photograph to 1280x720, against Pillow's bicubic in the same run.

`python tests/bench/engine.py [--json FILE] [--rounds N] [--levels avx512,avx2]`. Tables are the published ones where a
folder of them is given (`--reference FOLDER`), else a smooth function: what a table holds does not change the work.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from lutra import engine
from lutra.artifact import Artifact, split_table
from lutra.description import TAP_BITS, ChannelTaps, SampledTaps
from lutra.fixedpoint import adarl_shares, sampling_weights
from lutra.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.models import registry
from lutra.published import read_tables

SYSTEMS: dict[str, tuple[str, dict[str, Any], Layout, str, float]] = {
    "SR-LUT": ("srlut", {}, DenseLayout(4), "srlut/Model_S_x4_4bit_int8.npy", 0.8),
    "MuLUT-sdy-x2": ("mulut", {}, DenseLayout(4), "mulut/LUT_ft_*.npy", 3),
    "SPF-Light + DFC": ("autolut", {"base": "spflut", "kernel": 5}, DiagonalLayout(), "", 9),
    "SPF-LUT-sdy + DFC": ("spflut", {}, DiagonalLayout(), "", 16),
}
"""Family, options, layout, published files, and the ratio to Pillow's bicubic to stay under on one thread."""


def smooth_model(family: str, options: dict[str, Any], layout: Layout) -> Artifact:
    """A model whose units return about the mean of their taps, so that inner planes look like photographs."""
    description = registry.describe(family, 4, options)
    description = replace(description, tap_bits=TAP_BITS if family == "autolut" else None)
    generator = np.random.default_rng(0)
    functions: dict[str, Layout] = {}
    tensors = {}
    for _, unit in description.units():
        functions[unit.name] = DenseLayout(layout.interval) if isinstance(unit.taps, ChannelTaps) else layout
        nodes = functions[unit.name].nodes()
        values = nodes.mean(axis=1, keepdims=True) / 2 - 64 + generator.normal(0, 4, (len(nodes), unit.values))
        tensors |= split_table(unit.name, functions[unit.name], np.rint(values).clip(-128, 127).astype(np.int8))
        if isinstance(unit.taps, SampledTaps):
            logits = generator.normal(0, 1, (4, unit.taps.kernel**2)).astype(np.float32)
            tensors |= {f"{unit.name}.sampler": logits, f"{unit.name}.sampler_fixed": sampling_weights(logits)}
        if unit.previous:
            mix = np.full(4, 0.2, np.float32)
            tensors |= {f"{unit.name}.adarl": mix, f"{unit.name}.adarl_fixed": adarl_shares(mix)}
    return Artifact(description, functions, tensors)


def photograph() -> np.ndarray[Any, Any]:
    """320 x 180 RGB."""
    from skimage import data

    picture = Image.fromarray(data.astronaut()).crop((0, 0, 512, 288))
    return np.asarray(picture.resize((320, 180), Image.Resampling.BICUBIC))


def measure(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The least milliseconds of each call; they take turns, so that a busy moment hurts all alike."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            least[name] = min(least[name], (time.perf_counter() - start) * 1e3)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--reference", type=Path, help="folder of the published tables")
    parser.add_argument("--levels", default=",".join(reversed(engine.levels())))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="systems whose names contain this")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    image = photograph()
    picture = Image.fromarray(image)
    calls: dict[str, Callable[[], Any]] = {
        "Pillow bicubic": lambda: picture.resize((1280, 720), Image.Resampling.BICUBIC)
    }
    limits = {}
    for name, (family, options, layout, files, limit) in SYSTEMS.items():
        if arguments.only not in name:
            continue
        if arguments.reference and files:
            model = read_tables(sorted(arguments.reference.glob(files)), family, 4)
        else:
            model = smooth_model(family, options, layout)
        for level in arguments.levels.split(","):
            runner = engine.compile(model, level=level)
            out = np.empty((720, 1280, 3), np.uint8)
            for threads in (1, 2):
                label = f"{name}, {level}, {threads} thread{'s' * (threads > 1)}"
                calls[label] = lambda runner=runner, out=out, threads=threads: runner.restore(
                    image, threads=threads, out=out
                )
                limits[label] = limit
    least = measure(calls, arguments.rounds)
    bicubic = least["Pillow bicubic"]
    for name, milliseconds in least.items():
        limit = f" (limit {limits[name]})" if name in limits and name.endswith("1 thread") else ""
        print(f"{name:42} {milliseconds:8.2f} ms  {milliseconds / bicubic:6.2f} x bicubic{limit}")
    if arguments.json:
        versions = {"python": platform.python_version(), "numpy": np.__version__, "pillow": PIL.__version__}
        record = {"machine": platform.processor() or platform.machine(), "versions": versions, "milliseconds": least}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
