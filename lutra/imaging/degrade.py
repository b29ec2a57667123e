"""Degradations that the tasks undo: bicubic shrinking, noise, JPEG, motion blur, and a chain of several.

A degradation is plain data with `apply(image, number)` on uint8 images. The number of an image in its set decides its
noise, quality or kernel, so that a set is degraded the same way every time. Images of several planes are degraded
plane by plane: each has its own noise, all have the same kernel. A photograph's JPEG alone holds all colours. Each
degradation states

- `scale`: how many times smaller, per side, it makes an image;
- `per_patch`: whether every patch may be degraded by itself, because its result looks like a part of a degraded image;
- `in_floats`: whether it computes in floating point, which takes more memory.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from lutra.imaging.resize import Variant, imresize

Image = NDArray[np.uint8]
Range = tuple[float, float]

SEED = 0
"""The seed of the degradations that protocols apply."""
INERTIA = 0.05
"""The inertia of a hand-held camera, which trembles at about 10 Hz (25 ms) during an exposure of half a second."""


KERNELS = ("box", "bilinear", "bicubic", "lanczos")
"""The kernels that shrink photographs: MATLAB's bicubic, and Pillow's others, all antialiased."""
_SPARED = 0.25  # share of photographs that one kind of damage spares


def generator_of(seed: int, number: int, stream: int = 0) -> np.random.Generator:
    """Return the random numbers of one image: Philox, counted by its number; `stream` keeps uses apart."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, stream, number]))


def add_noise(image: Image, sigma: float, generator: np.random.Generator) -> Image:
    """Add Gaussian noise, round half to even and clip to 0..255.

    Args:
        image: (H, W) or (H, W, C) uint8; every value gets its own noise.
        sigma: standard deviation in levels.
        generator: draws the noise.
    """
    noise = generator.standard_normal(image.shape, dtype=np.float32) * np.float32(sigma)
    return np.rint(image + noise).clip(0, 255).astype(np.uint8)


def compress(plane: Image, quality: int) -> Image:
    """Encode a gray plane (H, W) uint8 by libjpeg at a quality of 1..100 on its scale, and decode it."""
    if plane.ndim != 2:
        raise ValueError(f"JPEG plane: found shape {plane.shape}, expected (H, W)")
    encoded = io.BytesIO()
    Pillow.fromarray(plane).save(encoded, format="JPEG", quality=quality)
    return np.array(Pillow.open(encoded))


def compress_colours(image: Image, quality: int, *, halved: bool) -> Image:
    """Encode (H, W) or (H, W, 3) uint8 by libjpeg at a quality of 1..100, and decode it.

    `halved`: store the chroma of colours at half the width and height (4:2:0), as cameras do, else at full size.
    """
    if image.ndim == 2:
        return compress(image, quality)
    encoded = io.BytesIO()
    Pillow.fromarray(image).save(encoded, format="JPEG", quality=quality, subsampling=2 if halved else 0)
    return np.array(Pillow.open(encoded))


def gaussian_kernel(along: float, across: float, angle: float) -> NDArray[np.float64]:
    """Return a Gaussian of two standard deviations in pixels, turned by an angle: (K, K) float64 that sum to 1."""
    reach = int(np.ceil(3 * max(along, across))) or 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel: NDArray[np.float64] = np.exp(-0.5 * ((u / max(along, 1e-3)) ** 2 + (v / max(across, 1e-3)) ** 2))
    kernel /= kernel.sum()
    return kernel


def shrink(image: Image, scale: int, kernel: str) -> Image:
    """Shrink (H, W) or (H, W, 3) uint8, whose sides are multiples of the scale, by a kernel of `KERNELS`."""
    if kernel == "bicubic":
        return imresize(image, 1 / scale)
    height, width = (side // scale for side in image.shape[:2])
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling[kernel.upper()]))


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


@dataclass(frozen=True)
class Bicubic:
    """MATLAB's bicubic shrinking; images must have sides that are multiples of the scale."""

    scale: int
    bicubic: Variant = "uint8"
    per_patch: ClassVar[bool] = False
    in_floats: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raise ValueError for a scale or a variant that does not exist."""
        if not 1 <= self.scale <= 4:
            raise ValueError(f"scale: found {self.scale}, expected 1 to 4")
        if self.bicubic not in get_args(Variant):
            raise ValueError(f"bicubic: found {self.bicubic!r}, expected one of {', '.join(get_args(Variant))}")

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W) or (H, W, 3) `scale` times smaller per side."""
        return imresize(image, 1 / self.scale, self.bicubic) if self.scale > 1 else image


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of a standard deviation, in levels, drawn evenly from `sigma` for every image."""

    sigma: Range
    scale: ClassVar[int] = 1
    per_patch: ClassVar[bool] = True
    in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that are no range of sigmas."""
        _check_range("sigma", self.sigma, 0, 255)

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W) or (H, W, 3) with noise."""
        generator = generator_of(seed, number, stream)
        return add_noise(image, generator.uniform(*self.sigma), generator)


@dataclass(frozen=True)
class Jpeg:
    """JPEG of a gray plane, of a quality drawn evenly from the whole numbers of `quality` for every image."""

    quality: tuple[int, int]
    scale: ClassVar[int] = 1
    per_patch: ClassVar[bool] = False
    in_floats: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that are no range of qualities."""
        _check_range("quality", self.quality, 1, 100)

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W), compressed and decoded."""
        least, most = self.quality
        return compress(image, int(generator_of(seed, number, stream).integers(least, most + 1)))


@dataclass(frozen=True)
class MotionBlur:
    """The blur of a random camera path, then noise of `sigma`; see `motion_kernel` for `length` and `inertia`.

    The length is drawn evenly from `length` for every image.
    """

    length: Range = (5.0, 10.0)
    sigma: float = 1.0
    inertia: float = INERTIA
    scale: ClassVar[int] = 1
    per_patch: ClassVar[bool] = False
    in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that are no range of lengths or no sigma."""
        _check_range("length", self.length, 0, 200)
        _check_range("sigma", (self.sigma, self.sigma), 0, 255)
        _check_range("inertia", (self.inertia, self.inertia), 0.01, 10)

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W) or (H, W, 3), blurred."""
        generator = generator_of(seed, number, stream)
        kernel = motion_kernel(generator.uniform(*self.length), generator, self.inertia)
        return add_noise(blur(image, kernel), self.sigma, generator)


@dataclass(frozen=True)
class Photo:
    """What happens to a photograph before it is shown: blur, shrinking, noise, JPEG, each of random strength.

    Every number is drawn evenly for every image. One image in four is spared the blur, one the noise and one the JPEG,
    each drawn by itself, so that one in 64 is only shrunk; at scale 1 such an image is compressed, because the score of
    an image that is left whole would outweigh all others. The kernel that shrinks is one of `KERNELS`. The blur is a
    Gaussian of two standard deviations at a random angle. JPEG holds all colours, half of the images half the chroma.

    blur: the standard deviations, in pixels of the input; in those of the clean image, they are `scale` times as large.
    sigma: the standard deviation of the noise, in levels.
    quality: that of JPEG.
    """

    scale: int
    blur: Range = (0.2, 0.8)
    sigma: Range = (1.0, 15.0)
    quality: tuple[int, int] = (40, 95)
    per_patch: ClassVar[bool] = False
    in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise ValueError for a scale that does not exist, or numbers that are no ranges."""
        Bicubic(self.scale)
        _check_range("blur", self.blur, 0, 10)
        _check_range("sigma", self.sigma, 0, 255)
        _check_range("quality", self.quality, 1, 100)

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W) or (H, W, 3) `scale` times smaller per side, as a photograph is found."""
        generator = generator_of(seed, number, stream)
        blurred, noisy, compressed = generator.random(3) >= _SPARED
        compressed |= self.scale == 1 and not (blurred or noisy)
        along, across = generator.uniform(*self.blur, 2) * self.scale
        angle = generator.uniform(0, np.pi)
        if blurred:
            image = blur(image, gaussian_kernel(along, across, angle))
        kernel = KERNELS[generator.integers(len(KERNELS))]
        image = shrink(image, self.scale, kernel) if self.scale > 1 else image
        sigma = generator.uniform(*self.sigma)
        quality = int(generator.integers(self.quality[0], self.quality[1] + 1))
        halved = bool(generator.random() < 0.5)
        if noisy:
            image = add_noise(image, sigma, generator)
        return compress_colours(image, quality, halved=halved) if compressed else image


Degradation = Bicubic | Noise | Jpeg | MotionBlur | Photo

DEGRADATIONS: dict[str, type[Degradation]] = {kind.__name__: kind for kind in get_args(Degradation)}
"""Every degradation by its name."""


def _check_range(name: str, values: Range, least: float, most: float) -> None:
    if not least <= values[0] <= values[1] <= most:
        raise ValueError(f"{name}: found {_shown(values)}, expected within {least} to {most}, the least first")


def _shown(values: Range) -> str:
    return f"{values[0]:g}" if values[0] == values[1] else f"{values[0]:g} to {values[1]:g}"
