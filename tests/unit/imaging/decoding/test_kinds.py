"""Kinds of images: which formats, depths, modes and frames are read, and which are refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lutra.imaging.images import read_image, write_image
from tests.unit.imaging.decoding.made import noise, png, refused, tiff


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".webp", ".ppm"])
def test_lossless_formats_return_what_was_written(tmp_path: Path, suffix: str) -> None:
    for image in (noise(9, 7, 3), noise(9, 7)):
        path = tmp_path / f"image{suffix}"
        write_image(path, image)
        read = read_image(path)
        assert read.dtype == np.uint8
        assert np.array_equal(read if read.shape == image.shape else read[:, :, 0], image)


def test_jpeg_is_close(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 64, 3))
    write_image(tmp_path / "a.jpg", ramp)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - ramp).max() <= 3


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    gray, colour = noise(5, 6), noise(5, 6, 3)
    for image in (gray, colour):
        opaque = Image.fromarray(image)
        opaque.putalpha(255)
        opaque.save(tmp_path / "opaque.png")
        assert np.array_equal(read_image(tmp_path / "opaque.png"), image)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (4, 4), (9,) * (len(mode) - 1) + (255,))
    image.putpixel((2, 3), (9,) * (len(mode) - 1) + (254,))
    image.save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "transparent pixels")


def test_a_transparent_colour_is_refused_where_it_occurs(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    image.save(tmp_path / "used.png", transparency=(1, 2, 3))
    refused(tmp_path / "used.png", "transparent pixels")
    image.save(tmp_path / "unused.png", transparency=(3, 2, 1))
    assert (read_image(tmp_path / "unused.png") == (1, 2, 3)).all()


def test_palettes_become_rgb_and_one_bit_gray(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 9, 0]], [[1, 2, 3], [0, 9, 0]]], np.uint8)
    Image.fromarray(colours).quantize(4).save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png"), colours)
    Image.fromarray(np.eye(3, dtype=bool)).save(tmp_path / "bits.png")
    assert np.array_equal(read_image(tmp_path / "bits.png"), 255 * np.eye(3, dtype=np.uint8))


def test_orientation_is_applied(tmp_path: Path) -> None:
    image, exif = noise(4, 6, 3), Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(image, -1))


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_refused(tmp_path: Path, colour: int, channels: int) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(png(2, 2, 16, colour, (b"\0" + bytes(4 * channels)) * 2))
    refused(path, "more than 8 bits a channel")


@pytest.mark.parametrize("header", [b"P5 2 2 65535\n", b"P6 2 2 65535\n"])
def test_sixteen_bits_in_ppm_are_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "deep.ppm").write_bytes(header + bytes(24))
    refused(tmp_path / "deep.ppm", "more than 8 bits a channel")


@pytest.mark.parametrize(
    ("mode", "suffix", "found"),
    [
        ("CMYK", ".jpg", "colours of mode CMYK"),
        ("LAB", ".tif", "colours of mode LAB"),
        ("F", ".tif", "more than 8 bits a channel"),
    ],
)
def test_other_modes_are_refused(tmp_path: Path, mode: str, suffix: str, found: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new(mode, (4, 4)).save(path)
    refused(path, found)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (4, 4)).save(path, save_all=True, append_images=[Image.new("RGB", (4, 4), "red")])
    refused(path, "2 frames")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_that_are_deep_or_signed_are_refused_in_tiff(tmp_path: Path, planar: str, signed: bool) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    pixels = noise(*((3, 8, 8) if planar == "separate" else (8, 8, 3)))
    if signed:  # of colour images Pillow reads none with signed samples
        tifffile.imwrite(path, pixels[0].astype(np.int8), photometric="minisblack", metadata=None)
    else:
        tifffile.imwrite(path, pixels.astype(np.uint16), photometric="rgb", planarconfig=planar, metadata=None)
    refused(path, "numbers that are signed" if signed else "more than 8 bits a channel")


def test_separate_planes_of_eight_bits_are_read(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    planes = noise(3, 8, 9)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", metadata=None)
    assert np.array_equal(read_image(tmp_path / "a.tif"), planes.transpose(1, 2, 0))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("kind", "sample_format", "found"),
    [
        ("<u2", 1, "more than 8 bits a channel"),
        ("i1", 2, "(numbers that are signed|none of the formats)"),
        ("<i2", 2, "(more than 8 bits a channel|none of the formats)"),
        ("<f4", 3, "(more than 8 bits a channel|none of the formats)"),
    ],
)
def test_tiffs_of_other_values_than_unsigned_bytes_are_refused(
    tmp_path: Path, count: int, kind: str, sample_format: int, found: str
) -> None:
    planes = [noise(6, 5).astype(kind) for _ in range(count)]
    tiff(tmp_path / "a.tif", planes, 8 * planes[0].itemsize, sample_format)
    refused(tmp_path / "a.tif", found)


def test_a_tiff_of_many_frames_is_refused_without_reading_all(tmp_path: Path) -> None:
    frames = [Image.new("L", (2, 2)) for _ in range(30)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.tif", "more than 9 frames")


def test_progressive_and_gray_jpegs_are_read(tmp_path: Path) -> None:
    for image in (np.full((9, 17, 3), 128, np.uint8), np.full((33, 8), 128, np.uint8), noise(20, 20, 3)):
        for progressive in (False, True):
            Image.fromarray(image).save(tmp_path / "a.jpg", progressive=progressive)
            assert read_image(tmp_path / "a.jpg").shape == image.shape
