"""Image files in and out: 8-bit gray or RGB arrays, errors that name the file, files that appear whole."""

import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
T = TypeVar("T")

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_EXPECTED = "expected an image of 8 bits a channel, gray or RGB"
# What Pillow's decoders raise on damaged files, besides OSError.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error, zlib.error)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file, turned upright where it says how (EXIF orientation).

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
    return open_image(path, _decode, _EXPECTED)


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write an image file, whole or not at all; its suffix chooses the format.

    JPEG is written at quality 95 without chroma subsampling and loses information; the others are lossless.

    Args:
        path: ends in one of `SUFFIXES`; the folder exists.
        image: (H, W) or (H, W, 3) uint8.

    Raises:
        ValueError: the suffix is not known or the image is not as above.
        OSError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: found suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    shape_known = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not shape_known or image.size == 0:
        found = f"shape {image.shape} of {image.dtype}"
        raise ValueError(f"{path}: found {found} to write, expected (H, W) or (H, W, 3) of uint8, not empty")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{suffix}")
    try:
        Image.fromarray(image).save(temporary, **_SAVE_OPTIONS.get(suffix, {}))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def list_images(folder: str | Path) -> list[Path]:
    """The image files directly in a folder, hidden ones left out, sorted by name.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is no folder, or holds no image.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder, expected a folder of images")
    if not folder.is_dir():
        raise ValueError(f"{folder}: found a file, expected a folder of images")
    images = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not images:
        raise ValueError(f"{folder}: found no image, expected files ending in {', '.join(SUFFIXES)}")
    return sorted(images, key=lambda path: path.name)


class Refused(Exception):
    """An intact image of a kind that is not read; says which."""


def open_image(path: str | Path, decode: Callable[[ImageFile.ImageFile], T], expected: str) -> T:
    """Open an image file, decode it, and turn whatever goes wrong into one line that names the file.

    Args:
        path: the file.
        decode: from the opened image, not yet decoded, to the result; may raise `Refused`.
        expected: what is said to be expected.

    Raises:
        FileNotFoundError, ValueError: as `read_image` does.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, {expected}")
    if path.is_dir():
        raise ValueError(f"{path}: found a folder, {expected}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about metadata, which no pixel depends on
            # Between one and two times its limit Pillow only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                return decode(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"at most {Image.MAX_IMAGE_PIXELS}"
        raise ValueError(f"{path}: found too many pixels to decode safely, expected {limit}") from None
    except Refused as refusal:
        raise ValueError(f"{path}: found {refusal}, {expected}") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path}: found none of the formats {', '.join(_FORMATS)}, {expected}") from None
    except _DAMAGE as error:
        raise ValueError(f"{path}: found a damaged or unreadable file ({error}), {expected}") from error


def check_kind(image: ImageFile.ImageFile) -> None:
    """Refuse what cannot be read unchanged: more than 8 bits a channel, other colours, several frames.

    Raises:
        Refused: it is of such a kind.
    """
    if any(_is_deep(tile.codec_name, tile.args) for tile in image.tile) or image.mode.startswith(("I", "F")):
        raise Refused("more than 8 bits a channel")
    if image.mode not in ("L", "RGB", "P", "1", "LA", "RGBA", "PA"):
        raise Refused(f"colours of mode {image.mode}")
    # MPO is a camera's JPEG with a preview or a depth map after the photograph.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise Refused(f"{frames} frames")


def _decode(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    check_kind(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A").tobytes()
        if alpha.count(255) < len(alpha):
            raise Refused("transparent pixels (flatten the image first)")
    return np.array(image.convert("L" if image.mode in ("L", "LA", "1") else "RGB"))


def _is_deep(codec: str, args: object) -> bool:
    """Whether pixels stored so have more than 8 bits a channel, which Pillow cuts without a word."""
    if codec.startswith("ppm"):
        return isinstance(args, tuple) and args[-1] > 255  # the last is the value that stands for white
    return ";16" in str(args) and "BGR;16" not in str(args)  # BGR;16 is 5, 6 and 5 bits
