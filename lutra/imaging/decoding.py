"""Image files opened, checked and decoded by Pillow, with errors that name the file; images encoded."""

import errno
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from lutra.imaging.formats import jpeg, png

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
T = TypeVar("T")

_GRAY_MODES, _COLOUR_MODES = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA")
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_DEEP = "more than 8 bits a channel"
_MOST_RATIO = 4096
"""Decoded bytes for each byte of a file: no format packs photographs or drawings tighter than about 1000."""
_ALWAYS = 1 << 26
"""Decoded bytes that every file may have."""
_MOST_FRAMES = 9
"""The most frames of a TIFF that are counted: each may take as long to read as the whole file."""
_BITS, _SAMPLE_FORMAT, _UNSIGNED, _APART = 258, 339, (1, 4), 2
"""TIFF's tags; the formats of samples that are read (unsigned integers, undefined); planes stored apart."""


def encoded(image: Image.Image, suffix: str, options: dict[str, Any]) -> bytes:
    """Return the content of an image file.

    It is made in memory, because Pillow does not notice when the last bytes of some formats meet a full disk.

    Args:
        image: what to write.
        suffix: the format's suffix, in small letters.
        options: arguments of Pillow's `save`.
    """
    content = io.BytesIO()
    image.save(content, Image.registered_extensions()[suffix], **options)
    return content.getvalue()


class Refused(Exception):
    """An intact image of a kind that is not read; the text names the kind."""


def open_image(path: str | Path, decode: Callable[[ImageFile.ImageFile], T], expected: str) -> T:
    """Open an image file, decode it, and turn whatever goes wrong into one line that names the file.

    Args:
        path: the file.
        decode: from the opened image, not yet decoded, to the result; may raise `Refused`.
        expected: the end of the error: what was expected.

    Raises:
        FileNotFoundError, PermissionError, OSError: there is no such file, or it cannot be read.
        ValueError: the file is no image, is damaged, has more pixels than Pillow's limit
            (`PIL.Image.MAX_IMAGE_PIXELS`) or than its size suggests, or `decode` refused it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, {expected}")
    if not path.is_file():
        raise ValueError(f"{path}: found a {'folder' if path.is_dir() else 'device or pipe'}, {expected}")
    with path.open("rb") as file:
        size = path.stat().st_size
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # these are about metadata, which no pixel depends on
                # Between one and two times its limit Pillow only warns.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file, formats=_FORMATS) as image:
                    _check_ratio(image, size)
                    return decode(image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            limit = f"at most {Image.MAX_IMAGE_PIXELS}"
            raise ValueError(f"{path}: found too many pixels to decode safely, expected {limit}") from None
        except Refused as refusal:
            raise ValueError(f"{path}: found {refusal}, {expected}") from None
        except UnidentifiedImageError:
            formats = f"none of the formats {', '.join(_FORMATS)}, or an unknown kind of one"
            raise ValueError(f"{path}: found {formats}, {expected}") from None
        except MemoryError:
            raise ValueError(f"{path}: found more than this process's memory holds, {expected}") from None
        except Exception as error:  # damaged files make Pillow's decoders raise errors of any kind
            # A seek beyond the end of any file means damage; other errors of the system do not.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, errno.EOVERFLOW):
                raise OSError(error.errno, error.strerror, str(path)) from None
            text = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(f"{path}: found a damaged or unreadable file ({text}), {expected}") from error


def check_kind(image: ImageFile.ImageFile) -> None:
    """Refuse what cannot be read unchanged: more than 8 bits a channel, other colours, several frames.

    Raises:
        Refused: it is of such a kind.
    """
    if any(_is_deep(tile.codec_name, tile.args) for tile in image.tile) or _is_deep_mode(image.mode):
        raise Refused(_DEEP)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_samples(image)
    is_gray(image)
    # MPO is a camera's JPEG with a preview or a depth map after the photograph.
    frames = _frames(image)
    if frames > 1 and image.format != "MPO":
        raise Refused(f"{frames} frames" if frames <= _MOST_FRAMES else f"more than {_MOST_FRAMES} frames")


def is_gray(image: Image.Image) -> bool:
    """Return whether a Pillow image is gray rather than RGB; alpha does not count.

    Raises:
        Refused: it has more than 8 bits a channel, or colours that are neither gray nor RGB.
    """
    if _is_deep_mode(image.mode):
        raise Refused(_DEEP)
    if image.mode not in (*_GRAY_MODES, *_COLOUR_MODES):
        raise Refused(f"colours of mode {image.mode}")
    return image.mode in _GRAY_MODES


def load_whole(image: ImageFile.ImageFile, path: str | Path) -> None:
    """Decode an opened image, all of it.

    Raises:
        Refused: the file describes or holds fewer rows than the image has, which Pillow fills with black or gray.
    """
    tiles = [tile.extents for tile in image.tile if tile.extents is not None]
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in tiles)
    if tiles and covered < image.width * image.height * _planes(image):
        raise Refused("data for a part of the image only")
    interlaced = bool(image.info.get("interlace"))
    image.load()
    if image.format == "JPEG" and not jpeg.holds_all_rows(image, path):
        raise Refused("data for a part of the image only")
    if image.format != "PNG":
        return
    last_row = image.crop((0, image.height - 1, image.width, image.height)).tobytes()
    # Pillow leaves missing rows at zero. Counting the data takes time, so it is done only then, or for interlaced rows.
    if (interlaced or not any(last_row)) and not png.holds_all_rows(path):
        raise Refused("data for a part of the image only")


def _check_ratio(image: ImageFile.ImageFile, size: int) -> None:
    decoded = image.width * image.height * len(image.getbands())
    if decoded > max(_ALWAYS, _MOST_RATIO * size):
        raise Refused(f"{image.width} x {image.height} pixels in a file of {size} bytes")


def _frames(image: ImageFile.ImageFile) -> int:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(getattr(image, "n_frames", 1))
    count = 1
    while count <= _MOST_FRAMES:
        try:
            image.seek(count)
        except EOFError:
            break
        count += 1
    image.seek(0)
    return count


def _planes(image: ImageFile.ImageFile) -> int:
    """Return how many times an image's tiles cover it: once for each channel where a TIFF stores these apart."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.tile[0].codec_name != "raw":
        return 1
    return len(image.getbands()) if image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _APART else 1


def _check_samples(image: TiffImagePlugin.TiffImageFile) -> None:
    bits, kinds = image.tag_v2.get(_BITS, (1,)), image.tag_v2.get(_SAMPLE_FORMAT, (1,))
    if max(bits, default=1) > 8:
        raise Refused(_DEEP)
    if not set(kinds) <= set(_UNSIGNED):
        raise Refused("numbers that are signed or have fractions")


def _is_deep_mode(mode: str) -> bool:
    return mode.startswith(("I", "F"))


def _is_deep(codec: str, args: object) -> bool:
    """Return whether pixels stored so have more than 8 bits a channel, which Pillow silently truncates."""
    if codec.startswith("ppm"):
        return isinstance(args, tuple) and args[-1] > 255  # the last is the value that stands for white
    return ";16" in str(args) and "BGR;16" not in str(args)  # BGR;16 is 5, 6 and 5 bits
