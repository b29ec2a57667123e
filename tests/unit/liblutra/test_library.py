"""liblutra restores what Python restores, and reports what it cannot do."""

import ctypes
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lutra
from lutra import engine
from lutra.engine import plan_file
from lutra.engine.plan_file import to_bytes, write_plan
from lutra.model import artifact
from lutra.model.description import NetworkSpec, Step
from lutra.model.families import describe
from lutra.reference.build import untrained
from lutra.reference.convert import to_artifact
from lutra.restore.restorer import Restorer
from tests.golden.cases import COLOUR_UNITS, COLOURED, OUTPUTS, SIZES, input_of, model
from tests.unit.engine.engine_models import random_image
from tests.unit.engine.layered_models import filled
from tests.unit.liblutra.bound import BAD_ARGUMENT, BAD_PLAN, CANNOT_READ, Failed, Library
from tests.unit.liblutra.building import GOLDEN, SHIPPED

pytestmark = pytest.mark.xdist_group("liblutra")

EXPECTED = np.load(OUTPUTS)


@pytest.fixture(scope="module")
def plan() -> bytes:
    return to_bytes(model("mulut-dfc-x2"))


@pytest.mark.parametrize("level", ["portable", "avx2", "avx512"])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_outputs(library: Library, monkeypatch: pytest.MonkeyPatch, name: str, level: str) -> None:
    if level not in engine.levels():
        pytest.skip(f"this processor does not run {level}")
    monkeypatch.setenv("LUTRA_SIMD", level)
    loaded = library.load(to_bytes(model(name)))
    assert loaded.fact("level") == level.encode()
    for height, width in SIZES:
        assert np.array_equal(loaded.restore(input_of(name, height, width)), EXPECTED[f"{name}/{height}x{width}"])


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("name", SHIPPED)
def test_zoo_models_restore_as_in_python(
    library: Library, tmp_path: Path, name: str, channels: tuple[int, ...]
) -> None:
    write_plan(tmp_path / "model.lut", artifact.load(SHIPPED[name]))
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, *channels), dtype=np.uint8)
    own, loaded = artifact.load(SHIPPED[name]), library.load(tmp_path / "model.lut")
    if own.description.colours == 1:
        expected = engine.compile(own).restore(pixels)
    elif channels in ((), (3,)):
        expected = Restorer(own).restore_planes(pixels)
    else:
        with pytest.raises(Failed, match="the model restores three colours together"):
            loaded.restore(pixels)
        return
    for threads in (0, 1, 3):
        assert np.array_equal(loaded.restore(pixels, threads), expected)


def test_rows_may_lie_anywhere(library: Library, plan: bytes) -> None:
    loaded = library.load(plan)
    around = random_image(40, 60, 1, seed=1).reshape(40, 60)
    pixels = around[5:20, 7:30]
    expected = loaded.restore(np.ascontiguousarray(pixels))
    target = np.full((50, 70), 9, np.uint8)
    loaded.restore(pixels, out=target[3:33, 4:50])
    assert np.array_equal(target[3:33, 4:50], expected)
    target[3:33, 4:50] = 9
    assert (target == 9).all()
    loaded.restore(pixels[::-1], out=target[3:33, 4:50][::-1])
    assert np.array_equal(target[3:33, 4:50][::-1], loaded.restore(np.ascontiguousarray(pixels[::-1])))


def test_a_model_tells_what_it_is(library: Library) -> None:
    for name, path in SHIPPED.items():
        own, loaded = lutra.load(name), library.load(to_bytes(artifact.load(path)))
        description = own.artifact.description
        assert loaded.fact("scale") == own.scale
        assert loaded.fact("trained_planes") == ("each", "luma").index(own.artifact.trained_planes)
        assert loaded.fact("margin") == description.radius
        assert loaded.fact("colours") == description.colours
        assert loaded.fact("any_size") == own.any_size
        assert loaded.fact("title").decode().startswith(f"{description.family} x{own.scale}, {own.artifact.task}")
    deblock = library.load(to_bytes(artifact.load(SHIPPED["spf-light-deblock10"])))
    assert deblock.fact("title") == b"autolut x1, deblock (quality 10)"


def test_tiles_with_the_margin_around_them_give_the_whole(library: Library) -> None:
    apart = ("mulut-dfc-x2", "autolut-spflut-dfc-x2", "shiftlut-steps-x4", "tinylut-x2", "hklut-x4", "lerf-x4")
    for name in (*apart, *COLOURED, *COLOUR_UNITS):
        loaded = library.load(to_bytes(model(name)))
        scale, margin = loaded.fact("scale"), loaded.fact("margin")
        pixels = random_image(70, 80, loaded.fact("colours"), seed=3)
        whole = loaded.restore(pixels)
        top, left, size = 30, 33, 6
        tile = loaded.restore(pixels[top - margin : top + size + margin, left - margin : left + size + margin])
        inner = slice(margin * scale, (margin + size) * scale)
        expected = whole[top * scale : (top + size) * scale, left * scale : (left + size) * scale]
        assert np.array_equal(tile[inner, inner], expected), name


def test_versions(library: Library) -> None:
    root = Path(__file__).parents[3]
    assert library.c.lutra_abi() == 1 and "#define LUTRA_ABI 1" in (root / "liblutra/lutra.h").read_text()
    assert f'version = "{library.c.lutra_version().decode()}"' in (root / "pyproject.toml").read_text()


def test_a_plan_needs_tables(tmp_path: Path) -> None:
    network = untrained(describe("srlut", 2), NetworkSpec(width=4, depth=0))
    with pytest.raises(ValueError, match="the model is a network: export its tables first"):
        write_plan(tmp_path / "model.lut", to_artifact(network))
    assert not any(tmp_path.iterdir())


def test_a_plan_needs_taps_in_fixed_point() -> None:
    sampled = model("autolut-mulut-x4")
    real = replace(sampled, description=replace(sampled.description, tap_bits=None))
    with pytest.raises(ValueError, match="the model samples real-valued taps: export it in fixed point first"):
        to_bytes(real)


def test_a_plan_needs_steps_that_the_format_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_file, "KNOWN", (Step,))
    with pytest.raises(ValueError, match="a plan file cannot hold the step Residual of family hklut"):
        to_bytes(model("hklut-x4"))


@pytest.mark.parametrize("name", [*COLOURED, *COLOUR_UNITS])
def test_gray_is_restored_as_three_equal_colours(library: Library, name: str) -> None:
    """Wider than a strip; what Python's Restorer does."""
    loaded, pixels = library.load(to_bytes(model(name))), random_image(20, 700, 1, seed=5).reshape(20, 700)
    expected = Restorer(model(name)).restore(pixels)
    around = np.full((expected.shape[0], expected.shape[1] + 9), 7, np.uint8)
    for threads in (1, 3):
        assert np.array_equal(loaded.restore(pixels, threads), expected)
    loaded.restore(pixels, out=around[:, 4:-5])
    assert np.array_equal(around[:, 4:-5], expected) and (around[:, :4] == 7).all() and (around[:, -5:] == 7).all()


def test_colours_of_a_pixel_come_together(library: Library) -> None:
    together = filled(describe("shiftlut", 2, {"colours": 3}), np.random.default_rng(0))
    loaded = library.load(to_bytes(together))
    assert loaded.fact("colours") == 3
    pixels = random_image(9, 7, 3, seed=6)
    assert np.array_equal(loaded.restore(pixels), Restorer(together).restore(pixels))
    for channels in (2, 4):
        with pytest.raises(Failed, match="channels is neither 1 nor 3") as failed:
            loaded.restore(random_image(9, 7, channels))
        assert failed.value.status == BAD_ARGUMENT


def test_only_colours_need_version_2() -> None:
    """A model that restores planes by themselves, at one scale, stays readable by older libraries."""
    for name in GOLDEN:
        version, colours = np.frombuffer(to_bytes(model(name)), "<u4")[[2, 6]]
        any_size = model(name).description.any_size is not None
        assert (version, colours) == ((2, 3) if name in {**COLOURED, **COLOUR_UNITS} else (3 if any_size else 1, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width or height is out of range"),
        ({"height": -1}, "width or height is out of range"),
        ({"width": 2**30, "in_stride": 2**40}, "width or height is out of range"),
        ({"channels": 5}, "channels is out of range"),
        ({"channels": 0}, "channels is out of range"),
        ({"threads": -1}, "threads is negative"),
        ({"in_stride": 8}, "in_stride is less than a row"),
        ({"in_stride": -8}, "in_stride is less than a row"),
        ({"in_stride": 2**62}, "in_stride is less than a row, or too large"),
        ({"in_stride": -(2**63)}, "in_stride is less than a row, or too large"),
        ({"out_stride": 17}, "out_stride is less than a row"),
        ({"out_stride": 2**61}, "out_stride is less than a row, or too large"),
        ({"in": None}, "model, in or out is null"),
        ({"out": None}, "model, in or out is null"),
        ({"model": None}, "model, in or out is null"),
    ],
)
def test_mistakes_of_the_caller(library: Library, plan: bytes, change: dict[str, Any], message: str) -> None:
    loaded = library.load(plan)
    pixels, out = np.zeros((7, 9), np.uint8), np.zeros((14, 18), np.uint8)
    arguments: dict[str, Any] = {
        "model": loaded.handle,
        **{"in": pixels.ctypes.data, "in_stride": 9, "width": 9, "height": 7, "channels": 1},
        **{"out": out.ctypes.data, "out_stride": 18, "threads": 1},
    }
    assert library.c.lutra_restore(*arguments.values()) == 0
    assert library.c.lutra_restore(*(arguments | change).values()) == BAD_ARGUMENT
    assert message in library.c.lutra_error().decode()


def test_out_may_not_be_in(library: Library) -> None:
    loaded = library.load(to_bytes(model("spflut-dfc-x1")))
    pixels = np.zeros((4, 4), np.uint8)
    with pytest.raises(Failed, match="out shares memory with in"):
        loaded.restore(pixels, out=pixels)


def test_null_pointers_of_loading_and_asking(library: Library) -> None:
    c, handle = library.c, ctypes.c_void_p()
    assert c.lutra_load_file(None, ctypes.byref(handle)) == BAD_ARGUMENT
    assert c.lutra_load_memory(None, 40, ctypes.byref(handle)) == BAD_ARGUMENT
    assert c.lutra_load_memory(b"", 0, None) == BAD_ARGUMENT
    assert (c.lutra_scale(None), c.lutra_margin(None), c.lutra_title(None), c.lutra_level(None)) == (0, 0, b"", b"")
    assert c.lutra_any_size(None) == 0
    c.lutra_free(None)


def test_files_that_cannot_be_read(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "absent.lut", tmp_path):
        with pytest.raises(Failed, match=f"{path}: ") as failed:
            library.load(path)
        assert failed.value.status == CANNOT_READ
    (tmp_path / "empty.lut").write_bytes(b"")
    with pytest.raises(Failed, match=r"empty\.lut: plan file: it does not begin as a plan file does") as failed:
        library.load(tmp_path / "empty.lut")
    assert failed.value.status == BAD_PLAN


def test_an_unknown_vector_level(library: Library, plan: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTRA_SIMD", "mmx")
    with pytest.raises(Failed, match="vector level 'mmx': this processor has portable") as failed:
        library.load(plan)
    assert failed.value.status == BAD_ARGUMENT


def test_each_thread_has_its_own_error_and_shares_the_model(library: Library, plan: bytes) -> None:
    loaded = library.load(plan)
    pixels = random_image(40, 50, 3, seed=2)
    expected, found = loaded.restore(pixels), {}
    with pytest.raises(Failed, match="wrong"):
        library.load(plan[:-1] + bytes([plan[-1] ^ 1]))

    def work(number: int) -> None:
        before = library.c.lutra_error()
        same = all(np.array_equal(loaded.restore(pixels, threads=2), expected) for _ in range(5))
        with pytest.raises(Failed):
            library.load(bytes(number))
        found[number] = (before, same, library.c.lutra_error())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: (b"", True, b"plan file: it does not begin as a plan file does") for number in range(4)}
    assert library.c.lutra_error() == b"plan file: its checksum is wrong: it is damaged"
