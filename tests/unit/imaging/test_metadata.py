"""Metadata: what a file says besides its pixels is written again, as far as the format holds it."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from lutra.imaging import png
from lutra.imaging.pictures import read_picture, write_picture

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
    PIXELS.save(tmp_path / "a.webp", xmp=b"x" * 70_000)
    assert "xmp" not in again(tmp_path, "a.webp", "b.jpg").info
