"""Arrays of images: their axes, floats as bytes, the pixels of one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lutra.imaging.decoding import Refused
from lutra.imaging.images import to_pixels

Pixels = NDArray[np.uint8]

Axes = Literal["HW", "HWC", "CHW", "NHW", "NHWC", "NCHW"]
"""The axes of an array of images, in order: N images, C channels, H rows, W columns."""
_MOST_CHANNELS = 4


def axes_of(shape: tuple[int, ...]) -> Axes:
    """Return the axes of an array of that shape, where only one reading is possible: channels are 1 to 4.

    >>> axes_of((8, 3, 48, 48))
    'NCHW'

    Raises:
        ValueError: several readings are possible, or none; names them.
    """
    known: tuple[Axes, ...] = get_args(Axes)
    fitting = [axes for axes in known if _fits(shape, axes)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"images have shape {shape}, which may be {' or '.join(fitting)}: expected axes to state it")
    raise ValueError(
        f"images have shape {shape}, expected one of {', '.join(known)} with 1 to {_MOST_CHANNELS} channels"
    )


def as_batch(images: NDArray[Any], axes: Axes) -> NDArray[Any]:
    """Return a view of images as (N, H, W, C); an axis of images or channels that is missing is added.

    Raises:
        ValueError: the array does not have those axes, is empty, or has more than four channels.
    """
    if axes not in get_args(Axes):
        raise ValueError(f"axes is {axes!r}, expected one of {', '.join(get_args(Axes))}")
    if not _fits(images.shape, axes) or images.size == 0:
        raise ValueError(
            f"images have shape {images.shape}, expected {axes} with 1 to {_MOST_CHANNELS} channels, not empty"
        )
    here = list(axes)
    for axis in "NC":
        if axis not in here:
            images, here = images[None], [axis, *here]
    return images.transpose([here.index(axis) for axis in "NHWC"])


def from_batch(images: NDArray[Any], axes: Axes) -> NDArray[Any]:
    """Return a batch (N, H, W, C) with those axes, contiguous: the inverse of `as_batch`."""
    here = [axis for axis in "NHWC" if axis in axes]
    images = images.reshape([size for size, axis in zip(images.shape, "NHWC", strict=True) if axis in axes])
    return np.ascontiguousarray(images.transpose([here.index(axis) for axis in axes]))


def to_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as bytes: uint8 unchanged, floats 0..1 times 255, rounded half to even.

    Raises:
        ValueError: the array has another type, or values outside of 0..1.
    """
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise ValueError(f"images are {images.dtype}, expected uint8 0..255 or floats 0..1")
    least, most = float(images.min()), float(images.max())
    if not (least >= 0 and most <= 1):  # also if a value is not a number
        raise ValueError(f"images hold values {least:g} to {most:g}, expected floats 0..1 (clip or divide first)")
    levels: NDArray[Any] = np.rint(images.astype(np.promote_types(images.dtype, np.float32)) * 255)
    return levels.astype(np.uint8)


def from_uint8(images: NDArray[np.uint8], like: np.dtype[Any]) -> NDArray[Any]:
    """Return bytes as they are, or divided by 255 where `like` is a type of floats."""
    return images if like == np.uint8 else (images / np.promote_types(like, np.float32).type(255)).astype(like)


def checked(pixels: Pixels) -> Pixels:
    """Return an image's pixels; raises ValueError if they have another type or shape than `restore` takes."""
    known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
    if pixels.dtype != np.uint8 or not known or pixels.size == 0:
        found = f"{pixels.dtype} of shape {pixels.shape}"
        others = "restore_array takes floats and batches, restore_file takes files"
        raise ValueError(f"image is {found}, expected uint8 (H, W) or (H, W, 2..4), not empty; {others}")
    return pixels


def through_pixels(image: Image.Image, work: Callable[[Pixels], Pixels]) -> Image.Image:
    """Return the result of `work` for a Pillow image's pixels, with the ICC profile and EXIF of the image."""
    try:
        made = Image.fromarray(work(to_pixels(image)))
    except Refused as refusal:
        raise ValueError(f"image has {refusal}, expected 8 bits, gray or RGB, with or without alpha") from None
    made.info = {key: image.info[key] for key in ("icc_profile", "exif") if key in image.info}
    return made


def _fits(shape: tuple[int, ...], axes: str) -> bool:
    """Return whether an array of that shape may have those axes."""
    channels = shape[axes.index("C")] if "C" in axes and len(shape) == len(axes) else 1
    return len(shape) == len(axes) and 1 <= channels <= _MOST_CHANNELS
