"""The page in Chromium, read from files: it restores what Python restores, and can be cancelled."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import lutra
from lutra.engine.plan_file import to_bytes
from lutra.restore.restorer import Restorer
from lutra.restore.sizes import Target
from tests.browser import Page, browser, executable
from tests.golden.cases import model
from tests.unit.liblutra.building import SHIPPED

pytestmark = [
    pytest.mark.xdist_group("web"),
    pytest.mark.skipif(executable() is None, reason="needs chromium"),
]
Pixels = NDArray[np.uint8]
PIXELS = np.random.default_rng(0).integers(0, 256, (26, 230, 3), dtype=np.uint8)
"""Two tiles."""


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


def add(page: Page, name: str) -> None:
    """Add a golden model to those of the page."""
    plan = to_bytes(model(name))
    facts = {"name": name, "task": "denoise-colour", "title": "Colours", "scale": model(name).description.scale}
    text = json.dumps(base64.b64encode(plan).decode())
    page.run(f"MODELS.push({json.dumps(facts | {'bytes': len(plan)})})")
    page.run(f"scripts[{json.dumps(name)}] = decode({text}, false); $('task').add(new Option('', 'denoise-colour'))")


def take(page: Page, pixels: Pixels = PIXELS) -> None:
    rgba = pixels if pixels.shape[2] == 4 else np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    text = base64.b64encode(rgba.tobytes()).decode()
    height, width = pixels.shape[:2]
    page.run(
        f"take(new ImageData(Uint8ClampedArray.from(atob('{text}'), (one) => one.charCodeAt(0)), {width}, {height}))"
    )


def result(page: Page, name: str, scale: int) -> Pixels:
    """Return what the page shows once it is there, (H, W, 4)."""
    return result_of(page, name, (230 * scale, 26 * scale))


def result_of(page: Page, name: str, size: tuple[int, int]) -> Pixels:
    """Return what the page shows once it is there and has that width and height, (H, W, 4)."""
    status = page.wait("!!restored && $('status').textContent.includes(' in ') && $('status').textContent", 120)
    assert name in status
    width, height = size
    assert status.startswith(f"230x26 to {width}x{height} in ")
    found = page.run("btoa(Array.from(restored.data, (one) => String.fromCharCode(one)).join(''))")
    return np.frombuffer(base64.b64decode(found), np.uint8).reshape(height, width, 4)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_model_of_the_zoo_restores_as_in_python(page: Page, name: str) -> None:
    choose(page, name)
    take(page)
    own = lutra.load(name)
    pixels = result(page, name, own.scale)
    assert np.array_equal(pixels[:, :, :3], own.restore(PIXELS))
    assert (pixels[:, :, 3] == 255).all()


@pytest.mark.parametrize("name", ["shiftlut-colours-x2", "dnlut-x1"])
def test_models_of_three_colours(page: Page, name: str) -> None:
    """Colour, and gray, which is restored as three equal colours."""
    add(page, name)
    choose(page, name)
    own, gray = Restorer(model(name)), PIXELS[:, :, 0]
    take(page)
    assert np.array_equal(result(page, name, own.scale)[:, :, :3], own.restore(PIXELS))
    take(page, np.dstack([gray] * 3))
    assert (result(page, name, own.scale)[:, :, :3] == own.restore(gray)[:, :, None]).all()


@pytest.mark.parametrize("name", ["shiftlut-colours-x2", "mulut-dfc-x4", "spf-light-deblock10"])
def test_alpha_is_that_of_python(page: Page, name: str) -> None:
    """Hidden pixels near and far from visible ones, in both tiles."""
    if name == "shiftlut-colours-x2":
        add(page, name)
    choose(page, name)
    own = Restorer(model(name)) if name == "shiftlut-colours-x2" else lutra.load(name)
    alpha = np.zeros(PIXELS.shape[:2], np.uint8)
    alpha[3:9, 40:200], alpha[12:20, 5:9] = 255, 99
    pixels = np.dstack([PIXELS, alpha])
    take(page, pixels)
    assert np.array_equal(result(page, name, own.scale), own.restore(pixels))


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("x1.5", Target(scale=1.5)),
        (" 2.3 ", Target(scale=2.3)),
        ("345x150", Target(width=345, height=150)),
        ("301\u00d7", Target(width=301)),
        ("X0.4", Target(scale=0.4)),
    ],
)
def test_a_model_of_any_size_makes_the_size_of_the_field(page: Page, asked: str, target: Target) -> None:
    """It does so with alpha, too."""
    own, alpha = lutra.load("any-scale"), np.zeros(PIXELS.shape[:2], np.uint8)
    alpha[3:9, 40:200], alpha[12:20, 5:9] = 255, 99
    choose(page, "any-scale")
    page.run(f"$('size').value = {json.dumps(asked)}")
    for pixels in (PIXELS, np.dstack([PIXELS, alpha])):
        expected = own.restore(pixels, size=target)
        take(page, pixels)
        found = result_of(page, "any-scale", target.size(230, 26))
        assert np.array_equal(found[:, :, : pixels.shape[2]], expected)


def test_the_field_for_the_size_is_that_of_models_of_any_size(page: Page) -> None:
    shown = "['scale', 'size'].map((id) => $(id).offsetParent !== null)"
    choose(page, "mulut-dfc-x4")
    assert page.run(shown) == [True, False]
    choose(page, "any-scale")
    assert page.run(shown) == [False, True]
    page.run("$('size').value = '9 x'; $('size').dispatchEvent(new Event('change'))")
    assert "expected a factor such as x2.5, or a size such as 1920x1080" in page.run("$('status').textContent")
    assert page.run("$('size').ariaInvalid") == "true"
    page.run("$('size').value = 'x2'; $('size').dispatchEvent(new Event('change'))")
    assert result_of(page, "any-scale", (460, 52)).shape == (52, 460, 4)
    assert page.run("$('size').ariaInvalid") == "false"


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
    assert {path.stem for path in (folder / "models").iterdir()} == set(SHIPPED)
