"""Synthetic training images: dead leaves, opaque random shapes of all sizes that hide one another.

Where radii have the density r**-3 the images look alike at every scale, as photographs do (Lee, Mumford and Huang,
IJCV 41, 2001; Baradad et al., "Learning to see by looking at noise", 2021). Colours come from a photograph, and leaves
carry gradients and textures; networks trained on such images alone restore photographs nearly as well as ones
trained on photographs (Achddou et al., SSVM 2021, and "VibrantLeaves", arXiv 2504.10201).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.degrade import generator_of
from lutra.imaging.resize import imresize
from pipeline.data.leaves.covering import Leaves, cover
from pipeline.data.leaves.details import enrich

STREAM = 0x1EAF
"""Third word of the random generator's counter; it keeps these numbers apart from those of other uses of a seed."""

_AWAY = np.array([0, 24, 16])[:, None, None]  # pixels in the photograph: distance of a leaf's colours from its first

Random = np.random.Generator


def draw(leaves: Leaves, palette: NDArray[np.uint8], number: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw one image, a function of the arguments alone.

    Args:
        leaves: what to draw.
        palette: photograph that the colours are taken from: (H, W, 3) uint8.
        number: which of the seed's images, 0 or more.
        seed: 0 or more.

    Returns:
        (leaves.size, leaves.size, 3) uint8.

    Raises:
        ValueError: the palette is not as above or empty, `number` or `seed` is negative.
    """
    if palette.dtype != np.uint8 or palette.ndim != 3 or palette.shape[2] != 3 or palette.size == 0:
        found = f"shape {palette.shape} of {palette.dtype}"
        raise ValueError(f"palette: found {found}, expected (H, W, 3) of uint8, not empty")
    if min(number, seed) < 0:
        raise ValueError(f"number and seed: found {number} and {seed}, expected 0 or more")
    generator = generator_of(seed, number, STREAM)
    owner, placed = cover(leaves, generator)
    image = _paint(leaves, palette, owner, placed, generator)
    if leaves.rich:
        image = enrich(image, owner, palette, leaves.oversampling, generator_of(seed, number, STREAM + 1))
    return imresize(image, Fraction(1, leaves.oversampling))


def _paint(
    leaves: Leaves, palette: NDArray[np.uint8], owner: NDArray[np.int32], placed: NDArray[Any], generator: Random
) -> NDArray[np.uint8]:
    """Colour the canvas: (side, side, 3) uint8. Leaves shade from a first colour to a second, textures to a third."""
    count, side = len(placed), len(owner)
    seen = owner.ravel().astype(np.intp)

    def spread(values: NDArray[Any]) -> NDArray[np.float32]:
        """Return at each pixel the value of its leaf."""
        return values.astype(np.float32).take(seen)

    def chance(share: float) -> NDArray[np.bool_]:
        return generator.random(count) < share

    def directions() -> NDArray[np.float64]:
        angle = generator.uniform(0, 2 * np.pi, count)
        return np.stack([np.cos(angle), np.sin(angle)])

    y, x = np.mgrid[:side, :side].reshape(2, -1).astype(np.float32)
    cos, sin = directions() * chance(leaves.shaded) / (2 * placed["length"])
    shade = (x - spread(placed["x"])) * spread(cos) + (y - spread(placed["y"])) * spread(sin)
    shade = np.clip(shade + 0.5 * spread(cos != 0), 0, 1)

    cos, sin = map(spread, directions())
    along, across = x * cos + y * sin, y * cos - x * sin
    noise, octaves = _noise(generator, side), generator.uniform(1, 5, count)
    drawn_out = np.where(chance(0.5), 10 ** generator.random(count), 1)
    row, column = generator.integers(side, size=(2, count)).take(seen, axis=1)
    row = _modulo((row + across * spread(drawn_out)).astype(np.int32), side)
    column = _modulo((column + along).astype(np.int32), side)
    grain = noise[generator.integers(len(noise), size=count).take(seen), row, column]
    stripes = np.sin(across * spread(2 * np.pi / (leaves.oversampling * 2**octaves)) + 1.5 * grain)
    rough = chance(leaves.rough) * generator.uniform(0.1, 0.4, count)
    striped = chance(leaves.striped) * generator.uniform(0.1, 0.6, count)
    detail = grain * spread(rough) + stripes * spread(striped) + 0.5 * spread(rough + striped > 0)

    first, second, third = _colours(leaves, palette, placed, generator)
    image = first.take(seen, axis=0) + (second - first).take(seen, axis=0) * shade[:, None]
    image += (third.take(seen, axis=0) - image) * np.clip(detail, 0, 1)[:, None]
    rounded: NDArray[np.uint8] = (image + 0.5).astype(np.uint8)  # weighted means of colours: within 0..255
    return rounded.reshape(side, side, 3)


def _modulo(values: NDArray[np.int32], divisor: int) -> NDArray[np.int32]:
    """Return `values % divisor`: NumPy's floor division by one number is many times as fast as its remainder."""
    return values - values // divisor * divisor


def _colours(
    leaves: Leaves, palette: NDArray[np.uint8], placed: NDArray[Any], generator: Random
) -> NDArray[np.float32]:
    """Return three colours for each leaf, (3, N, 3): the photograph's where the leaf lies, and at two pixels nearby."""
    height, width = palette.shape[:2]
    centre = np.stack([placed["y"], placed["x"]]) / leaves.oversampling + generator.uniform(0, [[height], [width]])
    centre += generator.normal(0, leaves.scatter, centre.shape)
    away = generator.normal(0, _AWAY, (3, *centre.shape))
    period = 2 * np.array([[height], [width]])
    place = np.floor(centre + away).astype(np.int64) % period
    row, column = np.minimum(place, period - 1 - place).swapaxes(0, 1)  # mirrored at the borders
    colours: NDArray[np.float32] = palette[row, column].astype(np.float32)
    return colours


@lru_cache(1)
def _falls(side: int) -> list[NDArray[np.float64]]:
    """Return what the three amplitudes of white noise are divided by: powers of each frequency."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = np.inf
    return [frequency**power for power in (0.75, 1.1, 1.5)]


def _noise(generator: Random, side: int) -> NDArray[np.float32]:
    """Return periodic noise of variance 1, (3, side, side): amplitudes fall as frequency**0.75, **1.1 and **1.5."""
    white = np.fft.rfft2(generator.standard_normal((side, side), np.float32))
    noise = np.stack([np.fft.irfft2(white / fall, (side, side)) for fall in _falls(side)])
    scaled: NDArray[np.float32] = (noise / noise.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    return scaled
