"""The details of rich dead leaves: gratings, lattices, strokes, lines, shading, blur of depth.

Photographs have long edges, regular structures and print, which plain dead leaves lack ("VibrantLeaves", arXiv
2504.10201, adds textures and depth of field).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Random = np.random.Generator
Pixels = NDArray[np.uint8]

_GLYPHS, _GRID = 64, 16  # strokes that look like letters, and the sides of each, pixels
_PATTERNED = 0.3  # share of leaves with a grating, a lattice, a chequerboard or strokes
_KINDS = 4
_MOST_LINES = 24
_DEEP = 0.5  # share of images with blur of depth


def enrich(image: Pixels, owner: NDArray[np.int32], palette: Pixels, oversampling: int, generator: Random) -> Pixels:
    """Return a painted canvas with more details.

    Args:
        image: (side, side, 3) uint8, an image as plain dead leaves are.
        owner: the number of the leaf seen at each pixel, the frontmost first: (side, side).
        palette: the photograph that gives the colours: (H, W, 3) uint8.
        oversampling: pixels of the canvas for one of the final image, along a side.
        generator: draws everything.

    Returns:
        (side, side, 3) uint8.
    """
    ink = _colours(palette, int(owner.max()) + 1, generator)[owner]
    shown = _patterns(owner, oversampling, generator)[..., None]
    mixed = image + (ink - image) * shown
    mixed *= _shading(len(owner), generator)[..., None]
    whole = _lines(Image.fromarray(_rounded(mixed)), palette, oversampling, generator)
    return _blurred_by_depth(whole, owner, oversampling, generator)


def _colours(palette: Pixels, count: int, generator: Random) -> NDArray[np.float32]:
    """Return colours of pixels of the photograph, anywhere: (N, 3)."""
    rows, columns = (generator.integers(side, size=count) for side in palette.shape[:2])
    return palette[rows, columns].astype(np.float32)


def _patterns(owner: NDArray[np.int32], oversampling: int, generator: Random) -> NDArray[np.float32]:
    """Return how much of a second colour each pixel has, 0..1: regular patterns with sharp edges, some leaves only."""
    count, side = int(owner.max()) + 1, len(owner)
    angle = generator.uniform(0, np.pi, count)
    angle = np.where(generator.random(count) < 0.4, np.round(angle / (np.pi / 2)) * (np.pi / 2), angle)  # many upright
    period = oversampling * 2 ** generator.uniform(1.5, 5, count)
    duty, kind = generator.uniform(0.15, 0.6, count), generator.integers(_KINDS, size=count)
    strength = (generator.random(count) < _PATTERNED) * generator.uniform(0.3, 1, count)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    cos, sin, scale, part, sort, amount = (
        values.astype(np.float32)[owner] for values in (np.cos(angle), np.sin(angle), period, duty, kind, strength)
    )
    along, across = (x * cos + y * sin) / scale, (y * cos - x * sin) / scale
    column, row = np.floor(along), np.floor(across)
    u, v = along - column, across - row
    lines = u < part
    glyph = (column * 7 + row * 13 + owner * 31).astype(np.int64) % _GLYPHS
    strokes = _strokes(generator)[glyph, (v * _GRID).astype(np.int64) % _GRID, (u * _GRID).astype(np.int64) % _GRID]
    shapes = [lines, lines | (v < part), (u < 0.5) ^ (v < 0.5), strokes & (row % 2 == 0)]
    shown: NDArray[np.float32] = np.choose(sort.astype(np.int64), shapes) * amount
    return shown


def _strokes(generator: Random) -> NDArray[np.bool_]:
    """Return drawings of a few strokes each, as letters are: (_GLYPHS, _GRID, _GRID)."""
    glyphs = []
    for points, bent in zip(generator.integers(2, _GRID - 2, (_GLYPHS, 4, 2)), generator.random(_GLYPHS), strict=True):
        drawn = Image.new("1", (_GRID, _GRID))
        pen = ImageDraw.Draw(drawn)
        corners = [(int(x), int(y)) for x, y in points]
        pen.line(corners if bent < 0.5 else [corners[0], (corners[0][0], corners[1][1]), corners[1]], fill=1, width=2)
        if bent > 0.7:
            (left, right), (top, bottom) = (sorted(ends) for ends in zip(*corners[2:], strict=True))
            pen.ellipse((left, top, right + 2, bottom + 2), outline=1, width=2)
        glyphs.append(np.asarray(drawn))
    return np.array(glyphs)


def _shading(side: int, generator: Random) -> NDArray[np.float32]:
    """Return smooth light and shadow, a factor for each pixel."""
    coarse = generator.normal(1, 0.15, (4, 4)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)).clip(0.4, 1.4)


def _lines(image: Image.Image, palette: Pixels, oversampling: int, generator: Random) -> Image.Image:
    """Draw long thin lines across an image, as wires, masts and twigs are."""
    pen, side = ImageDraw.Draw(image), image.width
    count = int(generator.integers(_MOST_LINES + 1))
    inks = _colours(palette, count, generator).astype(np.uint8)
    ends = generator.uniform(-0.2, 1.2, (count, 3, 2)) * side
    widths = np.maximum(1, np.rint(oversampling * 2 ** generator.uniform(-1, 1.5, count))).astype(int)
    for ink, (first, middle, last), width in zip(inks, ends, widths, strict=True):
        straight = generator.random() < 0.7
        points = [first, last] if straight else [first, middle, last]
        pen.line([(float(x), float(y)) for x, y in points], fill=tuple(map(int, ink)), width=int(width))
    return image


def _blurred_by_depth(image: Image.Image, owner: NDArray[np.int32], oversampling: int, generator: Random) -> Pixels:
    """Blur the leaves behind a depth, or those before it, as a lens does; half of the images stay sharp."""
    deep, share, behind = generator.random() < _DEEP, generator.uniform(0.3, 0.9), generator.random() < 0.7
    radius = oversampling * generator.uniform(0.7, 4)
    pixels = np.asarray(image)
    if not deep:
        return pixels
    depth = np.quantile(owner, share)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))
    away = (owner > depth) if behind else (owner < depth)
    return np.where(away[..., None], soft, pixels)


def _rounded(values: NDArray[np.float32]) -> Pixels:
    return (values + 0.5).clip(0, 255).astype(np.uint8)
