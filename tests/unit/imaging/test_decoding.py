"""Image files: what is read, what is refused and how it is said, whole-or-nothing writing."""

import errno
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from lutra.imaging.images import read_image, write_image

Bytes = NDArray[np.uint8]


def noise(*shape: int) -> Bytes:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, interlaced: bool = False) -> bytes:
    """A PNG file put together by hand: Pillow writes no 16-bit colour and no false sizes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(path: Path, planes: list[Bytes], bits: int, sample_format: int = 1, strips: int | None = None) -> None:
    """A TIFF with its planes one after the other, which Pillow does not write; `strips`: how many of them it lists."""
    count, (height, width), size = len(planes), planes[0].shape, planes[0].nbytes
    listed = count if strips is None else strips
    data = b"".join(plane.tobytes() for plane in planes)
    after = 8 + len(data)
    arrays: list[tuple[int, str, list[int]]] = [
        (258, "H", [bits] * count),
        (273, "I", [8 + number * size for number in range(listed)]),
        (279, "I", [size] * listed),
        (339, "H", [sample_format] * count),
    ]
    tags = [
        *((256, 3, 1, width), (257, 3, 1, height), (259, 3, 1, 1), (262, 3, 1, 2 if count == 3 else 1)),
        *((277, 3, 1, count), (278, 3, 1, height), (284, 3, 1, 2 if count > 1 else 1)),
    ]
    for tag, form, values in arrays:
        packed = struct.pack(f"<{len(values)}{form}", *values)
        place = int.from_bytes(packed, "little") if len(packed) <= 4 else after
        if len(packed) > 4:
            data, after = data + packed, after + len(packed)
        tags.append((tag, 3 if form == "H" else 4, len(values), place))
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    path.write_bytes(b"II*\0" + struct.pack("<I", after) + data + struct.pack("<H", len(tags)) + entries + bytes(4))


def refused(path: Path, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: found {found}.*, expected "):
        read_image(path)


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


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png: no such file, expected"):
        read_image(tmp_path / "nowhere.png")
    refused(tmp_path, "a folder")


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), noise(4, 4, 4), noise(4), noise(0, 4)], ids=["float", "RGBA", "line", "empty"]
)
def test_refused_arrays_leave_no_file(tmp_path: Path, image: Bytes) -> None:
    with pytest.raises(ValueError, match=r"a\.png: found shape .* to write, expected"):
        write_image(tmp_path / "a.png", image)
    assert not list(tmp_path.iterdir())


def test_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found suffix '\.gif', expected one of \.png"):
        write_image(tmp_path / "a.gif", noise(4, 4))


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old = tmp_path / "a.png", noise(4, 4)
    write_image(path, old)

    def interrupted(self: Image.Image, file: Any, *format: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(path, 255 - old)
    assert list(tmp_path.iterdir()) == [path]
    assert np.array_equal(read_image(path), old)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".ppm", ".webp"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """The limit is met within the last bytes, which Pillow writes without looking for errors."""
    image = noise(60, 60, 3)
    write_image(tmp_path / f"whole{suffix}", image)
    room = (tmp_path / f"whole{suffix}").stat().st_size - 10
    np.save(tmp_path / "image.npy", image)
    code = (
        "import numpy, resource, signal, sys; from lutra.imaging.images import write_image\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "write_image(sys.argv[2], numpy.load(sys.argv[1]))"
    )
    path = tmp_path / "out" / f"a{suffix}"
    path.parent.mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "image.npy"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"File too large: '{path}'" in done.stderr
    assert list(path.parent.iterdir()) == []


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


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_image(path, noise(4, 4))

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError, match=f"Permission denied: '{path}'"):
        read_image(path)


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


def test_a_tiff_that_lists_a_part_of_its_strips_is_refused(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", [noise(6, 5) for _ in range(3)], 8, strips=2)
    refused(tmp_path / "a.tif", "data for a part of the image only")


def test_a_tiff_of_many_frames_is_refused_without_reading_all(tmp_path: Path) -> None:
    frames = [Image.new("L", (2, 2)) for _ in range(30)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.tif", "more than 9 frames")


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


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "a device or pipe")
    refused(Path("/dev/zero"), "a device or pipe")


def test_an_error_of_the_disk_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: ImageFile.ImageFile) -> None:
        raise OSError(errno.EIO, "Input/output error")

    write_image(tmp_path / "a.png", noise(4, 4))
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path / 'a.png'}'"):
        read_image(tmp_path / "a.png")


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


def test_progressive_and_gray_jpegs_are_read(tmp_path: Path) -> None:
    for image in (np.full((9, 17, 3), 128, np.uint8), np.full((33, 8), 128, np.uint8), noise(20, 20, 3)):
        for progressive in (False, True):
            Image.fromarray(image).save(tmp_path / "a.jpg", progressive=progressive)
            assert read_image(tmp_path / "a.jpg").shape == image.shape
