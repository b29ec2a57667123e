"""Metadata: what a file says besides its pixels is written again, as far as the format holds it."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from lutra.imaging.formats import png
from lutra.imaging.images import read_picture, write_picture

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>caf\xc3\xa9</x:xmpmeta>"
PIXELS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))


def again(tmp_path: Path, source: str, result: str) -> Image.Image:
    write_picture(tmp_path / result, read_picture(tmp_path / source))
    image = Image.open(tmp_path / result)
    image.load()
    return image


def test_colour_chunks_of_png_are_kept(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    chunks = [
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"gAMA", struct.pack(">I", 100000)),
        (b"cHRM", struct.pack(">8I", *range(8))),
    ]
    for kind, content in chunks:
        info.add(kind, content)
    PIXELS.save(tmp_path / "a.png", pnginfo=info)
    assert set(png.colour_chunks(tmp_path / "a.png")) == set(chunks)
    again(tmp_path, "a.png", "b.png")
    assert set(png.colour_chunks(tmp_path / "b.png")) == set(chunks)


@pytest.mark.parametrize("result", ["b.png", "b.jpg", "b.tif", "b.bmp"])
@pytest.mark.parametrize("source", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_resolution_is_kept(tmp_path: Path, source: str, result: str) -> None:
    PIXELS.save(tmp_path / source, dpi=(300, 150))
    assert again(tmp_path, source, result).info["dpi"] == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize("result", ["b.png", "b.jpg", "b.tif", "b.webp"])
@pytest.mark.parametrize("source", ["a.jpg", "a.webp", "a.tif"])
def test_xmp_is_kept(tmp_path: Path, source: str, result: str) -> None:
    if source == "a.tif":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags.tagtype[700] = 1
        tags[700] = XMP
        PIXELS.save(tmp_path / source, tiffinfo=tags)
    else:
        PIXELS.save(tmp_path / source, xmp=XMP)
    kept = again(tmp_path, source, result).info["xmp"]
    assert (kept if isinstance(kept, bytes) else kept.encode()) == XMP


def test_texts_of_tiff_are_kept(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for number, text in ((270, "a page"), (315, "Ada"), (33432, "(c) Ada")):
        tags[number] = text
    PIXELS.save(tmp_path / "a.tif", tiffinfo=tags)
    kept = again(tmp_path, "a.tif", "b.tif")
    assert isinstance(kept, TiffImagePlugin.TiffImageFile)
    assert [kept.tag_v2[number] for number in (270, 315, 33432)] == ["a page", "Ada", "(c) Ada"]


def test_xmp_that_is_too_long_for_jpeg_is_left_out(tmp_path: Path) -> None:
    for length, kept in ((70_000, False), (65_520, False), (65_505, False), (65_000, True)):
        PIXELS.save(tmp_path / "a.webp", xmp=b"x" * length)
        assert ("xmp" in again(tmp_path, "a.webp", "b.jpg").info) == kept


def exif() -> Image.Exif:
    made = Image.Exif()
    made[ExifTags.Base.Make] = "camera"
    made[ExifTags.Base.ImageDescription] = "a page"
    details = made.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FNumber] = 2.0
    details[ExifTags.Base.ExifImageWidth] = 8
    made.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return made


@pytest.mark.parametrize("result", ["b.png", "b.jpg", "b.tif", "b.webp"])
@pytest.mark.parametrize("source", ["a.png", "a.jpg", "a.tif", "a.webp"])
@pytest.mark.parametrize("xmp", [False, True])
def test_exif_is_kept_with_and_without_xmp(tmp_path: Path, source: str, result: str, xmp: bool) -> None:
    made = exif()
    if xmp and source == "a.tif":
        made[700] = XMP
    elif xmp and source == "a.png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        PIXELS.save(tmp_path / source, exif=made, pnginfo=info)
    options: dict[str, Any] = {"xmp": XMP} if xmp and source != "a.tif" else {}
    if not (xmp and source == "a.png"):
        PIXELS.save(tmp_path / source, exif=made.tobytes(), **options)
    kept = again(tmp_path, source, result)
    found = kept.getexif()
    assert found[ExifTags.Base.Make] == "camera" and found[ExifTags.Base.ImageDescription] == "a page"
    assert dict(found.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.FNumber: 2.0}
    assert dict(found.get_ifd(ExifTags.IFD.GPSInfo)) == {ExifTags.GPS.GPSLatitudeRef: "N"}
    assert ("xmp" in kept.info) == xmp


@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.webp"])
def test_exif_that_describes_another_file_does_not_damage_a_tiff(tmp_path: Path, source: str) -> None:
    made = exif()
    # as some telephones write them: width, height, bits, compression, gray, strips
    for tag, value in ((256, 3), (257, 5), (258, 16), (259, 7), (262, 0), (273, 8), (277, 1), (278, 2), (279, 9)):
        made[tag] = value
    PIXELS.save(tmp_path / source, exif=made)
    kept = again(tmp_path, source, "b.tif")
    assert np.array_equal(np.asarray(kept), read_picture(tmp_path / source).pixels)
    assert kept.getexif()[ExifTags.Base.Make] == "camera"


def test_sizes_in_xmp_are_left_out(tmp_path: Path) -> None:
    sizes = b"<r a='1' tiff:ImageWidth='8' exif:PixelYDimension=\"8\"><tiff:ImageLength>8</tiff:ImageLength>x</r>"
    PIXELS.save(tmp_path / "a.jpg", xmp=sizes)
    assert again(tmp_path, "a.jpg", "b.jpg").info["xmp"] == b"<r a='1'>x</r>"


@pytest.mark.parametrize("dots", [0, 1, 3, 5_000_000, 2**32 - 1])
@pytest.mark.parametrize("result", ["b.png", "b.jpg", "b.tif", "b.bmp"])
def test_a_resolution_that_cannot_be_is_left_out(tmp_path: Path, dots: int, result: str) -> None:
    info = PngImagePlugin.PngInfo()
    PIXELS.save(tmp_path / "a.png", pnginfo=info, dpi=(72, 72))
    content = (tmp_path / "a.png").read_bytes()
    start = content.index(b"pHYs")
    changed = b"pHYs" + struct.pack(">IIB", dots, dots, 1)
    content = content[:start] + changed + struct.pack(">I", zlib.crc32(changed)) + content[start + 17 :]
    (tmp_path / "a.png").write_bytes(content)
    assert again(tmp_path, "a.png", result).size == (8, 8)


def test_colours_that_only_a_png_can_tell_are_warned_of(tmp_path: Path) -> None:
    for name, chunk, known in (
        ("linear", (b"gAMA", struct.pack(">I", 100_000)), False),
        ("wide", (b"cICP", bytes([9, 16, 0, 1])), False),
        ("usual", (b"gAMA", struct.pack(">I", 45_455)), True),
        ("named", (b"sRGB", b"\0"), True),
    ):
        info = PngImagePlugin.PngInfo()
        info.add(*chunk)
        PIXELS.save(tmp_path / f"{name}.png", pnginfo=info)
        again(tmp_path, f"{name}.png", f"{name}-2.png")
        if known:
            again(tmp_path, f"{name}.png", f"{name}.jpg")
        else:
            with pytest.warns(RuntimeWarning, match=rf"{name}\.jpg: .* not sRGB, which only PNG can store"):
                again(tmp_path, f"{name}.png", f"{name}.jpg")
