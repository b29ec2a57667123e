"""The package makes results of any size, tile by tile, with the bytes of Python's."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lutra
from lutra import zoo
from lutra.engine.plan_file import to_bytes
from lutra.restore.restorer import Restorer
from lutra.restore.sizes import Target
from tests.golden.cases import model
from tests.unit.liblutra.building import run

pytestmark = pytest.mark.xdist_group("web")
Pixels = NDArray[np.uint8]


@cache
def restorer(name: str) -> Restorer:
    return lutra.load(name) if name in zoo.models() else Restorer(model(name))


@dataclass
class Jobs:
    """The jobs of node, all in one process."""

    package: Path
    folder: Path
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, pixels: Pixels, **size: Any) -> Path:
        """Add an image (H, W), (H, W, 3) or (H, W, 4); return where the result will be."""
        height, width = pixels.shape[:2]
        plan, stem = self.folder / f"{name}.lut", self.folder / str(len(self.jobs))
        plan.write_bytes(to_bytes(restorer(name).artifact))
        rgba = np.full((height, width, 4), 255, np.uint8)
        rgba[:, :, : 4 if pixels.shape[2:] == (4,) else 3] = np.atleast_3d(pixels)
        stem.with_suffix(".rgba").write_bytes(rgba.tobytes())
        files = {"plan": plan.as_uri(), "pixels": f"{stem}.rgba", "out": f"{stem}.out"}
        self.jobs.append(files | {"width": width, "height": height, "size": size})
        return stem.with_suffix(".out")

    def run(self) -> None:
        (self.folder / "jobs.json").write_text(json.dumps(self.jobs))
        run("node", Path(__file__).with_name("sized.mjs"), self.package / "node.js", self.folder / "jobs.json")


@pytest.fixture
def jobs(folder: Path, tmp_path: Path) -> Jobs:
    return Jobs(folder / "npm", tmp_path)


def assert_equal(path: Path, expected: Pixels) -> list[list[int]]:
    """Compare a result; return its progress."""
    told = json.loads(Path(f"{path}.json").read_text())
    assert (told["height"], told["width"]) == expected.shape[:2]
    found = np.frombuffer(path.read_bytes(), np.uint8).reshape(*expected.shape[:2], 4)
    if expected.shape[2:] == (4,):
        assert np.array_equal(found, expected)
    else:
        assert (found[:, :, :3] == np.atleast_3d(expected)).all() and (found[:, :, 3] == 255).all()
    return list(told["steps"])


SIZES = ((345, 150), (150, 345), (230, 26), (460, 13), (57, 96), (71, 9), (1, 1), (231, 27))
"""Sizes of results of an image of 230x26: odd factors, those of both axes apart, the same size, smaller ones."""


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_every_size_is_that_of_python(jobs: Jobs, channels: tuple[int, ...]) -> None:
    """There are two tiles along the longer side; alpha hides some pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (26, 230, *channels), dtype=np.uint8)
    if channels == (4,):
        pixels[:, :150, 3] = 255 * (pixels[:, :150, 3] > 127)
    names = ("any-scale", "lerf-dfc-x3")
    sized = {(name, size): jobs.add(name, pixels, width=size[0], height=size[1]) for name in names for size in SIZES}
    factors = (1.5, 2.3, 1.1, 0.4, 1, 4, 1 / 3)
    scaled = {(name, scale): jobs.add(name, pixels, scale=scale) for name in names for scale in factors}
    own = {name: jobs.add(name, pixels) for name in names}
    one_side = jobs.add(names[0], pixels, width=301), jobs.add(names[0], pixels, height=31)
    jobs.run()
    for (name, size), path in sized.items():
        steps = assert_equal(path, restorer(name).restore(pixels, size=size))
        assert steps == [[done + 1, len(steps)] for done in range(len(steps))]
        assert len(steps) > 1 or size == (1, 1)
    for (name, scale), path in scaled.items():
        assert_equal(path, restorer(name).restore(pixels, size=Target(scale=scale)))
    for name, path in own.items():
        assert_equal(path, restorer(name).restore(pixels))
    assert_equal(one_side[0], restorer(names[0]).restore(pixels, size=Target(width=301)))
    assert_equal(one_side[1], restorer(names[0]).restore(pixels, size=Target(height=31)))


def test_tiles_do_not_show(jobs: Jobs) -> None:
    """Many of them along both axes, where results grow and shrink."""
    pixels = np.random.default_rng(1).integers(0, 256, (210, 400, 3), dtype=np.uint8)
    sizes = ((611, 777), (2700, 300), (150, 500), (399, 209))
    made = [jobs.add("any-scale", pixels, width=size[0], height=size[1]) for size in sizes]
    jobs.run()
    for size, path in zip(sizes, made, strict=True):
        assert len(assert_equal(path, restorer("any-scale").restore(pixels, size=size))) >= 4


def test_what_is_refused_is_told(jobs: Jobs) -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    wrong: dict[str, dict[str, float]] = {
        "RangeError: found a scale and a size, expected one of them": {"scale": 2, "width": 9},
        "RangeError: scale is 0, expected a number above 0": {"scale": 0},
        "RangeError: size has a side of 1.5, expected whole numbers of pixels": {"width": 1.5},
        "RangeError: size has a side of 0, expected whole numbers of pixels": {"height": 0},
        "RangeError: the result would have 5000000x4000000 pixels, expected sides of at most 1048576": {"scale": 1e6},
        "RangeError: the result would have 500000x400000 pixels, at most 2^28 are possible": {"scale": 1e5},
    }
    made = {message: jobs.add("any-scale", pixels, **size) for message, size in wrong.items()}
    made["RangeError: the model restores at x2 alone, expected one of any size"] = jobs.add(
        "mulut-dfc-x2", pixels, scale=2
    )
    jobs.run()
    assert {Path(f"{path}.error").read_text() for path in made.values()} == set(made)
