"""Blur: Gaussian kernels, random camera paths, and their application to images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

INERTIA = 0.05
"""The inertia of a hand-held camera, which trembles at about 10 Hz (25 ms) during an exposure of half a second."""


def gaussian_kernel(along: float, across: float, angle: float) -> NDArray[np.float64]:
    """Return a Gaussian of two standard deviations in pixels, turned by an angle: (K, K) float64 that sum to 1."""
    reach = int(np.ceil(3 * max(along, across))) or 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel: NDArray[np.float64] = np.exp(-0.5 * ((u / max(along, 1e-3)) ** 2 + (v / max(across, 1e-3)) ** 2))
    kernel /= kernel.sum()
    return kernel


def motion_kernel(
    length: float, generator: np.random.Generator, inertia: float = INERTIA, samples: int = 256
) -> NDArray[np.float64]:
    """Return the blur of a random camera path: a walk with momentum, drawn with bilinear weights.

    The velocity is an Ornstein-Uhlenbeck process, a simple form of the random trajectories of Boracchi and Foi
    ("Modeling the performance of image restoration from motion blur", IEEE TIP 2012).

    Args:
        length: the length along the path, in pixels.
        generator: draws the path.
        inertia: the time in which the camera forgets its velocity, as a share of the exposure.
        samples: the number of points along the path.

    Returns:
        (K, K) float64, K odd, weights >= 0 that sum to 1, their centre of mass at the centre.
    """
    kept = np.exp(-1 / (inertia * samples))
    pushes = generator.standard_normal((samples, 2))
    velocity = pushes.copy()
    for step in range(1, samples):
        velocity[step] = kept * velocity[step - 1] + np.sqrt(1 - kept**2) * pushes[step]
    path = velocity.cumsum(axis=0)
    travelled = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    path = (path - path.mean(axis=0)) * (length / travelled)
    reach = int(np.ceil(np.abs(path).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    corner = np.floor(path).astype(np.int64)
    part = path - corner
    for row in (0, 1):
        for column in (0, 1):
            weight = (part[:, 0] if row else 1 - part[:, 0]) * (part[:, 1] if column else 1 - part[:, 1])
            np.add.at(kernel, (corner[:, 0] + row + reach, corner[:, 1] + column + reach), weight)
    kernel /= kernel.sum()
    return kernel


def blur(image: Image, kernel: NDArray[np.float64]) -> Image:
    """Correlate every plane of (H, W) or (H, W, C) uint8 with a kernel of odd sides; borders repeat; rounded."""
    reach_y, reach_x = kernel.shape[0] // 2, kernel.shape[1] // 2
    planes = np.atleast_3d(image).astype(np.float32)
    height, width = planes.shape[:2]
    padded = np.pad(planes, ((reach_y, reach_y), (reach_x, reach_x), (0, 0)), mode="edge")
    total = np.zeros_like(planes)
    for row, column in np.argwhere(kernel > 1e-6):
        total += np.float32(kernel[row, column]) * padded[row : row + height, column : column + width]
    return np.rint(total).clip(0, 255).astype(np.uint8).reshape(image.shape)
