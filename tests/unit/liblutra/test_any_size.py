"""liblutra makes results of any size, with the bytes of Python's."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import lutra
from lutra import engine
from lutra.engine.plan_file import to_bytes
from lutra.model.anysize import outputs_of
from lutra.restore.restorer import Restorer
from lutra.restore.sizes import Target
from tests.golden.cases import OTHER_SIZES, OUTPUTS, image, model
from tests.unit.engine.engine_models import random_image
from tests.unit.liblutra.bound import BAD_ARGUMENT, Failed, Library, Model

pytestmark = pytest.mark.xdist_group("liblutra")
Pixels = NDArray[np.uint8]
GOLDEN = np.load(OUTPUTS)
NAMES = ("lerf-x4", "lerf-dfc-x3")


@cache
def restorer(name: str) -> Restorer:
    return lutra.load(name) if name == "any-scale" else Restorer(model(name))


def loaded(library: Library, name: str) -> Model:
    return library.load(to_bytes(restorer(name).artifact))


@pytest.mark.parametrize("level", ["portable", "avx2", "avx512"])
@pytest.mark.parametrize("name", NAMES)
def test_golden_outputs_of_other_sizes(
    library: Library, monkeypatch: pytest.MonkeyPatch, name: str, level: str
) -> None:
    if level not in engine.levels():
        pytest.skip(f"this processor does not run {level}")
    monkeypatch.setenv("LUTRA_SIMD", level)
    own, grown = loaded(library, name), [size for size in OTHER_SIZES if min(size) > 7 and size[0] > 9]
    assert len(grown) == 2
    for rows, columns in grown:
        found = own.restore_to(image(9, 7), (columns, rows))
        assert np.array_equal(found, GOLDEN[f"{name}/9x7 to {rows}x{columns}"])


@pytest.mark.parametrize("size", [(75, 148), (51, 41), (115, 148), (50, 40), (150, 13), (13, 90), (1, 1), (400, 3)])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_the_zoos_model_makes_every_size_as_in_python(
    library: Library, channels: tuple[int, ...], size: tuple[int, int]
) -> None:
    """Odd factors, those of both axes apart, the same size, smaller ones."""
    own, pixels = restorer("any-scale"), np.random.default_rng(0).integers(0, 256, (40, 50, *channels), dtype=np.uint8)
    planes = np.atleast_3d(pixels)
    expected = np.dstack([own.restore(np.ascontiguousarray(plane), size=size) for plane in np.moveaxis(planes, 2, 0)])
    for threads in (0, 1, 3):
        found = loaded(library, "any-scale").restore_to(pixels, size, threads=threads)
        assert np.array_equal(np.atleast_3d(found), expected)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 9),
)
def test_any_size_of_any_image(
    library: Library, name: str, shape: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    pixels = random_image(*shape, 3, seed=seed)
    expected = restorer(name).restore(pixels, size=size)
    assert np.array_equal(loaded(library, name).restore_to(pixels, size), expected)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    scale=st.floats(0.1, 5) | st.sampled_from([1.1, 1.5, 2.3, 3.7, 1 / 3, 1.0, 4.0, 1.0000001, 0.999]),
)
def test_any_factor_of_any_image(library: Library, name: str, shape: tuple[int, int], scale: float) -> None:
    pixels = random_image(*shape, 1).reshape(shape)
    expected = restorer(name).restore(pixels, size=Target(scale=scale))
    height, width = (library.c.lutra_outputs(side, scale) for side in shape)
    assert (height, width) == expected.shape
    assert np.array_equal(loaded(library, name).restore_to(pixels, (width, height), scale), expected)


@pytest.mark.parametrize("size", [(31, 3000), (9, 700), (20, 90), (33, 1)])
def test_tall_images_are_made_in_bands(library: Library, size: tuple[int, int]) -> None:
    pixels = random_image(1300, 20, 3, seed=1)
    found = loaded(library, "any-scale").restore_to(pixels, size, threads=2)
    assert np.array_equal(found, restorer("any-scale").restore(pixels, size=size))


def test_wide_images(library: Library) -> None:
    """Wider than a strip."""
    pixels = random_image(3, 1400, 1, seed=2).reshape(3, 1400)
    for size in ((2000, 4), (500, 9)):
        found = loaded(library, "any-scale").restore_to(pixels, size, threads=2)
        assert np.array_equal(found, restorer("any-scale").restore(pixels, size=size))


@given(size=st.integers(1, 5000), scale=st.floats(1e-9, 1e4) | st.decimals("0.001", 99, places=3).map(float))
def test_outputs_are_counted_as_in_python(library: Library, size: int, scale: float) -> None:
    assert library.c.lutra_outputs(size, scale) == outputs_of(size, scale)


def test_outputs_out_of_range(library: Library) -> None:
    count = library.c.lutra_outputs
    assert count(100, 1.1) == 110
    assert (count(1, 2.0**27), count(2**27, 1.0), count(1, 5e-324)) == (2**27, 2**27, 1)
    for size, scale in ((0, 2), (-1, 2), (2**27 + 1, 0.1), (9, 0), (9, -1), (9, float("nan")), (9, float("inf"))):
        assert count(size, scale) == 0
    assert count(2**27, 1.00000001) == count(2**20, 2.0**20) == count(1, 2.0**28) == 0


def test_rows_may_lie_anywhere(library: Library) -> None:
    own, around = loaded(library, "any-scale"), random_image(40, 60, 1, seed=1).reshape(40, 60)
    pixels, target = around[5:20, 7:30], np.full((50, 70), 9, np.uint8)
    for size in ((51, 33), (12, 33), (51, 7), (12, 7)):
        expected = own.restore_to(np.ascontiguousarray(pixels), size)
        place = (slice(3, 3 + size[1]), slice(4, 4 + size[0]))
        own.restore_to(pixels, size, out=target[place])
        assert np.array_equal(target[place], expected)
        target[place] = 9
        assert (target == 9).all()
        own.restore_to(pixels[::-1], size, out=target[place][::-1])
        assert np.array_equal(target[place][::-1], own.restore_to(np.ascontiguousarray(pixels[::-1]), size))
        target[place] = 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width or height is out of range"),
        ({"channels": 5}, "channels is out of range"),
        ({"out_width": 0}, "out_width or out_height is out of range"),
        ({"out_height": -1}, "out_width or out_height is out of range"),
        ({"out_height": 2**27 + 1}, "out_width or out_height is out of range"),
        ({"in_stride": 8}, "in_stride is less than a row"),
        ({"out_stride": 19}, "out_stride is less than a row"),
        ({"threads": -1}, "threads is negative"),
        ({"in": None}, "model, in or out is null"),
        ({"model": None}, "model, in or out is null"),
        ({"scale": -1.0}, "scale is out of range"),
        ({"scale": float("nan")}, "scale is out of range"),
        ({"scale": float("inf")}, "scale is out of range"),
        ({"scale": 0.5}, "the factor does not fit the sizes of the image and the result"),
        ({"scale": 1.5}, "the factor does not fit the sizes of the image and the result"),
    ],
)
def test_mistakes_of_the_caller(library: Library, change: dict[str, Any], message: str) -> None:
    own = loaded(library, "lerf-x4")
    pixels, out = np.zeros((7, 9), np.uint8), np.zeros((15, 20), np.uint8)
    arguments: dict[str, Any] = {
        "model": own.handle,
        **{"in": pixels.ctypes.data, "in_stride": 9, "width": 9, "height": 7, "channels": 1},
        **{"out": out.ctypes.data, "out_stride": 20, "out_width": 20, "out_height": 15, "scale": 0.0, "threads": 1},
    }
    assert library.c.lutra_restore_to(*arguments.values()) == 0
    assert library.c.lutra_restore_to(*(arguments | change).values()) == BAD_ARGUMENT
    assert message in library.c.lutra_error().decode()


def test_a_model_of_one_scale_makes_no_other(library: Library) -> None:
    own = library.load(to_bytes(model("mulut-dfc-x2")))
    assert own.fact("any_size") == 0
    with pytest.raises(Failed, match="the model restores at one scale alone") as failed:
        own.restore_to(image(9, 7), (14, 18))
    assert failed.value.status == BAD_ARGUMENT
