"""What a picture file says besides its pixels, read from one file and written into another as far as it can hold it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from lutra.imaging import png

_JPEG_SEGMENT = 65_533
"""Bytes: JPEG cannot hold longer EXIF or XMP."""
# EXIF that describes the file it was in: sizes there would be wrong after restoring, and the picture is upright.
_STALE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.Base.Orientation)
_TIFF_TAGS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432)
"""TIFF's own texts: document, description, maker, model, page, software, time, artist, host, copyright."""
_PROFILED = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff")
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Metadata:
    """A picture's metadata; what is None or empty is absent.

    icc_profile: the colour profile. exif: EXIF without orientation and sizes. xmp: an XMP packet.
    dpi: resolution in pixels per inch, across and down.
    png_chunks: PNG's colour chunks (`lutra.imaging.png.COLOUR_CHUNKS`), kind and content.
    tiff_tags: TIFF's texts, number and value.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    tiff_tags: tuple[tuple[int, str], ...] = ()


def of_image(image: Image.Image, path: str | Path | None = None) -> Metadata:
    """Return the metadata of an opened Pillow image; `path`: its file, where there is one."""
    profile, xmp = image.info.get("icc_profile"), image.info.get("xmp")
    return Metadata(
        icc_profile=profile if isinstance(profile, bytes) and profile else None,
        exif=_exif(image),
        xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        dpi=_dpi(image.info.get("dpi")),
        png_chunks=png.colour_chunks(path) if path is not None and image.format == "PNG" else (),
        tiff_tags=_texts(image) if isinstance(image, TiffImagePlugin.TiffImageFile) else (),
    )


def save_options(metadata: Metadata, suffix: str, *, gray: bool = False) -> dict[str, Any]:
    """Return the arguments of Pillow's `save` that keep as much of the metadata as a format holds.

    PNG, JPEG, WebP and TIFF hold profile, EXIF and XMP (JPEG none longer than a segment), all but WebP the resolution;
    PNG alone holds PNG's colour chunks, TIFF alone TIFF's texts; BMP holds the resolution, PPM and PGM nothing.

    Args:
        metadata: what to keep.
        suffix: of the file to write, in small letters.
        gray: whether the pixels are gray: WebP stores those as RGB, which a profile for gray does not fit.
    """
    options: dict[str, Any] = {}
    if suffix in _PROFILED:
        profile = metadata.icc_profile
        if profile and not (suffix == ".webp" and gray and profile[16:20] == b"GRAY"):
            options["icc_profile"] = profile
        for key, value in (("exif", metadata.exif), ("xmp", metadata.xmp)):
            if value and (len(value) < _JPEG_SEGMENT or suffix not in _JPEG):
                options[key] = value
    if metadata.dpi and suffix not in (".webp", ".ppm", ".pgm"):
        options["dpi"] = metadata.dpi
    if suffix == ".png":
        options |= _png_info(metadata, options.pop("xmp", None))
    if suffix in (".tif", ".tiff"):
        options |= _tiff_info(metadata, options.pop("xmp", None))
    return options


def _png_info(metadata: Metadata, xmp: bytes | None) -> dict[str, Any]:
    info = PngImagePlugin.PngInfo()
    # A profile and these chunks exclude each other, but for cICP and its companions.
    for kind, content in metadata.png_chunks:
        if not metadata.icc_profile or kind not in (b"sRGB",):
            info.add(kind, content)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    return {"pnginfo": info} if info.chunks else {}


def _tiff_info(metadata: Metadata, xmp: bytes | None) -> dict[str, Any]:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for number, value in metadata.tiff_tags:
        tags[number] = value
    if xmp:
        tags.tagtype[700] = 1  # bytes
        tags[700] = xmp
    return {"tiffinfo": tags} if len(tags) else {}


def _dpi(found: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in found)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def _texts(image: TiffImagePlugin.TiffImageFile) -> tuple[tuple[int, str], ...]:
    tags = ((number, image.tag_v2.get(number)) for number in _TIFF_TAGS)
    return tuple((number, value) for number, value in tags if isinstance(value, str) and value)


def _exif(image: Image.Image) -> bytes | None:
    """Return the EXIF to write again; None if it is damaged: a bad EXIF block must not cost the picture."""
    if image.format == "TIFF" or not image.info.get("exif"):
        return None
    try:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif)
        for tag in _STALE:
            exif.pop(tag, None)
            details.pop(tag, None)
        return exif.tobytes() if len(exif) or details else None
    except Exception:  # Pillow's EXIF code lets through whatever a damaged field raises
        return None
