"""Comparison sheets show the chosen crop of every panel, enlarged pixel by pixel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.imaging.sheet import Crop, Panel, choose_crop, comparison_sheet

Bytes = NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def panels(height: int = 64, width: int = 80, methods: int = 2) -> list[Panel]:
    lr: Panel = ("LR", "", noise(height // 4, width // 4, 3))
    scored: list[Panel] = [
        (f"method {index}", "30.00 dB / 0.9000", noise(height, width, 3, seed=index)) for index in range(methods)
    ]
    return [lr, *scored, ("HR", "", noise(height, width, 3, seed=99))]


def contains(sheet: Bytes, cell: Bytes) -> bool:
    """Whether the cell's pixels lie somewhere on the sheet."""
    height, width = cell.shape[:2]
    rows, columns = np.nonzero((sheet == cell[0, 0]).all(axis=2))
    return any(
        np.array_equal(sheet[row : row + height, column : column + width], cell)
        for row, column in zip(rows, columns, strict=True)
    )


@pytest.mark.parametrize(("height", "width"), [(64, 80), (96, 48), (48, 120)])
@pytest.mark.parametrize("methods", [0, 1, 2, 3, 4])
def test_every_panel_is_shown_zoomed(height: int, width: int, methods: int) -> None:
    crop = Crop(8, 12, 20, 20)
    shown = panels(height, width, methods)
    sheet = np.asarray(comparison_sheet(shown, crop=crop, title="an image"))
    for _, _, image in shown:
        factor = height // len(image)
        cell = crop.of(image.repeat(factor, 0).repeat(factor, 1))
        assert contains(sheet, cell.repeat(14, 0).repeat(14, 1))
    assert (sheet[:10] == 255).all() and (sheet[-10:] == 255).all()


def test_the_crop_is_boxed_in_red_on_the_whole_image() -> None:
    gray = np.full((64, 64), 128, np.uint8)
    for crop in (Crop(20, 20, 16, 16), Crop(0, 0, 16, 16), Crop(48, 48, 16, 16)):
        sheet = np.asarray(comparison_sheet([("LR", "", gray), ("HR", "", gray)], crop=crop)).astype(int)
        red = (sheet[:, :, 0] > 200) & (sheet[:, :, 1] < 80)
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        whole = 288 / 64  # the whole image is as high as the one row of cells
        for found, first, size in ((rows, crop.top, crop.height), (columns, crop.left, crop.width)):
            assert found[0] == pytest.approx(18 + first * whole, abs=4)
            assert found[-1] == pytest.approx(18 + (first + size) * whole, abs=4)


def test_labels_change_the_sheet_and_long_ones_fit() -> None:
    named, renamed = panels(), panels()
    renamed[1] = ("m" * 99, *renamed[1][1:])
    a, b = (np.asarray(comparison_sheet(shown)) for shown in (named, renamed))
    assert a.shape == b.shape and not np.array_equal(a, b)
    assert np.array_equal(a[:, :18], b[:, :18]) and np.array_equal(a[:, -18:], b[:, -18:])


def test_gray_images_are_welcome() -> None:
    shown = [(label, caption, image[:, :, 0]) for label, caption, image in panels()]
    assert comparison_sheet(shown).mode == "RGB"


def test_the_sheet_is_a_function_of_its_panels() -> None:
    assert np.array_equal(np.asarray(comparison_sheet(panels())), np.asarray(comparison_sheet(panels())))


@pytest.mark.parametrize("methods", [0, 1, 2, 3])
def test_the_crop_is_chosen_where_detail_is_and_methods_differ(methods: int) -> None:
    truth = np.full((256, 320, 3), 90, np.uint8)
    truth[100:150, 180:230] = noise(50, 50, 3)
    truth[10:60, 10:60] = noise(50, 50, 3) // 4 if methods else 90
    results = []
    for index in range(methods):
        result = truth.copy()
        result[100:150, 180:230] //= index + 2  # here methods differ from the truth and from each other
        result[200:250, 20:70] += np.uint8(5 * index + 5)  # here too, where there is no detail
        results.append(result)
    crop = choose_crop(results, truth, align=4)
    assert (crop.height, crop.width) == (64, 64)
    assert crop.top % 4 == crop.left % 4 == 0
    assert crop.top <= 100 and crop.top + 64 >= 150 and crop.left <= 180 and crop.left + 64 >= 230


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 30), (17, 11), (48, 48)])
def test_small_images_have_a_crop_too(height: int, width: int) -> None:
    image = noise(height, width)
    crop = choose_crop([255 - image], image, align=1)
    assert crop.of(image).shape == (crop.height, crop.width) == (min(height, width),) * 2
    comparison_sheet([("a", "", 255 - image), ("b", "", image)])


def test_refused_panels() -> None:
    with pytest.raises(ValueError, match=r"found 1 panels, expected two or more"):
        comparison_sheet(panels()[:1])
    shown = panels()
    shown[1] = ("odd", "", noise(63, 80, 3))
    with pytest.raises(ValueError, match=r"panel 'odd': found 80 x 63 pixels, expected a whole part of 80 x 64"):
        comparison_sheet(shown)


@pytest.mark.parametrize("crop", [Crop(0, 0, 65, 8), Crop(-1, 0, 8, 8), Crop(0, 76, 8, 8), Crop(0, 0, 0, 8)])
def test_refused_crops(crop: Crop) -> None:
    with pytest.raises(ValueError, match=r"expected a region within 64 rows and 80 columns"):
        comparison_sheet(panels(), crop=crop)
