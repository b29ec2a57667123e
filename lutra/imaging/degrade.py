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
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from lutra.imaging.blurring import INERTIA, blur, gaussian_kernel, motion_kernel
from lutra.imaging.resize import Variant, imresize

Image = NDArray[np.uint8]
Unclipped = NDArray[np.int16]
"""An image whose values may lie beyond 0..255."""
Range = tuple[float, float]

SEED = 0
"""The seed of the degradations that protocols apply."""

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


def add_papers_noise(image: Image, sigma: float) -> Unclipped:
    """Add Gaussian noise as the papers' code draws it: NumPy's RandomState with seed 0, on pixels / 255.

    Args:
        image: (H, W) or (H, W, C) uint8; every value gets its own noise.
        sigma: standard deviation in levels.

    Returns:
        The same shape, rounded half to even, not clipped.
    """
    noise = np.random.RandomState(0).normal(0, sigma / 255, np.atleast_3d(image).shape).reshape(image.shape)
    levels: Unclipped = np.rint(np.float32(255) * (image / 255 + noise).astype(np.float32)).astype(np.int16)
    return levels


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


def shrink(image: Image, scale: int, kernel: str) -> Image:
    """Shrink (H, W) or (H, W, 3) uint8, whose sides are multiples of the scale, by a kernel of `KERNELS`."""
    if kernel == "bicubic":
        return imresize(image, 1 / scale)
    height, width = (side // scale for side in image.shape[:2])
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling[kernel.upper()]))


@dataclass(frozen=True)
class Bicubic:
    """MATLAB's bicubic shrinking; images must have sides that are multiples of the scale, of 3 for 1.5."""

    scale: float
    bicubic: Variant = "uint8"
    per_patch: ClassVar[bool] = False
    in_floats: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raise ValueError for a scale or a variant that does not exist."""
        if not 1 <= self.scale <= 4:
            raise ValueError(f"scale: found {self.scale:g}, expected 1 to 4")
        if self.bicubic not in get_args(Variant):
            raise ValueError(f"bicubic: found {self.bicubic!r}, expected one of {', '.join(get_args(Variant))}")

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W) or (H, W, 3) `scale` times smaller per side."""
        return imresize(image, 1 / self.scale, self.bicubic) if self.scale > 1 else image


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of a standard deviation, in levels, drawn evenly from `sigma` for every image.

    noise: "file": rounded and clipped; "paper": as papers draw it for evaluation, not clipped (`unclipped`).
    """

    sigma: Range
    noise: Literal["file", "paper"] = "file"
    scale: ClassVar[int] = 1
    per_patch: ClassVar[bool] = True
    in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that are no range of sigmas, or a noise that is not known."""
        _check_range("sigma", self.sigma, 0, 255)
        if self.noise not in ("file", "paper"):
            raise ValueError(f"noise: found {self.noise!r}, expected file or paper")

    def apply(self, image: Image, number: int, seed: int = SEED, stream: int = 0) -> Image:
        """Return (H, W) or (H, W, 3) with noise, as a file needs it."""
        generator = generator_of(seed, number, stream)
        return add_noise(image, generator.uniform(*self.sigma), generator)

    def unclipped(self, image: Image, number: int) -> Unclipped:
        """Return (H, W) or (H, W, 3) with the noise of papers."""
        return add_papers_noise(image, generator_of(SEED, number).uniform(*self.sigma))


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
