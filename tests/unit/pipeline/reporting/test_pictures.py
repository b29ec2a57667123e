"""Pictures for the before-and-after view show the pixels that were scored."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.reporting.pictures import lossless, pictures, window
from pipeline.reporting.speed import measure_speed
from tests.unit.pipeline import pages


def pixels(uri: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize("shape", [(7, 9, 3), (7, 9)])
def test_an_image_comes_back_as_it_was(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shown = pixels(lossless(image))
    assert np.array_equal(shown if len(shape) == 3 else shown[:, :, 0], image)


def test_versions_are_input_baseline_experiments_and_clean_image(tmp_path: Path) -> None:
    target = pages.noise(0)
    pages.packed(tmp_path / "set", target)
    (picture,) = pictures(tmp_path, pages.models("alpha", "beta"), pages.SUPER_RESOLUTION)
    assert [version.label for version in picture.versions] == ["LR", "bicubic", "alpha", "beta", "HR"]
    shown = {version.label: pixels(version.uri) for version in picture.versions}
    assert np.array_equal(shown["HR"], target)
    assert shown["LR"].shape == (10, 12, 3)
    assert np.array_equal(shown["alpha"], shown["LR"].repeat(4, 0).repeat(4, 1))
    scores = {version.label: version.score for version in picture.versions}
    assert scores["alpha"] == f"{pages.SUPER_RESOLUTION.rank(shown['alpha'], target):.2f} dB"
    assert scores["HR"] == ""


def test_the_part_shown_holds_what_differs_and_cuts_no_pixel_of_the_input() -> None:
    target = np.random.default_rng(0).integers(0, 256, (600, 800), dtype=np.uint8)
    other = target.copy()
    other[500:520, 700:720] ^= 255
    crop = window([target, other], target, 3)
    assert (crop.height, crop.width) == (288, 384)
    assert crop.top <= 500 and crop.top + crop.height >= 520 and crop.left <= 700 and crop.left + crop.width >= 720
    assert not any(value % 3 for value in (crop.top, crop.left, crop.height, crop.width))
    small = target[:60, :80]
    assert window([small, small], small, 2).of(small).shape == (60, 80)


def test_every_model_is_timed_in_one_run() -> None:
    speed = measure_speed(pages.models("alpha", "beta"), 4, width=32, height=16)
    assert set(speed.milliseconds) == {"alpha", "beta"} and min(speed.milliseconds.values()) > 0
    assert "8x4 to 32x16" in speed.text and "1 thread" in speed.text
