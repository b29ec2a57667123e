"""Colour: the luma that PSNR-Y and SSIM are measured on, a change of luma alone, gray images as three channels."""

import numpy as np
from numpy.typing import NDArray

LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
"""The weights of red, green and blue of 0..255 in the luma of ITU-R BT.601, studio swing."""
BLACK = 16.0
"""The luma of black."""
SWING = 219 / 255
"""What a level of gray, 0..255, is in luma, 16..235."""


def rgb_to_y(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luma of ITU-R BT.601, studio swing: what MATLAB's `rgb2ycbcr` computes, not rounded.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) float64 in 16..235.

    Raises:
        ValueError: the image is not as above.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"shape {image.shape} of {image.dtype}"
        raise ValueError(f"RGB image: found {found}, expected (H, W, 3) of uint8")
    luma = np.full(image.shape[:2], BLACK)
    for channel, weight in enumerate(LUMA):
        luma += weight * image[:, :, channel]
    return luma


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luma of an image, (H, W) gray or (H, W, 3) RGB: (H, W) in 16..235, not rounded."""
    return rgb_to_y(image) if image.ndim == 3 else BLACK + image.astype(np.float64) * SWING


def with_luma(image: NDArray[np.uint8], change: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Change the luma of an image and keep its chroma: Cb and Cr of every pixel stay as they are.

    In YCbCr of BT.601, studio swing, red, green and blue each change by 255/219 of the change of Y.

    Args:
        image: (H, W) gray or (H, W, 3) RGB, uint8.
        change: the change of Y, in its levels of 16..235: (H, W).

    Returns:
        The same shape, uint8, clipped to 0..255.
    """
    grown = change * (255 / 219)
    return np.clip(np.rint(image + (grown if image.ndim == 2 else grown[:, :, None])), 0, 255).astype(np.uint8)


def to_three_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a gray image repeated to three channels, or an RGB image unchanged.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3).

    Returns:
        (H, W, 3), a view if nothing had to be copied.

    Raises:
        ValueError: the image has another shape.
    """
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"image: found shape {image.shape}, expected (H, W), (H, W, 1) or (H, W, 3)")
    return np.broadcast_to(image, (*image.shape[:2], 3))
