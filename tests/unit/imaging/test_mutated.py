"""Thousands of damaged images: each is read as an image or refused in one line that names the file.

LUTRA_MUTANTS says how many (3,000 by default; 250,000 take an hour), LUTRA_MUTANTS_FROM the number of the first, so
that one that failed can be made again.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lutra.imaging.folders import image_size
from lutra.imaging.images import read_image, read_picture, write_picture

COUNT = int(os.environ.get("LUTRA_MUTANTS", "3000"))
FIRST = int(os.environ.get("LUTRA_MUTANTS_FROM", "0"))
PNG = b"\x89PNG\r\n\x1a\n"
EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)


def picture() -> Image.Image:
    """A small photograph in kind: smooth, with an edge."""
    y, x = np.mgrid[0:24, 0:19]
    planes = [np.sin(y / (3 + plane)) * 60 + x * (5 - plane) + 60 * (y > 11) for plane in range(4)]
    return Image.fromarray(np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8), "RGBA")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def interlaced() -> bytes:
    """A gray PNG in seven passes, which Pillow does not write."""
    pixels = np.asarray(picture().convert("L"))
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    passes = [pixels[row::down, column::across] for row, column, down, across in starts]
    rows = b"".join(b"\0" + row.tobytes() for each in passes for row in each)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 1)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return PNG + b"".join(chunk(*part) for part in parts)


def run_lengths() -> bytes:
    """A BMP of 4 x 3 pixels in runs, which Pillow does not write."""
    data = b"\4\1\0\0" + b"\0\4\0\1\2\1" + b"\0\0" + b"\4\2\0\1"
    palette = bytes((0, 0, 0, 0, 0, 0, 255, 0, 255, 0, 0, 0))
    header = struct.pack("<IiiHHIIiiII", 40, 4, 3, 1, 8, 1, len(data), 2835, 2835, 3, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def intact() -> list[bytes]:
    """Images of every format and kind, with metadata."""
    rgba = picture()
    rgb, gray, palette = rgba.convert("RGB"), rgba.convert("L"), rgba.convert("RGB").quantize(11)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    exif.get_ifd(0x8769)[0xA002] = 19
    more = {"exif": exif, "icc_profile": b"profile" * 20}
    every = [rgba, rgb, gray, palette, rgba.convert("LA"), gray.convert("1")]
    return [
        *(saved(image, "PNG", dpi=(300, 300)) for image in every),
        saved(palette, "PNG", transparency=bytes(range(0, 220, 20))),
        saved(rgb, "PNG", transparency=(1, 2, 3), **more),
        interlaced(),
        *(saved(image, "JPEG", **more) for image in (rgb, gray)),
        *(saved(rgb, "JPEG", progressive=progressive, subsampling=2) for progressive in (False, True)),
        *(saved(image, "BMP") for image in (rgb, gray, palette, gray.convert("1"))),
        run_lengths(),
        *(saved(image, "TIFF", compression=way) for image in every for way in ("raw", "tiff_lzw", "tiff_deflate")),
        *(saved(rgb, "TIFF", compression=way, **more) for way in ("packbits", "jpeg", "raw")),
        saved(gray.convert("1"), "TIFF", compression="group4"),
        saved(rgb, "TIFF", save_all=True, append_images=[gray]),
        *(saved(image, "WEBP", lossless=lossless, **more) for image in (rgb, rgba) for lossless in (True, False)),
        *(saved(image, "PPM") for image in (rgb, gray, gray.convert("1"))),
        b"P2 3 2 255 " + b" ".join(b"%d" % value for value in range(6)),
        b"P3 1 2 99 " + b" ".join(b"%d" % value for value in range(6)),
    ]


def mutant(sources: list[bytes], number: int) -> bytes:
    """Change one of the sources at a few places, as damage does and as an attacker would."""
    rng = np.random.default_rng(number)
    content = bytearray(sources[int(rng.integers(len(sources)))])
    for _ in range(int(rng.integers(1, 4))):
        way = rng.random()
        if content.startswith(PNG) and way < 0.4:
            _change_chunk(content, rng)
        elif content.startswith(b"II*\0") and way < 0.5:
            _change_tag(content, rng)
        else:
            _change_bytes(content, rng)
        if not content:
            content += b"\0"
    return _signed(bytes(content)) if rng.random() < 0.8 else bytes(content)


def extreme(rng: np.random.Generator, form: str) -> bytes:
    value = EXTREMES[int(rng.integers(len(EXTREMES)))] if rng.random() < 0.7 else int(rng.integers(2**32))
    return struct.pack(form, value % (1 << 8 * struct.calcsize(form)))


def _change_bytes(content: bytearray, rng: np.random.Generator) -> None:
    # headers are short and decide most
    place = int(rng.integers(min(len(content), 200) if rng.random() < 0.7 else len(content)))
    match int(rng.integers(7)):
        case 0:
            content[place] ^= 1 << int(rng.integers(8))
        case 1:
            content[place] = int(rng.integers(256))
        case 2 | 3:
            packed = extreme(rng, "<>"[int(rng.integers(2))] + "HI"[int(rng.integers(2))])
            content[place : place + len(packed)] = packed
        case 4:
            del content[place : place + int(rng.integers(1, 9))]
        case 5:
            content[place:place] = rng.bytes(int(rng.integers(1, 9)))
        case _:
            del content[place:]


def _change_chunk(content: bytearray, rng: np.random.Generator) -> None:
    """Leave a chunk of a PNG out, write it twice, or change its content or length."""
    places, place = [], 8
    while place + 8 <= len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        places.append((place, min(place + 12 + length, len(content))))
        place += 12 + length
    if not places:
        return
    start, end = places[int(rng.integers(len(places)))]
    match int(rng.integers(4)):
        case 0:
            del content[start:end]
        case 1:
            content[end:end] = content[start:end]
        case 2:
            cut = int(rng.integers(1, max(2, end - start - 12)))
            content[start:end] = chunk(bytes(content[start + 4 : start + 8]), bytes(content[start + 8 : end - 4 - cut]))
        case _:
            place = int(rng.integers(start, max(start + 1, end - 3)))
            content[place : place + 4] = extreme(rng, ">I")


def _change_tag(content: bytearray, rng: np.random.Generator) -> None:
    """Change number, type, count or value of a tag of a TIFF."""
    first = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[first : first + 2], "little")
    place = first + 2 + 12 * int(rng.integers(max(1, min(count, 30))))
    if place + 12 > len(content):
        return
    offset, form = ((0, "<H"), (2, "<H"), (4, "<I"), (8, "<I"), (8, "<H"))[int(rng.integers(5))]
    packed = extreme(rng, form) if offset != 2 else struct.pack("<H", int(rng.integers(1, 19)))
    if offset == 8 and rng.random() < 0.3:
        packed = struct.pack(form, int(rng.integers(20)))
    content[place + offset : place + offset + len(packed)] = packed


def _signed(content: bytes) -> bytes:
    """Give the chunks of a PNG their checksums, which a reader would otherwise stop at."""
    if not content.startswith(PNG):
        return content
    signed, place = content[:8], 8
    while place + 8 <= len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        kind, inside = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        signed += chunk(kind, inside) if len(inside) == length else content[place:]
        place += 12 + length
    return signed


def outcome(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except ValueError as error:
        text = str(error)
        assert text.startswith(f"{path}: found ") and "\n" not in text and ", expected " in text
        return "refused"
    return "read"


def read_and_write(path: Path) -> None:
    found = read_picture(path, max_pixels=1 << 20)
    for suffix in (".png", ".tif"):
        write_picture(path.with_suffix(suffix), found)
        assert np.array_equal(read_picture(path.with_suffix(suffix)).pixels, found.pixels)
    if max(found.pixels.shape) <= 16_383 and found.pixels.shape[2:] not in ((2,), (4,)):
        write_picture(path.with_suffix(".webp"), found, quality=10)
        write_picture(path.with_suffix(".jpg"), found)


def test_damaged_images_are_read_or_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # thousands of times it takes minutes
    sources, path = intact(), tmp_path / "image"
    for content in sources[:-1]:
        path.write_bytes(content)
        assert outcome(image_size, path) == "read"
    seen = dict.fromkeys(("read", "refused"), 0)
    for number in range(FIRST, FIRST + COUNT):
        path.write_bytes(mutant(sources, number))
        try:
            found = outcome(read_image, path)
            seen[outcome(read_and_write, path)] += 1
            assert outcome(image_size, path) == "read" or found == "refused"
        except BaseException:
            print(f"LUTRA_MUTANTS_FROM={number} LUTRA_MUTANTS=1")
            raise
    capfd.readouterr()  # what libtiff says
    assert COUNT < 100 or min(seen.values()) > COUNT // 20, f"nearly all mutants were alike: {seen}"
