"""Pictures: alpha, palettes, orientation, profile and EXIF survive; what a format cannot hold is refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from lutra.imaging.formats.metadata import Metadata
from lutra.imaging.images import Picture, check_writable, read_picture, write_picture

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def refused(path: Path, found: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: found {found}.*, expected ") as caught:
        read_picture(path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".webp", ".bmp"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 2), (9, 7, 3), (9, 7, 4)])
def test_lossless_formats_return_what_was_written(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    if suffix == ".bmp" and shape[2:] in ((2,), (4,)):
        pytest.skip("BMP holds no alpha")
    pixels, path = noise(*shape), tmp_path / f"picture{suffix}"
    if shape[2:] in ((2,), (4,)):
        pixels[pixels[:, :, -1] == 0] = 1  # WebP keeps no colour where nothing is seen
    write_picture(path, Picture(pixels, Metadata(PROFILE if len(shape) == 3 and shape[2] > 2 else None)))
    read = read_picture(path)
    if suffix == ".webp" and shape[2:] in ((), (2,)):
        gray = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        assert all(np.array_equal(read.pixels[:, :, plane], gray) for plane in range(3))
        return
    assert np.array_equal(read.pixels, pixels)
    assert (read.metadata.icc_profile == PROFILE) == (len(shape) == 3 and shape[2] > 2 and suffix != ".bmp")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_cleared(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 24
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 2.0
    stored = np.zeros((16, 24, 3), np.uint8)
    stored[:8, :8] = 255
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, icc_profile=PROFILE)
    picture = read_picture(tmp_path / f"a{suffix}")
    assert picture.pixels.shape == ((16, 24, 3) if orientation <= 4 else (24, 16, 3))
    rows, columns = picture.pixels.shape[:2]
    corners = picture.pixels[[2, 2, rows - 3, rows - 3], [2, columns - 3, columns - 3, 2], 0] > 128
    assert list(corners) == [{1: 0, 2: 1, 3: 2, 4: 3, 5: 0, 6: 1, 7: 2, 8: 3}[orientation] == n for n in range(4)]
    write_picture(tmp_path / f"b{suffix}", picture)
    with Image.open(tmp_path / f"b{suffix}") as again:
        kept = again.getexif()
        assert again.info["icc_profile"] == PROFILE
        assert kept[ExifTags.Base.Make] == "camera" and ExifTags.Base.Orientation not in kept
        assert dict(kept.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.FNumber: 2.0}


def test_damaged_exif_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0")
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (8, 8, 3)


def test_exif_that_is_too_long_for_jpeg_is_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    for suffix, kept in ((".png", True), (".jpg", False)):
        write_picture(tmp_path / f"a{suffix}", Picture(noise(8, 8, 3), Metadata(exif=exif.tobytes())))
        assert (read_picture(tmp_path / f"a{suffix}").metadata.exif is not None) == kept


def test_palettes_and_bits_are_converted(tmp_path: Path) -> None:
    colours = Image.fromarray(noise(6, 5, 3)).quantize(8)
    colours.save(tmp_path / "palette.png")
    assert np.array_equal(read_picture(tmp_path / "palette.png").pixels, np.asarray(colours.convert("RGB")))
    colours.save(tmp_path / "clear.png", transparency=0)
    clear = read_picture(tmp_path / "clear.png").pixels
    assert np.array_equal(clear[:, :, 3] == 0, np.asarray(colours) == 0)
    Image.fromarray(noise(6, 5) > 128).save(tmp_path / "bits.png")
    assert set(np.unique(read_picture(tmp_path / "bits.png").pixels)) == {0, 255}
    Image.fromarray(np.full((2, 2), 9, np.uint8)).save(tmp_path / "key.png", transparency=9)
    assert (read_picture(tmp_path / "key.png").pixels == [9, 0]).all()


def test_deep_and_other_colours_are_refused(tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        Image.fromarray(noise(4, 4).astype(np.uint16)).save(tmp_path / f"deep{suffix}")
        refused(tmp_path / f"deep{suffix}", "more than 8 bits a channel")
    Image.new("CMYK", (4, 4)).save(tmp_path / "print.jpg")
    refused(tmp_path / "print.jpg", "colours of mode CMYK")
    frames = [Image.fromarray(noise(4, 4, 3)), Image.fromarray(255 - noise(4, 4, 3))]
    frames[0].save(tmp_path / "film.webp", save_all=True, append_images=frames[1:], lossless=True)
    refused(tmp_path / "film.webp", "2 frames")


def test_damage_and_absurd_sizes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_picture(tmp_path / "none.png")
    Image.fromarray(noise(40, 40, 3)).save(tmp_path / "a.png")
    (tmp_path / "short.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    refused(tmp_path / "short.png", "a damaged or unreadable file")
    refused(tmp_path / "a.png", "40 x 40 pixels, more than the 1599", max_pixels=1599)
    assert read_picture(tmp_path / "a.png", max_pixels=1600).pixels.shape == (40, 40, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    refused(tmp_path / "a.png", "too many pixels")


@pytest.mark.parametrize(("suffix", "name"), [(".jpg", "JPEG"), (".bmp", "BMP")])
def test_transparency_is_refused_where_there_is_none(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match=rf"{name} holds no transparency, expected PNG"):
        write_picture(path, Picture(noise(4, 4, 4)))
    assert list(tmp_path.iterdir()) == []
    opaque = np.full((4, 4, 2), 255, np.uint8)
    write_picture(path, Picture(opaque))
    assert read_picture(path).pixels.shape == (4, 4)


def test_quality_is_that_of_jpeg_and_webp(tmp_path: Path) -> None:
    picture = Picture(noise(64, 64, 3))
    for suffix in (".jpg", ".webp"):
        sizes = []
        for quality in (10, 90, None):
            write_picture(tmp_path / f"a{suffix}", picture, quality=quality)
            sizes.append((tmp_path / f"a{suffix}").stat().st_size)
        assert sizes == sorted(set(sizes))
    with pytest.raises(ValueError, match=r"quality is 101, expected 1\.\.100"):
        write_picture(tmp_path / "a.jpg", picture, quality=101)


def test_what_a_format_cannot_hold_is_known_beforehand(tmp_path: Path) -> None:
    wide = np.zeros((1, 4096), np.uint8)
    check_writable("a.png", wide, 4)
    for suffix, scale in ((".webp", 4), (".jpg", 16)):
        with pytest.raises(ValueError, match=r"a side of \d+ pixels, expected at most \d+"):
            check_writable(f"a{suffix}", wide, scale)
    wrong: list[Any] = [noise(4, 4).astype(np.uint16), noise(0, 4), noise(4, 4, 1), noise(4)]
    for pixels in wrong:
        with pytest.raises(ValueError, match="to write, expected"):
            check_writable("a.png", pixels)
    with pytest.raises(ValueError, match=r"found suffix '\.gif'"):
        check_writable("a.gif", wide)


def test_a_profile_for_gray_does_not_go_into_an_rgb_file(tmp_path: Path) -> None:
    profile = bytearray(PROFILE)
    profile[16:20] = b"GRAY"
    write_picture(tmp_path / "a.webp", Picture(noise(4, 4), Metadata(bytes(profile))))
    assert read_picture(tmp_path / "a.webp").metadata.icc_profile is None
