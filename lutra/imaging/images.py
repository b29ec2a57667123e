"""Images in and out.

`read_image` and `write_image` take gray and RGB alone and convert nothing that is measured. `read_picture` and
`write_picture` take what users have: alpha, colour profiles and EXIF too.
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from lutra.files import write_whole
from lutra.imaging.decoding import SUFFIXES, Refused, check_kind, encoded, is_gray, load_whole, open_image
from lutra.imaging.formats import metadata
from lutra.imaging.formats.metadata import Metadata

_EXPECTED = "expected an image of 8 bits a channel, gray or RGB"
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_NO_ALPHA = {".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".ppm": "PPM", ".pgm": "PGM"}
# The longest side that a format, or Pillow's writer of it, can hold.
_LONGEST = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """An upright picture.

    pixels: (H, W) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha, uint8; alpha is straight.
    metadata: what else its file holds.
    """

    pixels: Pixels
    metadata: Metadata = field(default_factory=Metadata)


def read_image(path: str | Path) -> Pixels:
    """Read an image file, turned upright by its EXIF orientation.

    Palette images are converted to RGB, 1-bit images to gray. An alpha channel is dropped if it is opaque
    everywhere. Nothing else is converted, because any conversion would change what is measured.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no image, is damaged or truncated, has more pixels than Pillow's limit
            (`PIL.Image.MAX_IMAGE_PIXELS`), several frames, transparent pixels, more than 8 bits a channel, or
            colours that are neither gray nor RGB.
    """

    def decode(image: ImageFile.ImageFile) -> Pixels:
        pixels = _decoded(image, path)
        alpha = _alpha(pixels)
        if alpha is None:
            return pixels
        if not is_opaque(alpha):
            raise Refused("transparent pixels (flatten the image first)")
        return np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :3])

    return open_image(path, decode, _EXPECTED)


def write_image(path: str | Path, image: Pixels) -> None:
    """Write an image file, whole or not at all; its suffix chooses the format.

    JPEG is written at quality 95 without chroma subsampling and loses information; the others are lossless.

    Args:
        path: ends in one of `SUFFIXES`; the folder exists.
        image: (H, W) or (H, W, 3) uint8.

    Raises:
        ValueError: the suffix is not known or the image is not as above.
        OSError: the file cannot be written.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)) or image.size == 0:
        found = f"shape {image.shape} of {image.dtype}"
        raise ValueError(f"{path}: found {found} to write, expected (H, W) or (H, W, 3) of uint8, not empty")
    write_picture(path, Picture(image))


def read_picture(path: str | Path, *, max_pixels: int | None = None) -> Picture:
    """Read a picture, turned upright by its EXIF orientation.

    Palettes become RGB, 1-bit pictures become gray, a colour that stands for transparency becomes an alpha channel.
    Well-formed metadata are kept as far as `lutra.imaging.formats.metadata.Metadata` lists them.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, PPM or PGM.
        max_pixels: refuse a larger picture before it is decoded.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no picture, is damaged or truncated, too large (also by `PIL.Image.MAX_IMAGE_PIXELS`),
            of several frames or more than 8 bits a channel, or its colours are neither gray nor RGB.
    """

    def decode(image: ImageFile.ImageFile) -> Picture:
        if max_pixels is not None and image.width * image.height > max_pixels:
            raise Refused(f"{image.width} x {image.height} pixels, more than the {max_pixels} that are allowed")
        return Picture(_decoded(image, path), metadata.of_image(image, path))

    return open_image(path, decode, f"{_EXPECTED}, with or without alpha")


def write_picture(path: str | Path, picture: Picture, *, quality: int | None = None) -> None:
    """Write a picture, whole or not at all; the path's suffix chooses the format.

    Each format keeps the metadata that it can hold (`lutra.imaging.formats.metadata.save_options`). WebP holds no gray:
    gray becomes RGB there. A warning reports when the colours of a PNG lose their meaning.

    Args:
        path: ends in one of `SUFFIXES`; the folder exists.
        picture: what to write; an alpha channel that is opaque everywhere is left out where the format has none.
        quality: 1..100 for JPEG (None: 95) and for WebP (None: lossless); the other formats are lossless.

    Raises:
        ValueError: the format cannot hold the picture; see `check_writable`.
        OSError: the file cannot be written.
    """
    write_whole(Path(path), picture_bytes(path, picture, quality=quality))


def picture_bytes(path: str | Path, picture: Picture, *, quality: int | None = None) -> bytes:
    """Return the content that `write_picture` writes; arguments and errors are the same."""
    path = Path(path)
    check_writable(path, picture.pixels)
    suffix, pixels, options = path.suffix.lower(), picture.pixels, _options(path.suffix.lower(), quality)
    gray = pixels.ndim == 2 or pixels.shape[2] == 2
    if suffix in _NO_ALPHA and _alpha(pixels) is not None:
        pixels = pixels[:, :, 0] if gray else pixels[:, :, :3]
    if metadata.loses_colours(picture.metadata, suffix):
        found = "the colours (gAMA, cHRM or cICP) are not sRGB, which only PNG can store"
        warnings.warn(f"{path}: {found}: they will look different", RuntimeWarning, stacklevel=2)
    options |= metadata.save_options(picture.metadata, suffix, gray=gray)
    return encoded(Image.fromarray(np.ascontiguousarray(pixels)), suffix, options)


def check_writable(path: str | Path, pixels: Pixels, scale: int = 1, *, side: int | None = None) -> None:
    """Check that a format can hold a picture, before the work of restoring it.

    Args:
        path: the file to write.
        pixels: the picture before it is restored.
        scale: the factor by which each side will grow.
        side: the longest side of the result, which counts instead of `scale`.

    Raises:
        ValueError: the suffix is not known, the pixels are none of `Picture`'s forms, the format has no alpha and
            the picture is transparent somewhere, or a side is too long for the format.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: found suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    if pixels.dtype != np.uint8 or pixels.size == 0 or not (pixels.ndim == 2 or pixels.shape[2:] in ((2,), (3,), (4,))):
        found = f"shape {pixels.shape} of {pixels.dtype}"
        raise ValueError(f"{path}: found {found} to write, expected (H, W) or (H, W, 2..4) of uint8, not empty")
    alpha = _alpha(pixels)
    if suffix in _NO_ALPHA and alpha is not None and not is_opaque(alpha):
        raise ValueError(f"{path}: {_NO_ALPHA[suffix]} holds no transparency, expected PNG, WebP or TIFF")
    side, longest = side or max(pixels.shape[:2]) * scale, _LONGEST.get(suffix)
    if longest is not None and side > longest:
        raise ValueError(f"{path}: found a side of {side} pixels, expected at most {longest}, or PNG or TIFF")


def to_pixels(image: Image.Image) -> Pixels:
    """Return a Pillow image's pixels, in one of `Picture`'s forms; palettes and 1-bit images are converted.

    Raises:
        Refused: it has more than 8 bits a channel, or colours that are neither gray nor RGB.
    """
    channels = (1 if is_gray(image) else 3) + image.has_transparency_data
    return np.array(image.convert(_MODES[channels]))


def _decoded(image: ImageFile.ImageFile, path: str | Path) -> Pixels:
    """Decode an opened image, turned upright; raises `Refused` for kinds that are not read."""
    check_kind(image)
    load_whole(image, path)
    ImageOps.exif_transpose(image, in_place=True)
    return to_pixels(image)


def is_opaque(alpha: Pixels) -> bool:
    """Return whether alpha is 255 everywhere."""
    return bool((alpha == 255).all())


def _alpha(pixels: Pixels) -> Pixels | None:
    return pixels[:, :, -1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else None


def _options(suffix: str, quality: int | None) -> dict[str, Any]:
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}, expected 1..100")
    if suffix in (".jpg", ".jpeg"):
        return {"quality": quality or 95, "subsampling": 0}
    if suffix == ".webp":
        return {"lossless": True} if quality is None else {"quality": quality}
    return {}
