"""Ready to restore: every kind of image, engine and torch alike, from many threads, without torch."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import lutra
from lutra import engine
from lutra.imaging.alpha import enlarge_alpha, fill_hidden
from lutra.imaging.colour import rgb_to_y
from lutra.imaging.resize import imresize
from lutra.model import artifact, families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DenseLayout
from lutra.reference.build import build_model
from lutra.reference.convert import from_artifact, to_artifact
from lutra.restore import restorer as restoring
from lutra.restore.restorer import Restorer
from lutra.training.tabulate import to_tables
from tests.golden import cases

needs_engine = pytest.mark.skipif(not engine.available(), reason="needs the compiled engine")


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    artifact.save(path, cases.model("mulut-dfc-x2"))
    return path


@pytest.fixture(params=[pytest.param("engine", marks=needs_engine), "torch"])
def restorer(request: pytest.FixtureRequest, path: Path, monkeypatch: pytest.MonkeyPatch) -> Restorer:
    if request.param == "torch":
        monkeypatch.setattr(engine, "available", lambda: False)
        with pytest.warns(RuntimeWarning, match="compiled engine is not installed"):
            loaded = lutra.load(path)
    else:
        loaded = lutra.load(path)
    assert loaded.backend == request.param
    return loaded


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 2), (5, 4, 3), (5, 4, 4), (1, 1, 3)])
def test_arrays_come_back_as_the_reference_computes_them(restorer: Restorer, shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    restored = restorer.restore(image, threads=1)
    assert restored.dtype == np.uint8
    if shape[2:] not in ((2,), (4,)):
        assert np.array_equal(restored, from_artifact(restorer.artifact).restore_image(image))
        return
    colour = image[:, :, 0] if shape[2] == 2 else image[:, :, :3]
    filled = fill_hidden(colour, image[:, :, -1])
    expected = from_artifact(restorer.artifact).restore_image(filled)
    assert np.array_equal(restored[:, :, :-1], np.atleast_3d(expected))
    assert np.array_equal(restored[:, :, -1], enlarge_alpha(image[:, :, -1], 2))


@pytest.mark.parametrize("name", ["srlut-x4", "mulut-dfc-x4", "spf-light-deblock10"])
def test_a_sprite_gets_no_dark_outline(name: str) -> None:
    """White on transparency whose hidden colour is black, laid over white: white everywhere."""
    image = np.zeros((40, 40, 4), np.uint8)
    image[12:28, 12:28] = 255
    restored = lutra.load(name).restore(image).astype(int)
    seen = (restored[:, :, :3] * restored[:, :, 3:] + 255 * (255 - restored[:, :, 3:])) / 255
    assert seen.min() > 254
    scale = len(restored) // 40
    assert (restored[: 8 * scale, :, 3] == 0).all()
    assert (restored[16 * scale : 24 * scale, 16 * scale : 24 * scale, 3] == 255).all()


def test_opaque_alpha_stays_opaque(restorer: Restorer) -> None:
    image = noise(6, 5, 4)
    image[:, :, 3] = 255
    restored = restorer.restore(image)
    assert (restored[:, :, 3] == 255).all()
    assert np.array_equal(restored[:, :, :3], restorer.restore(image[:, :, :3]))
    gray = restorer.restore(image[:, :, 2:])
    assert np.array_equal(gray[:, :, 0], restorer.restore(image[:, :, 2])) and (gray[:, :, 1] == 255).all()


@pytest.mark.parametrize("alpha", [None, 77, 255])
def test_results_go_where_they_are_asked_to(restorer: Restorer, alpha: int | None) -> None:
    image = noise(6, 5, 3 if alpha is None else 4)
    image[:, :, 3:] = alpha or 0
    out = np.empty((12, 10, image.shape[2]), np.uint8)
    assert restorer.restore(image, out=out) is out
    assert np.array_equal(out, restorer.restore(image))
    with pytest.raises(ValueError, match=r"out is uint8 of shape \(12, 10\), expected contiguous uint8 \(12, 10, "):
        restorer.restore(image, out=out[:, :, 0])
    with pytest.raises(ValueError, match="out is for arrays"):
        restorer.restore(Image.fromarray(image), out=out)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("mode", "result"), [("L", "L"), ("LA", "LA"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB")]
)
def test_pillow_images_come_back_as_pillow_images(restorer: Restorer, mode: str, result: str) -> None:
    image = Image.fromarray(noise(6, 5, 3 if mode == "P" else 4)).convert(mode)
    image.info["icc_profile"] = b"profile"
    restored = restorer.restore(image)
    assert (restored.mode, restored.size) == (result, (10, 12))
    assert restored.info == {"icc_profile": b"profile"}
    assert np.array_equal(np.asarray(restored), restorer.restore(np.asarray(image.convert(result))))


@pytest.mark.parametrize(
    "image",
    [noise(4, 4).astype(np.float32), noise(4, 4, 5), noise(4, 4, 1), noise(2, 3, 4, 3), noise(0, 4), noise(4)],
    ids=lambda image: f"{image.dtype}{image.shape}",
)
def test_other_arrays_are_refused(restorer: Restorer, image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"^image is .* of shape .*, expected uint8"):
        restorer.restore(image)


def test_other_requests_are_refused(restorer: Restorer) -> None:
    for mode in ("CMYK", "I;16", "F"):
        with pytest.raises(ValueError, match=r"^image has .*, expected 8 bits"):
            restorer.restore(Image.new(mode, (3, 3)))
    with pytest.raises(ValueError, match="threads is 0"):
        restorer.restore(noise(3, 3), threads=0)
    for threads in (1.5, "2"):
        with pytest.raises(ValueError, match=f"^threads is {threads!r}, expected a whole number"):
            restorer.restore(noise(3, 3), threads=threads)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"^out is list, expected an array"):
        restorer.restore(noise(3, 3), out=[])  # type: ignore[call-overload]


def test_a_copy_in_another_process_restores_alike(restorer: Restorer) -> None:
    """`spawn` and `forkserver` send a data set to its workers in the same way."""
    image = noise(6, 5, 3)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(restorer.restore, image).result(), restorer.restore(image))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_another_thread_restores_with_torch_does_not_wait_for_it() -> None:
    code = """
import os, sys
from lutra.restore import running
running.torch_lock.acquire()
child = os.fork()
if not child:
    os._exit(not running.torch_lock.acquire(blocking=False))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_many_threads_share_a_restorer(restorer: Restorer) -> None:
    images = [noise(7 + n % 5, 9, 3) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        restored = list(pool.map(lambda image: restorer.restore(image, threads=2), images))
    assert all(np.array_equal(a, restorer.restore(b)) for a, b in zip(restored, images, strict=True))


def test_networks_run_through_torch() -> None:
    model = to_artifact(build_model(families.describe("srlut", 2), NetworkSpec("plain", 4, 1)))
    restorer = Restorer(model)
    assert restorer.backend == "torch" and restorer.scale == 2
    assert restorer.restore(noise(4, 5)).shape == (8, 10)


def test_an_unknown_device_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.safetensors: device is 'tpu9'"):
        lutra.load(path, device="tpu9")


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; "


@needs_engine
def test_the_engine_needs_no_torch(path: Path) -> None:
    code = "import lutra, numpy as np; print(lutra.load(sys.argv[1]).restore(np.zeros((3, 4, 3), np.uint8)).shape)"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(6, 8, 3)\n" and not done.stderr


def test_without_engine_and_torch_it_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "available", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"compiled engine .* or torch; .*\[train\]'` installs torch"):
        lutra.load(path)


def test_real_valued_taps_run_through_torch() -> None:
    model = cases.model("autolut-mulut-x4")
    assert Restorer(model).backend == ("engine" if engine.available() else "torch")
    real = replace(model, description=replace(model.description, tap_bits=None))
    restorer, image = Restorer(real), noise(9, 8)
    assert restorer.backend == "torch"
    assert np.array_equal(restorer.restore(image), from_artifact(real).restore_image(image))


@needs_engine
def test_a_model_of_luma_restores_luma_and_keeps_chroma(path: Path) -> None:
    restorer = lutra.load(path)
    luma = Restorer(replace(restorer.artifact, planes="luma"))
    image = noise(6, 7, 3)
    restored = luma.restore(image).astype(int)
    base = imresize(image, 2).astype(int)
    for channel in (0, 1):  # what is added to red, green and blue is the same, but where it is clipped
        free = ((restored > 0) & (restored < 255)).all(axis=2)
        change = restored - base
        assert free.any() and (np.abs(change[..., channel] - change[..., 2])[free] <= 1).all()
    y = restorer.restore_planes(np.rint(rgb_to_y(image)).astype(np.uint8))
    assert np.abs(rgb_to_y(restored.astype(np.uint8)) - y)[free].max() <= 1
    out = np.empty((12, 14, 3), np.uint8)
    assert luma.restore(image, out=out) is out and np.array_equal(out, restored)


def test_a_model_of_luma_that_changes_nothing_changes_nothing() -> None:
    description = families.describe("srlut", 1)
    tables = to_tables(build_model(description, NetworkSpec("plain", 4, 1, linear=True)), DenseLayout(4))
    for unit in tables.lut_units():
        unit.function.values.data = torch.from_numpy(DenseLayout(4).nodes()[:, :1] / 4).float()
    model = to_artifact(tables)
    assert np.array_equal(Restorer(model).restore(noise(9, 9, 3)), noise(9, 9, 3))
    luma = Restorer(replace(model, planes="luma"))
    for image in (noise(9, 9, 3), noise(9, 9), noise(9, 9, 4), noise(9, 9, 2)):
        image[..., -1] |= 1  # nothing hidden
        assert np.array_equal(luma.restore(image), image)


def test_the_package_offers_what_it_names() -> None:
    assert lutra.load is restoring.load and lutra.Restorer is Restorer
    with pytest.raises(AttributeError, match="nothing"):
        _ = lutra.nothing
