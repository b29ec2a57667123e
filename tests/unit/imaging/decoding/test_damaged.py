"""Damaged files: what ends early, lies about its size or fails in a decoder is refused in one line."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lutra.imaging.images import read_image, write_image
from tests.unit.imaging.decoding.made import noise, png, refused, tiff


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".ppm", ".webp"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, noise(60, 60, 3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, r"(a damaged or unreadable file|none of the formats)")


@pytest.mark.parametrize("content", [b"", b"not an image", b"GIF89a" + bytes(100)])
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", "none of the formats PNG")


# Pillow warns above its limit of 89 million pixels and refuses above twice as many.
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_decompression_bombs_are_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png(side, side, 8, 0, b"\0"))
    refused(tmp_path / "bomb.png", "too many pixels")


def test_data_that_ends_early_but_properly_is_refused(tmp_path: Path) -> None:
    rows = (b"\0" + bytes(range(1, 7))) * 4
    (tmp_path / "short.png").write_bytes(png(2, 5, 8, 2, rows))
    refused(tmp_path / "short.png", "data for a part of the image only")
    (tmp_path / "whole.png").write_bytes(png(2, 4, 8, 2, rows))
    assert read_image(tmp_path / "whole.png").shape == (4, 2, 3)
    (tmp_path / "black.png").write_bytes(png(2, 4, 8, 2, bytes(28)))
    assert not read_image(tmp_path / "black.png").any()


@pytest.mark.parametrize("colour", [0, 2])
def test_interlaced_data_that_ends_early_is_refused(tmp_path: Path, colour: int) -> None:
    sizes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]  # of the passes of 8x8 pixels: columns, rows
    rows = b"".join((b"\0" + b"\x07" * columns * (1 + colour)) * count for columns, count in sizes)
    content = png(8, 8, 8, colour, rows)
    header = struct.pack(">IIBBBBB", 8, 8, 8, colour, 0, 0, 0)
    turned = header[:-1] + b"\1"

    def interlaced(content: bytes) -> bytes:
        checks = (struct.pack(">I", zlib.crc32(b"IHDR" + part)) for part in (header, turned))
        return content.replace(b"IHDR" + header + next(checks), b"IHDR" + turned + next(checks))

    (tmp_path / "whole.png").write_bytes(interlaced(content))
    assert (read_image(tmp_path / "whole.png") == 7).all()
    (tmp_path / "short.png").write_bytes(interlaced(png(8, 8, 8, colour, rows[: -(1 + 8 * (1 + colour))])))
    refused(tmp_path / "short.png", "data for a part of the image only")


def test_any_error_of_a_decoder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no-palette.png").write_bytes(png(2, 2, 8, 3, b"\0\0\0" * 2))
    refused(tmp_path / "no-palette.png", "a damaged or unreadable file")
    for error, found in (
        (OverflowError("x\ny"), r"a damaged or unreadable file \(x y\)"),
        (MemoryError(), "more than"),
    ):
        monkeypatch.setattr(Image, "open", lambda *_, error=error, **__: (_ for _ in ()).throw(error))
        refused(tmp_path / "no-palette.png", found)


def test_a_small_file_that_says_it_is_huge_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(9000, 9000, 8, 2, b"\0" * 9000))
    refused(tmp_path / "a.png", r"9000 x 9000 pixels in a file of \d+ bytes")


def test_a_tiff_that_lists_a_part_of_its_strips_is_refused(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", [noise(6, 5) for _ in range(3)], 8, strips=2)
    refused(tmp_path / "a.tif", "data for a part of the image only")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 9), (3, 1), (1, 7), (17, 12)])
def test_interlaced_data_of_any_size_is_read_only_when_all_of_it_is_there(
    tmp_path: Path, width: int, height: int
) -> None:
    image, path = noise(height, width), tmp_path / "a.png"
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    passes = [image[row::down, column::across] for row, column, down, across in starts]
    rows = b"".join(b"\0" + row.tobytes() for each in passes for row in each if each.shape[1])
    path.write_bytes(png(width, height, 8, 0, rows, interlaced=True))
    assert np.array_equal(read_image(path), image)
    path.write_bytes(png(width, height, 8, 0, rows[:-1], interlaced=True))
    refused(path, "(a damaged or unreadable file|data for a part of the image)")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{"subsampling": 2}, {"subsampling": 0, "quality": 100}, {"restart_marker_rows": 1}]
)
def test_a_jpeg_whose_data_ends_early_but_properly_is_refused(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    """Decoders fill the missing blocks with gray; a picture that is gray there itself is read."""
    y, x = np.mgrid[0:70, 0:90]
    smooth = np.stack([120 + 60 * np.sin(y / 9 + plane) + 40 * np.cos(x / 7) for plane in range(3)], 2).astype(np.uint8)
    for gray in (False, True):
        smooth[50:] = 128 if gray else smooth[50:]
        path = tmp_path / "a.jpg"
        Image.fromarray(smooth).convert(mode).save(path, **options)
        content = path.read_bytes()
        assert read_image(path).shape[:2] == (70, 90)
        start = content.index(b"\xff\xda")
        for share in (0.3, 0.6, 0.9):
            place = start + int(share * (len(content) - start))
            path.write_bytes(content[:place].rstrip(b"\xff") + b"\xff\xd9")
            refused(path, "data for a part of the image only")
