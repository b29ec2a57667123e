"""Protocols: what they make, what they score, and that both are the field's."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from math import log2, log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import metrics

from lutra.evaluation import protocols
from lutra.imaging.colour import rgb_to_y
from lutra.imaging.degrade import DEGRADATIONS
from lutra.imaging.folders import find_images
from lutra.imaging.images import read_image
from lutra.imaging.metrics import psnr_b
from lutra.model.tasks import TASKS, Task
from tests.golden.cases import image

COLOUR = np.stack([image(49, 60 + shift)[:, :60] for shift in range(3)], -1)
OPTIONS: dict[str, dict[str, Any]] = {
    "sr": {"scale": 4},
    "denoise": {"sigma": 25},
    "denoise-colour": {"sigma": 25},
    "deblock": {"quality": 10},
    "deblur": {},
    "photo": {"scale": 2},
}


def made(task: str, **options: Any) -> protocols.Protocol:
    return protocols.of(task, OPTIONS[task] | options)


@pytest.mark.parametrize("task", OPTIONS)
def test_every_task_degrades_scores_and_says_how(task: str) -> None:
    protocol = made(task)
    target = protocol.target(COLOUR)
    degraded = protocol.input(target, 0)
    assert target.shape[:2] == tuple(protocol.scale * side for side in degraded.shape[:2])
    assert (target.ndim == 2) == (task == "deblock")
    restored = protocol.baseline(degraded)
    scores = protocol.score(restored, target)
    assert tuple(scores) == protocol.measures and scores[protocol.main] == protocol.rank(restored, target)
    assert protocol.caption(scores).count("/") == protocol.legend.count("/") == len(scores) - 1
    assert "mean over images" in protocol.text and "PSNR" in protocol.text and "SSIM" in protocol.text


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_tasks_options_are_the_fields_of_its_degradation(task: Task) -> None:
    kind = DEGRADATIONS[task.degradation]
    assert {option.name for option in task.options} == {field.name for field in fields(kind)}
    needed = protocols.of(task.name, OPTIONS[task.name])
    defaults = {option.name: option.default for option in task.options if option.default is not None}
    assert protocols.of(task.name, defaults | OPTIONS[task.name]) == needed
    for field in fields(kind):
        if field.default is not MISSING:
            assert getattr(needed.degradation, field.name) == field.default


def test_super_resolution_is_scored_on_luma_without_borders() -> None:
    protocol = made("sr")
    target = protocol.target(COLOUR)
    assert target.shape == (48, 60, 3)
    restored = protocol.baseline(protocol.input(target, 0))
    lumas = [rgb_to_y(part) for part in (restored, target)]
    cut = [luma[4:-4, 4:-4] for luma in lumas]
    scores = protocol.score(restored, target)
    assert scores["psnr_y"] == pytest.approx(metrics.peak_signal_noise_ratio(*cut[::-1], data_range=255), abs=1e-9)
    assert scores["ssim_y"] == pytest.approx(ssim(*lumas), abs=1e-9)


def test_super_resolution_has_fractions_of_scales() -> None:
    protocol = protocols.super_resolution(1.5)
    target = protocol.target(np.pad(COLOUR, ((0, 1), (0, 1), (0, 0))))
    assert target.shape == (48, 60, 3)
    degraded = protocol.input(target, 0)
    assert degraded.shape == (32, 40, 3)
    restored = protocol.baseline(degraded)
    cut = [rgb_to_y(part)[2:-2, 2:-2] for part in (restored, target)]
    expected = metrics.peak_signal_noise_ratio(*cut[::-1], data_range=255)
    assert protocol.score(restored, target)["psnr_y"] == pytest.approx(expected, abs=1e-9)
    assert "x1/1.5 (uint8 variant) of HR cropped to a multiple of 3" in protocol.text
    assert "2 border pixels" in protocol.text
    with pytest.raises(ValueError, match=r"scale: found 1\.5, expected a whole number"):
        _ = protocol.whole_scale


@pytest.mark.parametrize("task", ["denoise", "denoise-colour", "deblur"])
def test_denoising_and_deblurring_are_scored_on_all_planes(task: str) -> None:
    protocol = made(task)
    degraded = protocol.input(COLOUR, 0)
    scores = protocol.score(degraded, COLOUR)
    assert scores["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(COLOUR, degraded), abs=1e-9)
    planes = [ssim(degraded[..., plane].astype(float), COLOUR[..., plane].astype(float)) for plane in range(3)]
    assert scores["ssim"] == pytest.approx(np.mean(planes), abs=1e-9)


def test_colour_denoising_takes_no_gray_image() -> None:
    protocol = made("denoise-colour")
    assert protocol.text == made("denoise").text  # so that models of single planes are compared with those of three
    with pytest.raises(ValueError, match="found a gray image, expected red, green and blue for denoise-colour"):
        protocol.target(COLOUR[..., 0])


def test_the_noise_of_papers_is_numpys_and_not_clipped() -> None:
    protocol = made("denoise-colour", noise="paper")
    clean = COLOUR // 4
    found = protocol.scored_input(clean, 7)
    state = np.random.RandomState(0)
    expected = np.rint((clean / 255 + state.normal(0, 25 / 255, clean.shape)) * 255)
    assert found.dtype == np.int16 and found.min() < 0
    assert np.abs(found - expected).max() <= 1 and (found != expected).mean() < 1e-3  # the papers' sum is a float32
    assert "RandomState" in protocol.text and "RandomState" not in made("denoise").text
    assert np.array_equal(protocol.baseline(found), found.clip(0, 255))
    kept = made("denoise-colour").scored_input(clean, 7)
    assert np.array_equal(kept, made("denoise").input(clean, 7)) and kept.dtype == np.uint8


def ssim(a: Any, b: Any) -> float:
    """Scikit-image's, over the windows that lie within the images."""
    options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, full = metrics.structural_similarity(a, b, full=True, win_size=11, **options)
    return float(full[5:-5, 5:-5].mean())


def test_deblocking_counts_blocking_as_error() -> None:
    protocol = made("deblock")
    target = protocol.target(COLOUR)
    assert np.array_equal(target, np.rint(rgb_to_y(COLOUR)))
    degraded = protocol.input(target, 0)
    scores = protocol.score(degraded, target)
    assert scores["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(target, degraded), abs=1e-9)
    assert scores["psnr_b"] == pytest.approx(_psnr_b(degraded, target), abs=1e-9) and scores["psnr_b"] < scores["psnr"]
    assert psnr_b(np.full((16, 16), 9, np.uint8), np.full((16, 16), 8, np.uint8)) == pytest.approx(20 * log10(255))


def _psnr_b(restored: Any, target: Any) -> float:
    """Yim and Bovik (IEEE TIP 2011), equations 8 to 14, pixel by pixel."""
    x = restored.astype(float)
    height, width = x.shape
    edges: list[float] = []
    others: list[float] = []
    for row in range(height):
        for column in range(width - 1):
            (edges if column % 8 == 7 else others).append((x[row, column] - x[row, column + 1]) ** 2)
    for row in range(height - 1):
        for column in range(width):
            (edges if row % 8 == 7 else others).append((x[row, column] - x[row + 1, column]) ** 2)
    at_edges, elsewhere = np.mean(edges), np.mean(others)
    weight = log2(8) / log2(min(height, width)) if at_edges > elsewhere else 0.0
    error = np.mean((x - target) ** 2) + weight * (at_edges - elsewhere)
    return float(10 * log10(255**2 / error))


def test_pairs_are_taken_as_they_are() -> None:
    protocol = protocols.of("sr", {"scale": 2}, pairs=True)
    target = protocol.target(COLOUR)
    own = np.ascontiguousarray(target[::2, ::2])
    assert np.array_equal(protocol.input(target, 0, own), own)
    assert "the set's own" in protocol.text
    with pytest.raises(ValueError, match="expected one for every clean image"):
        protocol.input(target, 0)
    with pytest.raises(ValueError, match=r"found 60x48 \(3 axes\) for 60x48, expected 1/2"):
        protocol.input(target, 0, target)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("inpaint", {}, "task: found 'inpaint', expected one of sr, denoise, deblock, deblur"),
        ("denoise-colour", {"sigma": 25, "noise": "none"}, "noise: found 'none', expected file or paper"),
        ("sr", {}, "scale: found nothing, expected it for sr"),
        ("sr", {"scale": 4, "sigma": 25}, "sigma: sr has no such option, expected scale, bicubic"),
        ("denoise", {"sigma": [50, 15]}, "sigma: found 50 to 15"),
        ("denoise", {"sigma": "much"}, "denoise: found .*, expected numbers"),
        ("denoise", {"sigma": 10**400}, "denoise: found .*, expected numbers"),
        ("denoise", {"sigma": [1, 2, 3]}, "denoise: found .*, expected numbers"),
        ("deblock", {"quality": 10.5}, "quality: found 10.5, expected a whole number"),
        ("deblur", {"sigma": [1, 2]}, "deblur: found .*, expected numbers"),
    ],
)
def test_options_that_do_not_fit_are_named(task: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        protocols.of(task, options)


Dataset = Callable[[str], Path]


def inputs_scores(protocol: protocols.Protocol, folder: Path) -> dict[str, float]:
    rows = {}
    for number, path in enumerate(entry.target for entry in find_images(folder)):
        target = protocol.target(read_image(path))
        rows[path.name] = protocol.score(protocol.input(target, number), target)
    return protocols.mean(rows)


@pytest.mark.reference
def test_jpeg_scores_on_classic5_are_the_published_ones(dataset: Dataset) -> None:
    """27.82 / 25.21 / 0.7595: JPEG's row in ARCNN (ICCV 2015) and in every paper on deblocking since."""
    scores = inputs_scores(made("deblock"), dataset("classic5"))
    assert scores["psnr"] == pytest.approx(27.82, abs=0.005)
    assert scores["psnr_b"] == pytest.approx(25.21, abs=0.005)
    assert scores["ssim"] == pytest.approx(0.7595, abs=0.0005)


@pytest.mark.reference
@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_noisy_cbsd68_is_as_noisy_as_papers_have_it(dataset: Dataset, sigma: int) -> None:
    """Unclipped, the noise has the PSNR of its sigma; clipped to a file's 8 bits, somewhat more."""
    protocol = made("denoise-colour", sigma=sigma, noise="paper")
    errors = []
    for number, path in enumerate(entry.target for entry in find_images(dataset("CBSD68"))):
        clean = read_image(path)
        errors.append(np.mean((protocol.scored_input(clean, number) - clean.astype(float)) ** 2))
    assert len(errors) == 68
    assert np.mean(10 * np.log10(255**2 / np.array(errors))) == pytest.approx(20 * log10(255 / sigma), abs=0.01)


@pytest.mark.reference
def test_noisy_set12_is_as_noisy_as_sigma_25_is(dataset: Dataset) -> None:
    """The value without clipping: 20 log10(255 / 25) = 20.17 dB; what is clipped at black and white adds a little."""
    assert 20.17 < inputs_scores(made("denoise"), dataset("Set12"))["psnr"] < 20.5
