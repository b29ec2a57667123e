"""imresize equals MATLAB's: published LR files byte for byte, a literal transcription, committed goldens."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from lutra.imaging.folders import find_images
from lutra.imaging.images import read_image
from lutra.imaging.resize import Variant, imresize, modcrop

Folder = Callable[[str], Path]
Bytes = NDArray[np.uint8]

SCALES = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(2), Fraction(3), Fraction(4)]
MORE_SCALES = [*SCALES, Fraction(1), Fraction(2, 3), Fraction(3, 2), Fraction(5, 4), Fraction(3, 8)]
VARIANTS: list[Variant] = ["uint8", "double"]


def images(colour: bool = False) -> st.SearchStrategy[Bytes]:
    shape = hnp.array_shapes(min_dims=2, max_dims=3 if colour else 2, min_side=2, max_side=17)
    arrays: st.SearchStrategy[Bytes] = hnp.arrays(np.uint8, shape)
    return arrays


def contrasts() -> Bytes:
    """12 x 12 of steep edges, so that overshoot is clipped and the two variants differ."""
    r, c = np.mgrid[:12, :12]
    bright = (13 * r * r + 7 * c * c + 5 * r * c) % 11 < 5
    return np.asarray(np.where(bright, 255 - r * c, r + 2 * c), np.uint8)


# Computed by this code when it gave the published LR images byte for byte.
GOLDENS: list[tuple[Fraction, Variant, list[list[int]]]] = [
    (
        Fraction(1, 2),
        "uint8",
        [
            [177, 90, 162, 88, 28, 174],
            [85, 156, 184, 165, 85, 36],
            [44, 150, 105, 68, 71, 16],
            [0, 64, 68, 97, 129, 53],
            [23, 81, 151, 154, 119, 74],
            [174, 23, 80, 124, 80, 108],
        ],
    ),
    (
        Fraction(1, 2),
        "double",
        [
            [177, 90, 162, 89, 28, 174],
            [85, 156, 183, 165, 85, 35],
            [43, 150, 105, 68, 71, 16],
            [0, 64, 68, 97, 129, 52],
            [23, 81, 151, 154, 119, 74],
            [174, 23, 80, 124, 80, 108],
        ],
    ),
    (
        Fraction(1, 3),
        "uint8",
        [
            [138, 153, 94, 104],
            [78, 137, 103, 31],
            [17, 99, 118, 74],
            [101, 84, 123, 96],
        ],
    ),
    (
        Fraction(1, 3),
        "double",
        [
            [139, 153, 94, 104],
            [76, 137, 103, 31],
            [16, 99, 118, 74],
            [101, 84, 123, 95],
        ],
    ),
    (
        Fraction(1, 4),
        "uint8",
        [
            [137, 132, 84],
            [60, 109, 61],
            [78, 112, 101],
        ],
    ),
    (
        Fraction(1, 4),
        "double",
        [
            [136, 132, 84],
            [56, 109, 61],
            [78, 112, 101],
        ],
    ),
]


def transcribed(image: Bytes, scale: float, variant: Variant) -> Bytes:
    """MATLAB's `imresize`, line by line: every output has its own weights and 1-based indices."""

    def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.abs(x)
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return near * (x <= 1) + far * ((x > 1) & (x <= 2))

    def along_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
        length = len(values)
        shrink = min(scale, 1.0)
        x = np.arange(1, ceil(length * scale - 1e-9) + 1)
        u = x / scale + 0.5 * (1 - 1 / scale)
        width = 4 / shrink
        indices = np.floor(u - width / 2)[:, None] + np.arange(ceil(width) + 2)
        weights = shrink * cubic(shrink * (u[:, None] - indices))
        weights /= weights.sum(1, keepdims=True)
        mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])
        taps = values[mirror[np.mod(indices.astype(int) - 1, 2 * length)]]
        return np.asarray((weights[:, :, None] * taps).sum(1))

    between = along_rows(image.astype(np.float64))
    if variant == "uint8":
        between = np.clip(np.floor(between + 0.5), 0, 255)
    return np.clip(np.floor(along_rows(between.T).T + 0.5), 0, 255).astype(np.uint8)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("folder", "scale", "variant"),
    [
        ("uint8_x4", 4, "uint8"),
        ("double_x4", 4, "double"),
        # Whatever its name says, the published x2 files were made from uint8 images.
        ("double_x2", 2, "uint8"),
    ],
)
def test_published_lr_images(reference: Folder, dataset: Folder, folder: str, scale: int, variant: Variant) -> None:
    paths = [entry.target for entry in find_images(reference(f"resize/{folder}"))]
    assert len(paths) == 5
    for path in paths:
        hr = modcrop(read_image(dataset("Set5") / path.name), scale)
        assert np.array_equal(imresize(hr, Fraction(1, scale), variant), read_image(path)), path.name


@pytest.mark.parametrize(("scale", "variant", "expected"), GOLDENS)
def test_goldens(scale: Fraction, variant: Variant, expected: list[list[int]]) -> None:
    assert imresize(contrasts(), scale, variant).tolist() == expected


@pytest.mark.parametrize("scale", MORE_SCALES)
@pytest.mark.parametrize("variant", VARIANTS)
@given(image=images())
def test_equals_the_transcription(scale: Fraction, variant: Variant, image: Bytes) -> None:
    got, expected = imresize(image, scale, variant), transcribed(image, float(scale), variant)
    assert got.shape == expected.shape
    difference = np.abs(got.astype(int) - expected)
    if {scale.numerator, scale.denominator} <= {1, 2, 4, 8}:
        assert not difference.any()
    else:
        # Weights are no binary fractions: an exact half falls to either side, at most in both passes.
        assert difference.max() <= 2


@pytest.mark.parametrize("scale", MORE_SCALES)
@given(value=st.integers(0, 255), height=st.integers(1, 20), width=st.integers(1, 20))
def test_constant_stays_constant(scale: Fraction, value: int, height: int, width: int) -> None:
    for variant in VARIANTS:
        resized = imresize(np.full((height, width), value, np.uint8), scale, variant)
        assert resized.shape == (ceil(height * scale), ceil(width * scale))
        assert (resized == value).all()


@pytest.mark.parametrize("scale", [Fraction(1, 4), Fraction(1, 2), Fraction(2), Fraction(4)])
@given(image=images())
def test_double_variant_commutes_with_transposition(scale: Fraction, image: Bytes) -> None:
    assert np.array_equal(imresize(image.T, scale, "double"), imresize(image, scale, "double").T)


@pytest.mark.parametrize("variant", VARIANTS)
@given(image=images())
def test_commutes_with_mirroring(variant: Variant, image: Bytes) -> None:
    image = modcrop(image, 2)
    for axis in (0, 1):
        mirrored = np.flip(imresize(image, 0.5, variant), axis)
        assert np.array_equal(imresize(np.flip(image, axis), 0.5, variant), mirrored)


@given(image=images(colour=True))
def test_channels_are_resized_one_by_one(image: Bytes) -> None:
    planes = image.reshape(*image.shape[:2], -1)
    expected = [imresize(planes[:, :, channel], 0.25) for channel in range(planes.shape[2])]
    assert np.array_equal(imresize(planes, 0.25), np.stack(expected, axis=2))


@given(image=images(colour=True))
def test_scale_one_changes_nothing(image: Bytes) -> None:
    for variant in VARIANTS:
        assert np.array_equal(imresize(image, 1, variant), image)


def test_images_of_many_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 256, (803, 523), dtype=np.uint8)
    for scale in (0.25, 2.0):
        assert np.array_equal(imresize(image, scale), transcribed(image, scale, "uint8"))


def test_a_float_is_the_fraction_it_stands_for() -> None:
    assert np.array_equal(imresize(contrasts(), 1 / 3), imresize(contrasts(), Fraction(1, 3)))


def test_result_is_contiguous_and_input_untouched() -> None:
    image = contrasts()
    assert imresize(image, 0.5).flags.c_contiguous
    assert np.array_equal(image, contrasts())


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 0.001, 2**0.5, 65])
def test_refused_scales(scale: float) -> None:
    with pytest.raises(ValueError, match=r"scale: found .*, expected"):
        imresize(contrasts(), scale)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8), np.zeros((1, 2, 3, 4), np.uint8)]
)
def test_refused_images(image: Bytes) -> None:
    with pytest.raises(ValueError, match=r"expected .* of uint8"):
        imresize(image, 0.5)


def test_refused_variant() -> None:
    with pytest.raises(ValueError, match="variant: found 'single', expected"):
        imresize(contrasts(), 0.5, "single")  # type: ignore[arg-type]


def test_modcrop_keeps_the_top_left_multiple() -> None:
    image = np.random.default_rng(0).integers(0, 256, (11, 9, 3), dtype=np.uint8)
    assert np.array_equal(modcrop(image, 4), image[:8, :8])
    assert modcrop(image[:8, :8], 4).shape == (8, 8, 3)
    assert modcrop(image, 1).shape == image.shape


@pytest.mark.parametrize(("scale", "message"), [(0, "expected 1 or more"), (10, "found 9 x 11 pixels")])
def test_modcrop_refuses(scale: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        modcrop(np.zeros((11, 9), np.uint8), scale)
