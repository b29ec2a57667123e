"""Results of any size: what callers may ask for, by models of any size and of one scale, with alpha, and warps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lutra import engine
from lutra.imaging.images import Picture, read_image, write_picture
from lutra.model.anysize import Grid, Warp
from lutra.reference.convert import from_artifact
from lutra.restore import batch
from lutra.restore.batch import FileJob
from lutra.restore.restorer import Restorer
from lutra.restore.sizes import Target, resized, target_of, warp_of, warped
from tests.golden import cases

needs_engine = pytest.mark.skipif(not engine.available(), reason="needs the compiled engine")


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(params=[pytest.param("engine", marks=needs_engine), "torch"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Restorer:
    if request.param == "torch":
        monkeypatch.setattr(engine, "available", lambda: False)
        with pytest.warns(RuntimeWarning, match="compiled engine is not installed"):
            made = Restorer(cases.model("lerf-x4"))
    else:
        made = Restorer(cases.model("lerf-x4"))
    assert made.backend == request.param and made.any_size
    return made


@pytest.fixture(scope="module")
def one_scale() -> Restorer:
    return Restorer(cases.model("mulut-dfc-x2"))


@pytest.mark.parametrize(
    ("target", "size"),
    [
        (Target(scale=2.5), (25, 18)),
        (Target(scale=0.5), (5, 4)),
        (Target(scale=0.01), (1, 1)),
        (Target(width=30), (30, 21)),
        (Target(height=70), (100, 70)),
        (Target(width=1), (1, 1)),
        (Target(None, 3, 99), (3, 99)),
        (Target.of((8, 9)), (8, 9)),
    ],
)
def test_a_side_that_is_left_out_follows_the_proportions(target: Target, size: tuple[int, int]) -> None:
    assert target.size(10, 7) == size


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Target, "expected either a scale, or a width, a height or both"),
        (lambda: Target(2.0, 3), "expected either a scale"),
        (lambda: Target(0), "scale is 0, expected a number above 0"),
        (lambda: Target(float("nan")), "scale is nan"),
        (lambda: Target(1e9), "scale is 1000000000.0"),
        (lambda: Target(None, 0), "a side of 0, expected whole numbers of pixels"),
        (lambda: Target(None, 3, 2.5), "a side of 2.5, expected whole numbers"),  # type: ignore[arg-type]
        (lambda: Target(None, True), "a side of True, expected whole numbers"),
        (lambda: Target(None, 1 << 21), "a side of 2097152, expected"),
        (lambda: Target(None, 1 << 20, 1 << 20).size(3, 4), "expected sides of at most 1048576 pixels"),
        (lambda: Target(scale=1e6).size(3, 4), "size x1e+06 of a picture of 3 x 4 pixels is 3000000 x 4000000"),
        (lambda: Target.of((3,)), "expected width and height"),  # type: ignore[arg-type]
        (lambda: Target.of("33"), "expected width and height"),  # type: ignore[arg-type]
        (lambda: Target.of((3, None)), "expected width and height"),  # type: ignore[arg-type]
        (lambda: target_of(2.0, "3x4", None, None), "found --scale and --size, expected one way"),
        (lambda: target_of(None, "3x4", 3, None), "found --size and --width and --height, expected one way"),
        (lambda: target_of(None, "3by4", None, None), "expected WIDTHxHEIGHT"),
    ],
)
def test_sizes_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"size|scale") as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
@pytest.mark.parametrize("size", [(11, 17), (5, 6), (9, 20)])
def test_a_model_of_any_size_makes_the_size(any_size: Restorer, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    image = noise(*shape)
    grid = Grid.enlarged((5, 4), size[::-1], (size[1] / 5, size[0] / 4))
    expected = from_artifact(any_size.artifact).restore_image(image, grid)
    assert np.array_equal(any_size.restore(image, size=size, threads=2), expected)


def test_a_factor_decides_where_outputs_lie(any_size: Restorer) -> None:
    image = noise(5, 4)
    factor = any_size.restore(image, size=Target(scale=1.3))
    grid = Grid.enlarged((5, 4), (7, 6), (1.3, 1.3))
    assert np.array_equal(factor, from_artifact(any_size.artifact).restore_image(image, grid))
    assert factor.shape == (7, 6) and not np.array_equal(factor, any_size.restore(image, size=(6, 7)))
    assert np.array_equal(any_size.restore(image, size=Target(scale=4)), any_size.restore(image))


def test_an_axis_that_does_not_grow_is_restored_first_and_then_resampled(any_size: Restorer) -> None:
    image = noise(20, 10, 3)
    made = any_size.restore(image, size=(25, 80))
    for height in (20, 7):
        assert np.array_equal(any_size.restore(image, size=(25, height)), resized(made, (25, height)))
    assert any_size.restore(image, size=Target(scale=0.3)).shape == (6, 3, 3)


def test_columns_are_resampled_before_rows() -> None:
    """Pillow 13 resamples rows first where they shrink more; results do not depend on its version."""
    image = noise(300, 40, 3)
    narrow = Image.fromarray(image).resize((20, 300), Image.Resampling.BICUBIC)
    assert np.array_equal(resized(image, (20, 31)), np.asarray(narrow.resize((20, 31), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 2), (6, 5, 3), (6, 5, 4)])
def test_a_model_of_one_scale_restores_at_it_and_is_resampled(one_scale: Restorer, shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    for size in ((10, 12), (17, 20), (3, 2)):
        found = one_scale.restore(image, size=size)
        assert found.shape == (size[1], size[0], *shape[2:])
        assert np.array_equal(found, resized(one_scale.restore(image), size))


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((40, 40), np.uint8)
    stripes[:, ::2] = 255
    small = resized(stripes, (10, 10))
    assert np.abs(small[:, 2:-2].astype(int) - 128).max() <= 2
    assert resized(stripes, (40, 40)) is stripes


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_resampled_to_the_size(any_size: Restorer, channels: int) -> None:
    image = noise(6, 5, channels)
    found = any_size.restore(image, size=(13, 8))
    assert found.shape == (8, 13, channels)
    assert np.array_equal(found[:, :, -1], resized(image[:, :, -1], (13, 8)))
    image[:, :, -1] = 255
    opaque = any_size.restore(image, size=(13, 8))
    assert (opaque[:, :, -1] == 255).all()
    colour = image[:, :, 0] if channels == 2 else image[:, :, :-1]
    assert np.array_equal(np.squeeze(opaque[:, :, :-1]), any_size.restore(colour, size=(13, 8)))


def test_results_go_where_they_are_asked_to(any_size: Restorer, one_scale: Restorer) -> None:
    for restorer in (any_size, one_scale):
        for channels in (3, 4):
            image = noise(6, 5, channels)
            for size in ((9, 11), (9, 3)):
                out = np.empty((size[1], size[0], channels), np.uint8)
                assert restorer.restore(image, size=size, out=out) is out
                assert np.array_equal(out, restorer.restore(image, size=size))
        with pytest.raises(ValueError, match=r"expected contiguous uint8 \(7, 9, 4\)"):
            restorer.restore(image, size=(9, 7), out=out)


def test_pillow_images_come_back_in_the_size(any_size: Restorer) -> None:
    image = Image.fromarray(noise(6, 5, 4))
    image.info["icc_profile"] = b"profile"
    restored = any_size.restore(image, size=(9, 13))
    assert (restored.mode, restored.size, restored.info) == ("RGBA", (9, 13), {"icc_profile": b"profile"})
    moved = any_size.warp(image, np.eye(3), (9, 13))
    assert (moved.mode, moved.size, moved.info) == ("RGBA", (9, 13), {"icc_profile": b"profile"})


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_a_homography_maps_the_picture_to_the_result(any_size: Restorer, shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    matrix = np.array([[2, 0.3, 4], [0.1, 3, 1], [0.01, 0, 1]])
    warp = warp_of(matrix, (20, 25), shape)
    found = any_size.warp(image, matrix, (20, 25), threads=2)
    assert np.array_equal(found, from_artifact(any_size.artifact).restore_image(image, warp))
    assert np.array_equal(found, any_size.warp(image, 7 * matrix, (20, 25)))
    for point in ([0, 0], [4, 5], [2, 3]):
        x, y, w = matrix @ [*point, 1]
        inverse = warp.matrix @ [x, y, w]
        assert inverse[:2] / inverse[2] == pytest.approx(point)


def test_beyond_the_picture_a_warp_is_black_and_transparent(any_size: Restorer) -> None:
    image = np.full((6, 5, 4), 255, np.uint8)
    found = any_size.warp(image, [[4, 0, 10], [0, 4, 12], [0, 0, 1]], (40, 50))
    assert (found[14:30, 13:25, 3] == 255).all()
    assert not found[:10].any() and not found[:, :8].any() and not found[36:].any() and not found[:, 30:].any()


def test_what_cannot_be_warped_is_refused(any_size: Restorer, one_scale: Restorer) -> None:
    image = noise(6, 5)
    with pytest.raises(ValueError, match="the model restores at x2 alone, expected one of any size"):
        one_scale.warp(image, np.eye(3), (5, 6))
    for matrix, message in [
        (np.eye(2), "3x3 finite numbers"),
        (np.full((3, 3), np.nan), "3x3 finite numbers"),
        (np.ones((3, 3)), "expected one that can be inverted"),
        (np.zeros((3, 3)), "expected one that can be inverted"),
    ]:
        with pytest.raises(ValueError, match=message):
            any_size.warp(image, matrix, (5, 6))
    with pytest.raises(ValueError, match="a side of 0"):
        any_size.warp(image, np.eye(3), (5, 0))
    with pytest.raises(ValueError, match=r"image is float64 of shape \(6, 5\)"):
        any_size.warp(image / 2, np.eye(3), (5, 6))  # type: ignore[arg-type]


def test_planes_that_no_model_restores_are_warped_by_linear_interpolation() -> None:
    ramp = np.arange(0, 200, 10, dtype=np.uint8)[None].repeat(4, 0)
    moved = warped(ramp, Warp((4, 19), np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]]), (4, 20)))
    assert np.array_equal(moved, ramp[:, :-1] + 5)
    assert np.array_equal(warped(np.stack([ramp, ramp], 2), Warp((4, 20), np.eye(3), (4, 20)))[:, :, 1], ramp)


@pytest.mark.parametrize("name", ["lerf-x4", "mulut-dfc-x2"])
def test_files_are_restored_in_a_size_within_limits(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "in.png", Picture(noise(20, 10, 3)))
    restorer, job = Restorer(cases.model(name)), FileJob(tmp_path / "in.png", tmp_path / "out.png")
    batch.restore_file(restorer, job, target=Target(width=15))
    assert np.array_equal(read_image(job.target), restorer.restore(read_image(job.source), size=(15, 30)))
    largest = {"lerf-x4": 15 * 30, "mulut-dfc-x2": 20 * 40}[name]
    batch.restore_file(restorer, job, target=Target(width=15), max_pixels=largest)
    with pytest.raises(ValueError, match=rf"10 x 20 pixels, .* for size 15 x any, .* --max-pixels {largest} allows"):
        batch.restore_file(restorer, job, target=Target(width=15), max_pixels=largest - 1)
    with pytest.raises(ValueError, match="found a side of 70000 pixels"):
        batch.restore_file(restorer, FileJob(job.source, tmp_path / "out.jpg"), target=Target(None, 70000, 3))
