"""The core as WebAssembly restores what Python restores."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

import lutra
from lutra import zoo
from lutra.engine.plan_file import to_bytes
from lutra.model import artifact
from lutra.model.description import Rounding
from lutra.restore.restorer import Restorer
from tests.golden.cases import COLOUR_UNITS, COLOURED, LAYERED, OUTPUTS, SIZES, image, input_of, model
from tests.unit.engine.engine_models import DenseLayout, DiagonalLayout, random_image, random_model
from tests.unit.liblutra.building import GOLDEN, ROOT, run

pytestmark = pytest.mark.xdist_group("web")
Pixels = NDArray[np.uint8]


class Jobs:
    """The jobs of node, all in one process."""

    def __init__(self, core: Path, folder: Path) -> None:
        self.core, self.folder, self.jobs = core, folder, list[dict[str, Any]]()

    def add(self, plan: bytes, pixels: Pixels, keep: tuple[slice, slice] | None = None) -> Path:
        """Add an image (H, W) or (H, W, 3), of which a part may be kept; return where the result will be."""
        height, width = pixels.shape[:2]
        stem = self.folder / str(len(self.jobs))
        rgba = np.full((height, width, 4), 255, np.uint8)
        rgba[:, :, :3] = np.atleast_3d(pixels)
        stem.with_suffix(".lut").write_bytes(plan)
        stem.with_suffix(".rgba").write_bytes(rgba.tobytes())
        rows, columns = keep or (slice(0, height), slice(0, width))
        tile = {"width": width, "height": height, "left": columns.start, "top": rows.start}
        tile |= {"columns": columns.stop - columns.start, "rows": rows.stop - rows.start, "gray": pixels.ndim == 2}
        files = {name: str(stem.with_suffix(f".{name}")) for name in ("lut", "rgba", "out")}
        self.jobs.append({"plan": files["lut"], "pixels": files["rgba"], "tile": tile, "out": files["out"]})
        return stem.with_suffix(".out")

    def run(self) -> None:
        (self.folder / "jobs.json").write_text(json.dumps(self.jobs))
        script = Path(__file__).with_name("restore.mjs")
        run("node", script, ROOT / "web" / "src" / "core.js", self.core, self.folder / "jobs.json")


@pytest.fixture
def jobs(core: Path, tmp_path: Path) -> Jobs:
    return Jobs(core, tmp_path)


def test_golden_outputs(jobs: Jobs) -> None:
    expected = np.load(OUTPUTS)
    made = {
        f"{name}/{height}x{width}": jobs.add(to_bytes(model(name)), input_of(name, height, width))
        for name in GOLDEN
        for height, width in SIZES
    }
    jobs.run()
    for key, path in made.items():
        wanted = np.full((*expected[key].shape[:2], 4), 255, np.uint8)
        wanted[:, :, :3] = expected[key] if expected[key].ndim == 3 else expected[key][:, :, None]
        assert path.read_bytes() == wanted.tobytes(), key


@pytest.mark.parametrize("name", [*COLOURED, *COLOUR_UNITS])
def test_gray_is_restored_as_python_does(jobs: Jobs, name: str) -> None:
    pixels = image(9, 7)
    made = jobs.add(to_bytes(model(name)), pixels, (slice(2, 8), slice(1, 7)))
    jobs.run()
    own = Restorer(model(name))
    part = own.restore(pixels)[2 * own.scale : 8 * own.scale, own.scale : 7 * own.scale]
    found = np.frombuffer(made.read_bytes(), np.uint8).reshape(*part.shape, 4)
    assert (found[:, :, :3] == part[:, :, None]).all() and (found[:, :, 3] == 255).all()
    assert json.loads(Path(f"{made}.facts").read_text())["colours"] == 3


def test_images_wider_than_a_chunk(jobs: Jobs) -> None:
    """The models have layers of every form, and vertices picked from cells of three and four axes."""
    made = {}
    models = {name: model(name) for name in (*LAYERED, *COLOURED)}
    models["cells"] = random_model("dnlut", 1, {}, DenseLayout(4))
    for seed, (name, drawn) in enumerate(models.items()):
        pixels = random_image(9, 150, drawn.description.colours, seed=seed, smooth=seed % 2 == 0)
        made[name] = pixels, jobs.add(to_bytes(drawn), pixels)
    jobs.run()
    for name, (pixels, path) in made.items():
        expected = Restorer(models[name]).restore(np.repeat(pixels, 3 // pixels.shape[2], axis=2))
        found = np.frombuffer(path.read_bytes(), np.uint8).reshape(*expected.shape[:2], 4)
        assert np.array_equal(found[:, :, :3], expected), name


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_every_interval_and_rounding(jobs: Jobs, scale: int) -> None:
    """Sums of four rotations fit 16 bits up to an interval of 6; the least entries everywhere reach their end."""
    made = []
    for interval, rounding in product((4, 5, 6, 7), get_args(Rounding)):
        layout = DiagonalLayout(4, 2, 5) if interval == 4 else DenseLayout(interval)
        drawn = random_model("mulut", scale, {"patterns": "sd"}, layout, rounding=rounding, seed=interval)
        least = replace(drawn, tensors={name: np.full_like(values, -128) for name, values in drawn.tensors.items()})
        pixels = random_image(7, 70, 3, seed=interval, smooth=interval % 2 == 0)
        made += [(one, pixels, jobs.add(to_bytes(one), pixels)) for one in (drawn, least)]
    jobs.run()
    for one, pixels, path in made:
        expected = Restorer(one).restore(pixels)
        found = np.frombuffer(path.read_bytes(), np.uint8).reshape(*expected.shape[:2], 4)
        assert np.array_equal(found[:, :, :3], expected), (one.description.rounding, one.functions)


def test_zoo_models_restore_as_in_python(jobs: Jobs) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    made = {name: jobs.add(to_bytes(artifact.load(path)), pixels) for name, path in zoo.models().items()}
    jobs.run()
    for name, path in made.items():
        own = lutra.load(name)
        restored = np.frombuffer(path.read_bytes(), np.uint8).reshape(70 * own.scale, 90 * own.scale, 4)
        assert np.array_equal(restored[:, :, :3], own.restore(pixels)), name
        assert (restored[:, :, 3] == 255).all()
        facts = json.loads(Path(f"{path}.facts").read_text())
        assert facts["scale"] == own.scale
        assert facts["colours"] == own.artifact.description.colours
        assert facts["margin"] == own.artifact.description.radius
        assert facts["luma"] == (own.artifact.trained_planes == "luma")


def test_a_tile_is_a_part_of_the_whole(jobs: Jobs) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 72, 3), dtype=np.uint8)
    part = (slice(24, 40), slice(30, 43))
    names = ("spf-light-deblock10", "shift-m-x4", "dn-25")
    plans = {name: to_bytes(artifact.load(zoo.models()[name])) for name in names}
    made = {name: jobs.add(plan, pixels, part) for name, plan in plans.items()}
    jobs.run()
    for name, path in made.items():
        own = lutra.load(name)
        kept = tuple(slice(side.start * own.scale, side.stop * own.scale) for side in part)
        found = np.frombuffer(path.read_bytes(), np.uint8).reshape(16 * own.scale, 13 * own.scale, 4)
        assert np.array_equal(found[:, :, :3], own.restore(pixels)[kept]), name


def test_damaged_plans_are_refused(jobs: Jobs) -> None:
    plan = bytearray(to_bytes(model("mulut-dfc-x2")))
    plan[-10] ^= 1
    cut, damaged = (jobs.add(bytes(bad), image(9, 7)) for bad in (plan[:10], plan))
    jobs.run()
    assert Path(f"{cut}.error").read_text() == "plan file: it does not begin as a plan file does"
    assert "checksum" in Path(f"{damaged}.error").read_text()
