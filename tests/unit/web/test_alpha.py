"""Alpha in the browser is that of Python."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.imaging.alpha import enlarge_alpha, fill_hidden
from lutra.imaging.images import is_opaque
from tests.unit.liblutra.building import ROOT, run

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="needs node")
Pixels = NDArray[np.uint8]
SIZES = ((1, 1), (1, 7), (6, 1), (2, 3), (9, 14), (40, 33))


def picture(height: int, width: int, shown: float, generator: np.random.Generator) -> Pixels:
    """Random colours; alpha is 0, 255 or anything between, visible for that part of the pixels."""
    pixels = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[:, :, 3] = generator.choice([1, 90, 200, 255, 255], (height, width))
    pixels[:, :, 3][generator.random((height, width)) >= shown] = 0
    return pixels


def test_alpha_is_that_of_python(tmp_path: Path) -> None:
    """Few visible pixels: many rings, and what none of them reaches."""
    generator = np.random.default_rng(0)
    drawn = [picture(*size, shown, generator) for size in SIZES for shown in (0, 0.01, 0.5, 1)]
    drawn.append(np.full((5, 4, 4), 255, np.uint8))
    jobs, options = [], []
    for number, pixels in enumerate(drawn):
        stem = tmp_path / str(number)
        stem.write_bytes(pixels.tobytes())
        files = {"pixels": str(stem), "out": f"{stem}.out"}
        height, width = pixels.shape[:2]
        options.append((number % 6, number % 4 + 1))
        jobs.append(files | {"width": width, "height": height, "rings": options[-1][0], "scale": options[-1][1]})
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    run("node", Path(__file__).with_name("alpha.mjs"), ROOT / "web" / "src" / "alpha.js", tmp_path / "jobs.json")
    for pixels, job, (rings, scale) in zip(drawn, jobs, options, strict=True):
        filled = np.dstack([fill_hidden(pixels[:, :, :3], pixels[:, :, 3], rings), pixels[:, :, 3]])
        alpha = enlarge_alpha(pixels[:, :, 3], scale)
        expected = filled.tobytes() + alpha.tobytes() + bytes([is_opaque(pixels[:, :, 3])])
        assert Path(job["out"]).read_bytes() == expected, job
