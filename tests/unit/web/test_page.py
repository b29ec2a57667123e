"""The page in Chromium, read from files: it restores what Python restores, and can be cancelled."""

import base64
import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import lutra
from lutra import zoo
from tests.browser import Page, browser, executable
from tests.unit.liblutra.building import ROOT

pytestmark = [
    pytest.mark.xdist_group("web"),
    pytest.mark.skipif(executable() is None, reason="needs chromium"),
]
PIXELS = np.random.default_rng(0).integers(0, 256, (26, 230, 3), dtype=np.uint8)
"""Two tiles."""
NAMES = [one.name for one in zoo.listed() if not one.any_size]
"""The models that have a plan file."""


@pytest.fixture(scope="module")
def folder(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("web")
    runpy.run_path(str(ROOT / "web" / "build.py"))["build"](core, made)
    return made


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Page]:
    with browser() as opened:
        opened.open((folder / "index.html").as_uri(), 1280, 900)
        opened.wait("!!document.querySelector('#task option')", 60)
        yield opened


def choose(page: Page, name: str) -> None:
    page.run(
        f"""(() => {{
        const chosen = MODELS.find((one) => one.name === {json.dumps(name)});
        $("task").value = chosen.task;
        listModels();
        $("model").value = chosen.name;
        listScales();
        }})()"""
    )


def take(page: Page) -> None:
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    text = base64.b64encode(rgba.tobytes()).decode()
    height, width = PIXELS.shape[:2]
    page.run(
        f"take(new ImageData(Uint8ClampedArray.from(atob('{text}'), (one) => one.charCodeAt(0)), {width}, {height}))"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_model_of_the_zoo_restores_as_in_python(page: Page, name: str) -> None:
    choose(page, name)
    take(page)
    status = page.wait("!!restored && $('status').textContent.includes(' in ') && $('status').textContent", 120)
    assert name in status
    own = lutra.load(name)
    height, width = (side * own.scale for side in PIXELS.shape[:2])
    assert status.startswith(f"230x26 to {width}x{height} in ")
    found = page.run("btoa(Array.from(restored.data, (one) => String.fromCharCode(one)).join(''))")
    pixels = np.frombuffer(base64.b64decode(found), np.uint8).reshape(height, width, 4)
    assert np.array_equal(pixels[:, :, :3], own.restore(PIXELS))
    assert (pixels[:, :, 3] == 255).all()


def test_cancelled_work_gives_no_image(page: Page) -> None:
    choose(page, "shift-m-x4")
    take(page)
    page.run("$('cancel').click()")
    assert page.wait("$('cancel').hidden && $('status').textContent", 120) == "Cancelled."
    assert page.run("restored === undefined && $('save').disabled") is True


def test_the_divider_follows_keys_and_pointer(page: Page) -> None:
    page.run("$('split').value = 20; $('split').dispatchEvent(new Event('input'))")
    assert page.run("getComputedStyle($('before')).clipPath") == "inset(0px 80% 0px 0px)"
    assert page.run("$('split').getAttribute('aria-valuetext')") == "20 % before"


def test_the_page_does_not_scroll_sideways_on_a_phone(page: Page, folder: Path) -> None:
    page.open((folder / "index.html").as_uri(), 390, 800)
    page.wait("!!document.querySelector('#task option')", 60)
    assert page.run("document.documentElement.scrollWidth <= innerWidth") is True


def test_the_page_is_small(folder: Path) -> None:
    assert (folder / "index.html").stat().st_size <= 300 * 1024
    assert {path.stem for path in (folder / "models").iterdir()} == set(NAMES)
