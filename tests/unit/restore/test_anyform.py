"""Arrays with other axes and types than one picture of bytes, and files."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import lutra
from lutra.model import artifact
from lutra.restore.anyform import MAX_PIXELS
from lutra.restore.axes import Axes, axes_of
from lutra.restore.restorer import Restorer
from tests.golden import cases

N, H, W = 3, 6, 5


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer(cases.model("mulut-dfc-x2"), name="mulut")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("axes", ["NHWC", "NCHW"])
def test_batches_are_restored_image_by_image(restorer: Restorer, axes: Axes, channels: int) -> None:
    images = noise(N, H, W, channels)
    given = images if axes == "NHWC" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    restored = restorer.restore_array(given, axes)
    last = restored if axes == "NHWC" else restored.transpose(0, 2, 3, 1)
    assert restored.dtype == np.uint8 and restored.flags.c_contiguous and last.shape == (N, 2 * H, 2 * W, channels)
    for image, result in zip(images, last, strict=True):
        assert np.array_equal(result.squeeze(), restorer.restore(image.squeeze()))


@pytest.mark.parametrize(
    ("axes", "shape"), [("HW", (H, W)), ("NHW", (N, H, W)), ("HWC", (H, W, 3)), ("CHW", (3, H, W))]
)
def test_images_without_all_axes_keep_those_that_they_have(
    restorer: Restorer, axes: Axes, shape: tuple[int, ...]
) -> None:
    image = noise(*shape)
    restored = restorer.restore_array(image, axes)
    assert restored.shape == tuple(size * (2 if axis in "HW" else 1) for size, axis in zip(shape, axes, strict=True))
    if axes == "NHW":
        assert all(np.array_equal(a, restorer.restore(b)) for a, b in zip(restored, image, strict=True))
    elif axes == "CHW":
        assert np.array_equal(restored.transpose(1, 2, 0), restorer.restore(image.transpose(1, 2, 0)))
    else:
        assert np.array_equal(restored, restorer.restore(image))


def test_axes_are_found_where_one_reading_is_possible() -> None:
    known = {(9, 9): "HW", (9, 8, 7): "NHW", (8, 3, 9, 9): "NCHW", (2, 9, 9, 4): "NHWC", (1, 2): "HW"}
    assert {shape: axes_of(shape) for shape in known} == known
    for shape, readings in {
        (9, 9, 3): "HWC or NHW",
        (3, 9, 9): "CHW or NHW",
        (3, 9, 3): "HWC or CHW or NHW",
        (8, 3, 9, 3): "NHWC or NCHW",
    }.items():
        with pytest.raises(ValueError, match=f"may be {readings}: expected axes to state it"):
            axes_of(shape)
    for shape in ((9,), (9, 9, 9, 9), (1, 2, 3, 4, 5)):
        with pytest.raises(ValueError, match=r"expected .*NCHW with 1 to 4 channels"):
            axes_of(shape)


def test_axes_that_do_not_fit_are_refused(restorer: Restorer) -> None:
    for images, axes, match in (
        (noise(2, 5, 9, 9), "NCHW", "expected NCHW with 1 to 4 channels"),
        (noise(9, 9), "NHW", "expected NHW"),
        (noise(0, 9, 9), "NHW", "not empty"),
        (noise(9, 9), "WH", "axes is 'WH', expected one of HW, HWC"),
    ):
        with pytest.raises(ValueError, match=match):
            restorer.restore_array(images, axes)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_the_bytes_over_255(restorer: Restorer, dtype: type[np.floating]) -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    restored = restorer.restore_array((image / 255).astype(dtype))
    assert restored.dtype == dtype
    assert np.array_equal(restored, (restorer.restore(image) / 255).astype(dtype))
    halves = np.array([[0.5, 1.5], [2.5, 253.5]], dtype) / 255  # 0.5 and 2.5 may not be exact after the division
    expected = np.rint((halves.astype(np.promote_types(dtype, np.float32))) * 255).astype(np.uint8)
    assert np.array_equal(restorer.restore_array(halves), (restorer.restore(expected) / 255).astype(dtype))


@pytest.mark.parametrize("value", [-0.01, 1.01, 255, np.nan, np.inf])
def test_floats_outside_of_their_range_are_refused(restorer: Restorer, value: float) -> None:
    image = np.zeros((4, 4), np.float32)
    image[1, 2] = value
    with pytest.raises(ValueError, match=r"hold values .* expected floats 0\.\.1"):
        restorer.restore_array(image)
    with pytest.raises(ValueError, match="images are int64, expected uint8"):
        restorer.restore_array(np.zeros((4, 4), np.int64))


@pytest.mark.parametrize("image", ["photo.jpg", Path("photo.jpg"), noise(2, 9, 9, 3), noise(4, 4) / 255])
def test_restore_names_the_method_for_other_forms(restorer: Restorer, image: object) -> None:
    with pytest.raises(ValueError, match="restore_array takes floats and batches, restore_file takes files"):
        restorer.restore(image)  # type: ignore[call-overload]


def test_arrays_take_a_size(restorer: Restorer) -> None:
    images = noise(2, 6, 5, 3)
    restored = restorer.restore_array(images, "NHWC", size=(7, 9))
    assert np.array_equal(restored[1], restorer.restore(images[1], size=(7, 9)))


def test_files_are_restored_upright_with_their_metadata(restorer: Restorer, tmp_path: Path) -> None:
    image = Image.fromarray(noise(6, 5, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "in.png", exif=exif)
    assert restorer.restore_file(tmp_path / "in.png", str(tmp_path / "out.png")) is None
    with Image.open(tmp_path / "out.png") as result:
        assert np.array_equal(np.asarray(result), restorer.restore(np.rot90(np.asarray(image), -1)))
    restorer.restore_file(str(tmp_path / "in.png"), tmp_path / "small.png", size=(4, 3))
    with Image.open(tmp_path / "small.png") as result:
        assert result.size == (4, 3)
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        restorer.restore_file(tmp_path / "none.png", tmp_path / "out.png")
    with pytest.raises(ValueError, match=r"in\.png: found 6 x 5 pixels, more than the 25 that are allowed"):
        restorer.restore_file(tmp_path / "in.png", tmp_path / "large.png", max_pixels=100)
    assert not (tmp_path / "large.png").exists() and MAX_PIXELS == 1 << 28


def test_repr_states_what_a_model_is(restorer: Restorer, tmp_path: Path) -> None:
    expected = f"sr x2, mulut, {restorer.artifact.table_bytes} bytes of tables, {restorer.backend}>"
    assert repr(restorer) == f"<Restorer mulut: {expected}"
    assert repr(Restorer(restorer.artifact)) == f"<Restorer without a name: {expected}"
    artifact.save(tmp_path / "mine.safetensors", restorer.artifact)
    assert repr(lutra.load(tmp_path / "mine.safetensors")) == f"<Restorer mine: {expected}"
    assert repr(lutra.load("dn-25")).startswith("<Restorer dn-25: denoise, shiftlut, ")
