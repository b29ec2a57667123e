"""Degradations: seeded, of the strength they are named by, plane by plane."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from lutra.imaging import blurring, degrade
from lutra.imaging.degrade import KERNELS, Bicubic, Degradation, Jpeg, MotionBlur, Noise, Photo
from lutra.imaging.resize import imresize
from tests.golden.cases import image

PLANE = image(96, 120)
COLOUR = np.stack([image(96, 120 + shift)[:, :120] for shift in range(3)], -1)
ALL: list[Degradation] = [Bicubic(2), Noise((5, 50)), Jpeg((10, 40)), MotionBlur(), Photo(1), Photo(2)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: type(kind).__name__)
def test_an_image_is_degraded_by_its_number_and_the_seed_alone(kind: Degradation) -> None:
    first = kind.apply(PLANE, 3)
    assert first.dtype == np.uint8 and first.shape == tuple(side // kind.scale for side in PLANE.shape)
    assert np.array_equal(first, kind.apply(PLANE, 3))
    if not isinstance(kind, Bicubic):
        others = [kind.apply(PLANE, 4), kind.apply(PLANE, 3, seed=1), kind.apply(PLANE, 3, stream=1)]
        assert not any(np.array_equal(first, other) for other in others)


def test_noise_has_its_sigma_and_is_rounded_and_clipped() -> None:
    gray = np.full((400, 400), 128, np.uint8)
    noise = Noise((25, 25)).apply(gray, 0).astype(np.float64) - 128
    # the mean's standard error is 0.06, that of the deviation 0.04; rounding adds 1/12 to the variance
    assert abs(noise.mean()) < 0.3 and noise.std() == pytest.approx(np.sqrt(625 + 1 / 12), abs=0.2)
    white = Noise((25, 25)).apply(np.full((100, 100), 255, np.uint8), 0)
    assert (white == 255).mean() == pytest.approx(0.5, abs=0.05)


def test_planes_get_noise_of_their_own() -> None:
    gray = np.full((50, 50, 3), 128, np.uint8)
    planes = np.moveaxis(Noise((25, 25)).apply(gray, 0).astype(np.float64) - 128, 2, 0)
    assert all(abs(np.corrcoef(planes[a].ravel(), planes[b].ravel())[0, 1]) < 0.1 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_a_range_is_drawn_from_for_every_image() -> None:
    gray = np.full((200, 200), 128, np.uint8)
    sigmas = [(Noise((10, 50)).apply(gray, number).astype(np.float64) - 128).std() for number in range(20)]
    assert 9 < min(sigmas) < 20 and 40 < max(sigmas) < 50


def test_jpeg_is_what_the_encoder_makes() -> None:
    encoded = io.BytesIO()
    Pillow.fromarray(PLANE).save(encoded, format="JPEG", quality=10)
    assert np.array_equal(Jpeg((10, 10)).apply(PLANE, 0), np.array(Pillow.open(encoded)))
    with pytest.raises(ValueError, match=r"JPEG plane: found shape \(96, 120, 3\)"):
        Jpeg((10, 10)).apply(COLOUR, 0)


@pytest.mark.parametrize("length", [0.0, 1.0, 5.0, 15.0, 40.0])
def test_kernels_weigh_one_and_are_centred(length: float) -> None:
    for number in range(10):
        kernel = blurring.motion_kernel(length, degrade.generator_of(0, number))
        assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1) and all(side % 2 for side in kernel.shape)
        offsets = np.arange(len(kernel)) - len(kernel) // 2
        assert kernel.sum(1) @ offsets == pytest.approx(0, abs=1e-9)
        assert kernel.sum(0) @ offsets == pytest.approx(0, abs=1e-9)
        reach = np.sqrt(kernel.sum(1) @ offsets**2 + kernel.sum(0) @ offsets**2)
        assert reach <= length / 2 + 1  # no point lies farther from the path's centre than its length, on average


def test_blur_is_a_correlation_with_repeated_borders() -> None:
    kernel = np.zeros((3, 5))
    kernel[0, 4], kernel[1, 2] = 0.25, 0.75
    padded = np.pad(PLANE.astype(np.float64), 2, mode="edge")
    expected = np.rint(0.25 * padded[1:-3, 4:] + 0.75 * PLANE)
    assert np.array_equal(blurring.blur(PLANE, kernel), expected)
    whole = blurring.blur(COLOUR, kernel)
    assert all(np.array_equal(whole[..., plane], blurring.blur(COLOUR[..., plane], kernel)) for plane in range(3))


def test_photographs_are_shrunk_by_each_kernel() -> None:
    clean = Photo(2, (0, 0), (0, 0), (100, 100))
    shrunk = {kernel: degrade.shrink(PLANE, 2, kernel).astype(int) for kernel in KERNELS}
    used = set()
    for number in range(24):
        found = clean.apply(PLANE, number)
        assert found.shape == (48, 60)
        errors = {kernel: np.abs(found - expected).mean() for kernel, expected in shrunk.items()}
        best = min(errors, key=lambda kernel: errors[kernel])
        assert errors[best] < 1, "JPEG of quality 100 changes less"
        used.add(best)
    assert used == set(KERNELS)
    assert np.array_equal(shrunk["box"][0, 0], np.floor(PLANE[:2, :2].mean() + 0.5))


def test_one_photograph_in_four_is_spared_each_damage() -> None:
    """Between 62 and 138 of 400 are spared, at four standard deviations."""
    flat, edge = np.full((16, 16), 100, np.uint8), np.zeros((16, 16), np.uint8)
    edge[:, 8:] = 200
    without_noise = sum((Photo(1, sigma=(20, 20)).apply(flat, number) == flat).all() for number in range(400))
    without_blur = sum(
        (Photo(1, (2, 2), (0, 0), (100, 100)).apply(edge, number)[:, 7] < 9).all() for number in range(400)
    )
    without_jpeg = sum((Photo(1, (0, 0), (0, 0), (1, 1)).apply(edge, number) == edge).all() for number in range(400))
    assert all(62 <= spared <= 138 for spared in (without_noise, without_blur, without_jpeg))


def test_no_photograph_is_left_whole_at_its_own_size() -> None:
    """Six of 400 would be, if each damage were left out by itself."""
    assert not [number for number in range(400) if np.array_equal(Photo(1).apply(PLANE, number), PLANE)]
    halves = [Photo(2).apply(PLANE, number) for number in range(400)]
    shrunk = [degrade.shrink(PLANE, 2, kernel) for kernel in KERNELS]
    assert any(np.array_equal(half, one) for half in halves for one in shrunk), "but some are only shrunk"


def test_a_photographs_numbers_come_from_their_ranges() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    noise = [Photo(1, (0, 0), (5, 30), (100, 100)).apply(flat, number)[..., 1].std() for number in range(60)]
    present = [deviation for deviation in noise if deviation]
    assert 3 < min(present) < 9 and 24 < max(present) < 32


@pytest.mark.parametrize("halved", [False, True])
def test_jpeg_of_colours_is_what_the_encoder_makes(halved: bool) -> None:
    encoded = io.BytesIO()
    Pillow.fromarray(COLOUR).save(encoded, format="JPEG", quality=60, subsampling=2 if halved else 0)
    assert np.array_equal(degrade.compress_colours(COLOUR, 60, halved=halved), np.array(Pillow.open(encoded)))
    assert np.array_equal(degrade.compress_colours(PLANE, 60, halved=halved), degrade.compress(PLANE, 60))


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
def test_gaussians_have_their_deviations(angle: float) -> None:
    kernel = blurring.gaussian_kernel(2.0, 1.0, angle)
    y, x = np.mgrid[-6:7, -6:7]
    assert kernel.shape == (13, 13) and kernel.sum() == pytest.approx(1)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    # cut at three deviations, a Gaussian has 0.986 of its own
    assert np.sqrt((kernel * along**2).sum()) == pytest.approx(2, rel=0.03)
    assert np.sqrt((kernel * across**2).sum()) == pytest.approx(1, rel=0.03)
    assert blurring.gaussian_kernel(0, 0, angle)[1, 1] == 1


def test_bicubic_is_matlabs() -> None:
    assert np.array_equal(Bicubic(4, "double").apply(PLANE, 0), imresize(PLANE, 1 / 4, "double"))
    assert np.array_equal(Bicubic(1).apply(PLANE, 0), PLANE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bicubic(5), "scale: found 5"),
        (lambda: Bicubic(2, "bilinear"), "bicubic: found 'bilinear', expected one of uint8, double"),  # type: ignore[arg-type]
        (lambda: Noise((25, 15)), "sigma: found 25 to 15, expected within 0 to 255, the least first"),
        (lambda: Jpeg((0, 10)), "quality: found 0 to 10, expected within 1 to 100"),
        (lambda: MotionBlur((5, 500)), "length: found 5 to 500"),
        (lambda: MotionBlur(sigma=-1), "sigma: found -1"),
        (lambda: Photo(5), "scale: found 5"),
        (lambda: Photo(2, blur=(1, 0)), "blur: found 1 to 0"),
        (lambda: Photo(2, quality=(0, 50)), "quality: found 0 to 50"),
        (lambda: MotionBlur(sigma=float("nan")), "sigma: found nan"),
    ],
)
def test_impossible_numbers_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
