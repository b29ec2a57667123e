"""Metadata of pictures: read from one file, and written into another as far as its format can hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from lutra.imaging.formats import png

_JPEG_SEGMENT = 65_533
"""Bytes: JPEG cannot hold longer EXIF, or XMP with its name."""
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
# EXIF that describes the file it was in. The picture is upright, and sizes, places and forms of pixels are another
# file's: a TIFF with them could not be read. XMP, profile, IPTC and Photoshop's blocks are no EXIF.
_STALE = frozenset(
    {
        *(ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.Base.Orientation),
        *(*range(254, 260), 262, 266, *range(273, 280), 284, 290, 291, 292, 293, 297, 301, *range(317, 344), 347),
        *(*range(512, 522), *range(529, 533), 700, 33723, 34377, 34675),
    }
)
_TIFF_TAGS = frozenset((269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))
"""EXIF among a TIFF's tags: document, description, maker, model, page, software, time, artist, host, copyright."""
_XMP_TAG = 700
_XMP_SIZES = re.compile(
    rb"""\s(?:tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)=(?:"[^"]*"|'[^']*')"""
    rb"""|<(?P<name>tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)>[^<]*</(?P=name)>"""
)
_MOST_DPI = 65_535  # JPEG's
_PROFILED = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff")
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Metadata:
    """A picture's metadata; what is None or empty is absent.

    icc_profile: the colour profile.
    exif: EXIF, with the texts of a TIFF, but without orientation, sizes and offsets, which describe the file.
    xmp: an XMP packet, without sizes.
    dpi: resolution in pixels per inch, across and down.
    png_chunks: PNG's colour chunks (`lutra.imaging.formats.png.COLOUR_CHUNKS`), kind and content.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()


def of_image(image: Image.Image, path: str | Path | None = None) -> Metadata:
    """Return the metadata of an opened Pillow image; `path`: its file, where there is one."""
    profile, xmp = image.info.get("icc_profile"), image.info.get("xmp")
    return Metadata(
        icc_profile=profile if isinstance(profile, bytes) and profile else None,
        exif=_exif(image),
        xmp=_XMP_SIZES.sub(b"", xmp) if isinstance(xmp, bytes) and xmp else None,
        dpi=_dpi(image.info.get("dpi")),
        png_chunks=png.colour_chunks(path) if path is not None and image.format == "PNG" else (),
    )


def save_options(metadata: Metadata, suffix: str, *, gray: bool = False) -> dict[str, Any]:
    """Return the arguments of Pillow's `save` that keep as much of the metadata as a format holds.

    PNG, JPEG, WebP and TIFF hold profile, EXIF and XMP (JPEG none longer than a segment), all but WebP the resolution;
    PNG alone holds PNG's colour chunks; BMP holds the resolution, PPM and PGM nothing.

    Args:
        metadata: what to keep.
        suffix: the suffix of the file to write, in small letters.
        gray: whether the pixels are gray: WebP stores those as RGB, which a gray profile does not fit.
    """
    options: dict[str, Any] = {}
    if suffix in _PROFILED:
        profile = metadata.icc_profile
        if profile and not (suffix == ".webp" and gray and profile[16:20] == b"GRAY"):
            options["icc_profile"] = profile
        for key, value, name in (("exif", metadata.exif, b""), ("xmp", metadata.xmp, _XMP_NAME)):
            if value and (len(name + value) < _JPEG_SEGMENT or suffix not in _JPEG):
                options[key] = value
    if metadata.dpi and suffix not in (".webp", ".ppm", ".pgm"):
        options["dpi"] = metadata.dpi
    if suffix == ".png":
        options |= _png_info(metadata, options.pop("xmp", None))
    if suffix in (".tif", ".tiff") and "xmp" in options:  # which Pillow takes as one of the tags
        options["exif"] = _with_xmp(options.get("exif", b""), options.pop("xmp"))
    return options


def loses_colours(metadata: Metadata, suffix: str) -> bool:
    """Return whether a format cannot store what the colours mean: chunks of a PNG define them as other than sRGB."""
    return suffix != ".png" and metadata.icc_profile is None and not png.is_srgb(metadata.png_chunks)


def _png_info(metadata: Metadata, xmp: bytes | None) -> dict[str, Any]:
    info = PngImagePlugin.PngInfo()
    # A profile excludes sRGB, but not the other chunks.
    for kind, content in metadata.png_chunks:
        if not metadata.icc_profile or kind != b"sRGB":
            info.add(kind, content)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    return {"pnginfo": info} if info.chunks else {}


def _with_xmp(exif: bytes, xmp: bytes) -> Image.Exif:
    tags = Image.Exif()
    tags.load(exif)
    tags[_XMP_TAG] = xmp
    return tags


def _dpi(found: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in found)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    possible = 1 <= across <= _MOST_DPI and 1 <= down <= _MOST_DPI  # neither infinite nor NaN
    return (across, down) if possible else None


def _exif(image: Image.Image) -> bytes | None:
    """Return the EXIF to write again; None if it is damaged: a bad EXIF block must not cost the picture."""
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    if not tiff and not image.info.get("exif"):
        return None
    try:
        exif = image.getexif()
        details, _ = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        for tag in list(exif):
            if tag in _STALE or (tiff and tag not in _TIFF_TAGS):
                del exif[tag]
        for tag in _STALE & set(details):
            del details[tag]
        return exif.tobytes() if len(exif) or details else None
    except Exception:  # Pillow's EXIF code lets through whatever a damaged field raises
        return None
