"""PSNR and SSIM: definitions, agreement with scikit-image, and the scores published with the reference images."""

from collections.abc import Callable
from fractions import Fraction
from math import log10
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.imaging.colour import rgb_to_y
from lutra.imaging.folders import find_images
from lutra.imaging.images import read_image
from lutra.imaging.metrics import CEILING, psnr, psnr_b, psnr_y, ssim_y
from lutra.imaging.resize import imresize, modcrop

Folder = Callable[[str], Path]
Bytes = NDArray[np.uint8]


def pair(*shape: int) -> tuple[Bytes, Bytes]:
    """A smooth image and a noisy copy."""
    generator = np.random.default_rng(0)
    ramp = np.add.outer(*(np.linspace(20, 110, side) for side in shape[:2]))
    image = np.broadcast_to(np.reshape(ramp, ramp.shape + (1,) * (len(shape) - 2)), shape)
    noisy = image + generator.normal(0, 8, shape)
    return image.astype(np.uint8), np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_error() -> None:
    a = np.full((5, 6, 3), 100, np.uint8)
    assert psnr(a, a + 10) == psnr(a + 10, a) == pytest.approx(20 * log10(255 / 10), abs=1e-12)


def test_equal_images() -> None:
    a, _ = pair(20, 30, 3)
    assert psnr(a, a) == psnr_y(a, a, 4) == CEILING == 100
    assert ssim_y(a, a) == 1
    blank = np.full((16, 16), 7, np.uint8)
    assert psnr_b(blank, blank) == CEILING


def test_no_image_scores_above_an_equal_one() -> None:
    a = np.zeros((2000, 2000), np.uint8)
    b = a.copy()
    b[0, 0] = 1  # 114 dB by the formula
    assert psnr(a, b) == CEILING
    b[:2, :200] = 1  # 400 errors of 1 in 4 million values: 88 dB
    assert psnr(a, b) == pytest.approx(10 * log10(255**2 * 2000**2 / 400), abs=1e-9)


def test_black_against_white() -> None:
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    assert psnr(black, white) == 0
    assert psnr_y(black, white, 0) == pytest.approx(20 * log10(255 / 219), abs=1e-12)
    c1 = (0.01 * 255) ** 2
    assert ssim_y(black, white) == pytest.approx((2 * 16 * 235 + c1) / (16**2 + 235**2 + c1), abs=1e-9)


def test_border_is_cut() -> None:
    a, b = pair(30, 40, 3)
    assert psnr_y(a, b, 3) == psnr_y(a[3:-3, 3:-3], b[3:-3, 3:-3], 0)
    b[:3], b[-3:], b[:, :3], b[:, -3:] = 0, 255, 0, 255
    assert psnr_y(a, b, 3) == psnr_y(a[3:-3, 3:-3], b[3:-3, 3:-3], 0) != psnr_y(a, b, 2)


def test_gray_is_scored_as_three_equal_channels() -> None:
    a, b = pair(30, 40)
    rgb_a, rgb_b = (np.stack([image] * 3, axis=2) for image in (a, b))
    assert psnr_y(a, b, 2) == psnr_y(rgb_a, rgb_b, 2)
    assert ssim_y(a, b) == ssim_y(rgb_a, rgb_b)


# 11: a single window; 74 and 75: one strip of 64 windows, and one more row.
@pytest.mark.parametrize("shape", [(11, 11, 3), (74, 13, 3), (75, 40, 3), (203, 151, 3)])
def test_agrees_with_skimage(shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pair(*shape)
    assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a, b), abs=1e-9)
    y_a, y_b = rgb_to_y(a), rgb_to_y(b)
    assert psnr_y(a, b, 0) == pytest.approx(metrics.peak_signal_noise_ratio(y_a, y_b, data_range=255), abs=1e-9)
    _, full = metrics.structural_similarity(
        y_a, y_b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    assert ssim_y(a, b) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-9)


def scores(results: list[Path], truths: Path) -> tuple[float, float]:
    """Mean PSNR-Y and SSIM of x4 results against the truths of the same names."""
    values = []
    for path in results:
        hr = modcrop(read_image(truths / path.name), 4)
        sr = read_image(path)[: hr.shape[0], : hr.shape[1]]
        values.append((psnr_y(sr, hr, 4), ssim_y(sr, hr)))
    assert len(values) == 5
    mean_psnr, mean_ssim = np.mean(values, axis=0)
    return float(mean_psnr), float(mean_ssim)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("folder", "expected_psnr", "expected_ssim"),
    [("mulut/expected_x4", 30.61, 0.8656), ("srlut/expected_x4_4bit", 29.83, None)],
)
def test_published_scores(
    reference: Folder, dataset: Folder, folder: str, expected_psnr: float, expected_ssim: float | None
) -> None:
    measured_psnr, measured_ssim = scores([entry.target for entry in find_images(reference(folder))], dataset("Set5"))
    assert round(measured_psnr, 2) == expected_psnr
    assert expected_ssim is None or round(measured_ssim, 4) == expected_ssim


@pytest.mark.reference
def test_bicubic_on_set5(dataset: Folder) -> None:
    values = []
    for path in [entry.target for entry in find_images(dataset("Set5"))]:
        hr = modcrop(read_image(path), 4)
        sr = imresize(imresize(hr, Fraction(1, 4)), 4)
        values.append((psnr_y(sr, hr, 4), ssim_y(sr, hr)))
    # Papers print 28.42 / 0.8101, for which they resize the luma rounded to bytes instead of RGB.
    assert np.mean(values, axis=0) == pytest.approx((28.429, 0.8110), abs=5e-4)


@pytest.mark.parametrize("metric", [psnr, lambda a, b: psnr_y(a, b, 0), ssim_y])
def test_refused_pairs(metric: Callable[[Bytes, Bytes], float]) -> None:
    a, _ = pair(16, 16, 3)
    for b in (a[:15], a[:, :, 0]):
        with pytest.raises(ValueError, match=r"found shapes \(16, 16, 3\) and .*expected equal"):
            metric(a, b)
    with pytest.raises(ValueError, match=r"expected equal and not empty"):
        metric(a[:0], a[:0])
    with pytest.raises(ValueError, match=r"found uint8 and float64, expected uint8"):
        metric(a, a.astype(np.float64))


@pytest.mark.parametrize("border", [-1, 8])
def test_refused_borders(border: int) -> None:
    a, b = pair(16, 40, 3)
    with pytest.raises(ValueError, match=rf"border: found {border} for 40 x 16 pixels"):
        psnr_y(a, b, border)


def test_ssim_needs_a_whole_window() -> None:
    a, b = pair(10, 40, 3)
    with pytest.raises(ValueError, match=r"found 40 x 10 pixels, expected 11 x 11"):
        ssim_y(a, b)
