"""JPEG files restored by models of luma: in Y, Cb and Cr, at the sizes that the file stores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import lutra
from lutra.imaging.formats.jpeg import stored_planes
from lutra.imaging.images import read_image
from lutra.imaging.metrics import psnr
from lutra.restore import batch, compressed
from lutra.restore.restorer import Restorer
from tests.unit.engine.engine_models import random_image


@pytest.fixture(scope="module")
def model() -> Restorer:
    return lutra.load("spf-light-deblock10")


def write(path: Path, pixels: np.ndarray, orientation: int = 1, **options: object) -> Path:
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    image.save(path, "JPEG", exif=image.getexif(), **options)
    return path


def restored(model: Restorer, path: Path) -> np.ndarray:
    out = path.with_suffix(".png")
    batch.restore_file(model, batch.FileJob(path, out))
    return read_image(out)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [127 + 90 * np.sin(x / 9 + shift) * np.cos(y / 7 - shift) for shift in range(3)]
    return np.stack(planes, -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 48), (33, 17), (16, 31)])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_planes_are_those_that_the_file_stores(tmp_path: Path, size: tuple[int, int], subsampling: int) -> None:
    path = write(tmp_path / "a.jpg", smooth(*size), quality=60, subsampling=subsampling)
    planes = stored_planes(path)
    assert planes is not None
    with Image.open(path) as image:
        image.draft("YCbCr", image.size)
        decoded = np.asarray(image)
    assert np.array_equal(planes.luma, decoded[..., 0])
    half = tuple(-(-side // 2) for side in size)
    for plane, whole in zip(planes.chroma, (decoded[..., 1], decoded[..., 2]), strict=True):
        assert plane.shape == (half if subsampling else size)
        enlarged = Image.fromarray(plane).resize(
            plane.shape[::-1] if not subsampling else (2 * half[1], 2 * half[0]), 2
        )
        assert np.abs(np.asarray(enlarged)[: size[0], : size[1]].astype(int) - whole).max() <= 1, "libjpeg's triangle"


def test_files_without_such_planes_are_left_to_others(tmp_path: Path) -> None:
    colours = smooth(32, 32)
    gray = write(tmp_path / "gray.jpg", colours[..., 0])
    cmyk = tmp_path / "cmyk.jpg"
    Image.fromarray(colours).convert("CMYK").save(cmyk, "JPEG")
    png = tmp_path / "a.png"
    Image.fromarray(colours).save(png)
    across = write(tmp_path / "422.jpg", colours, subsampling=1)
    tiny = write(tmp_path / "tiny.jpg", colours[:1, :1])
    rgb = tmp_path / "rgb.jpg"
    Image.fromarray(colours).save(rgb, "JPEG", keep_rgb=True)
    assert not [path.name for path in (gray, cmyk, png, across, tiny, rgb) if stored_planes(path)]


def test_chroma_is_restored_too(model: Restorer, tmp_path: Path, dataset: Callable[[str], Path]) -> None:
    clean = read_image(next(dataset("Set5").rglob("butterfly*.png")))
    path = write(tmp_path / "a.jpg", clean, quality=10)
    damaged = read_image(path)
    luma_alone, both = model.restore(damaged), restored(model, path)
    assert psnr(luma_alone, clean) > psnr(damaged, clean) + 0.5
    assert psnr(both, clean) > psnr(luma_alone, clean) + 0.2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_file_is_restored_as_it_lies(model: Restorer, tmp_path: Path, orientation: int) -> None:
    pixels = smooth(40, 30)
    lying = restored(model, write(tmp_path / "a.jpg", pixels, quality=10))
    turned = restored(model, write(tmp_path / "b.jpg", pixels, orientation, quality=10))
    image = Image.fromarray(lying)
    image.getexif()[0x0112] = orientation
    assert np.array_equal(turned, np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_stay_and_so_does_what_no_plane_changes(model: Restorer, tmp_path: Path, level: int) -> None:
    flat = np.full((40, 56, 3), level, np.uint8)
    assert (restored(model, write(tmp_path / "a.jpg", flat, quality=10)) == level).all()


def test_only_models_of_luma_at_their_own_size_are_concerned(model: Restorer) -> None:
    assert compressed.keeps_luma(model)
    assert not compressed.keeps_luma(lutra.load("dn-25")) and not compressed.keeps_luma(lutra.load("srlut-x4"))


def test_a_file_is_known_by_its_content_not_by_its_name(model: Restorer, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", random_image(24, 32, 3, smooth=True), quality=10)
    unnamed = tmp_path / "standard input"
    unnamed.write_bytes(path.read_bytes())
    assert np.array_equal(restored(model, unnamed), restored(model, path))
