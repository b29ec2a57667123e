"""Luma in studio swing, gray images as three channels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.imaging.colour import rgb_to_y, to_three_channels


@pytest.mark.parametrize(
    ("colour", "luma"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 235),
        ((255, 0, 0), 16 + 65.481),
        ((0, 255, 0), 16 + 128.553),
        ((0, 0, 255), 16 + 24.966),
    ],
)
def test_primaries(colour: tuple[int, int, int], luma: float) -> None:
    y = rgb_to_y(np.full((2, 3, 3), colour, np.uint8))
    assert y.shape == (2, 3) and y.dtype == np.float64
    np.testing.assert_allclose(y, luma, rtol=1e-14)


@given(st.integers(0, 255))
def test_gray_spans_the_studio_swing(gray: int) -> None:
    y = rgb_to_y(to_three_channels(np.full((1, 1), gray, np.uint8)))
    np.testing.assert_allclose(y, 16 + 219 * gray / 255, rtol=1e-14)


def test_agrees_with_skimage() -> None:
    colour = pytest.importorskip("skimage.color")
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    np.testing.assert_allclose(rgb_to_y(image), colour.rgb2ycbcr(image)[:, :, 0], rtol=1e-12)


def test_gray_is_repeated_and_rgb_left_alone() -> None:
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for image in (gray, gray[:, :, np.newaxis]):
        assert np.array_equal(to_three_channels(image), np.stack([gray] * 3, axis=2))
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(to_three_channels(rgb), rgb)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (4, 4, 4), (1, 4, 4, 3)])
def test_refused_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"found shape"):
        rgb_to_y(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=r"found shape"):
        to_three_channels(np.zeros(shape, np.uint8))


def test_luma_is_of_bytes_only() -> None:
    with pytest.raises(ValueError, match=r"float64, expected \(H, W, 3\) of uint8"):
        rgb_to_y(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
