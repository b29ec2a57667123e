"""The engine's interface: shapes, threads, buffers, what it refuses; and that no plan can make the core crash."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lutra import engine, limits
from lutra.imaging.images import read_image
from lutra.model.layouts import DenseLayout
from lutra.model.published.tables import read_tables
from tests.unit.engine.engine_models import Image, random_image, random_model

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")
LEVELS = engine.levels() if engine.available() else []
DENSE = DenseLayout(6)


@pytest.fixture(scope="module")
def runner() -> engine.Engine:
    return engine.compile(random_model("mulut", 2, {}, DENSE))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_are_restored_on_their_own(runner: engine.Engine, channels: int) -> None:
    image = random_image(9, 14, channels)
    whole = runner.restore(image)
    assert whole.shape == (18, 28, channels)
    for channel in range(channels):
        assert np.array_equal(whole[..., channel], runner.restore(image[..., channel]))


def test_views_give_what_copies_give(runner: engine.Engine) -> None:
    image = random_image(20, 31, 4)
    for view in (image[::-1, ::2], image.transpose(1, 0, 2), image[3:, 5:, :3], image[..., 1]):
        assert np.array_equal(runner.restore(view), runner.restore(view.copy()))


def test_result_goes_where_it_is_asked_to(runner: engine.Engine) -> None:
    image = random_image(5, 6, 3)
    out = np.empty((10, 12, 3), np.uint8)
    assert runner.restore(image, out=out) is out
    assert np.array_equal(out, runner.restore(image))
    shared = np.zeros(1000, np.uint8)
    with pytest.raises(ValueError, match="shares memory"):
        runner.restore(shared[:90].reshape(5, 6, 3), out=shared[:360].reshape(10, 12, 3))
    wrongs: list[Any] = [
        np.empty((10, 12), np.uint8),
        np.empty((10, 12, 3), np.int8),
        np.empty((10, 24, 3), np.uint8)[:, ::2],
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="out is"):
            runner.restore(image, out=wrong)
    with pytest.raises(ValueError, match=r"^out is list, expected an array of contiguous uint8"):
        runner.restore(image, out=[])  # type: ignore[arg-type]
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is"):
        runner.restore(image, out=out)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.float32), "float32"),
        (np.zeros((4, 4, 5), np.uint8), "5 channels"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        (np.zeros((4, 4, 0), np.uint8), r"\(4, 4, 0\)"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
    ],
)
def test_images_of_other_kinds_are_refused(runner: engine.Engine, image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runner.restore(image)


def test_threads_change_nothing(runner: engine.Engine) -> None:
    for size in ((1, 1), (7, 3), (100, 40)):
        image = random_image(*size, 3)
        one = runner.restore(image, threads=1)
        for threads in (2, 3, 16, 5000):
            assert np.array_equal(runner.restore(image, threads=threads), one)
    assert np.array_equal(runner.restore(image, threads=np.int64(2)), one)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", 2.0])
def test_a_number_of_threads_that_is_none_is_refused(runner: engine.Engine, threads: Any) -> None:
    with pytest.raises(ValueError, match=rf"^threads is {threads!r}, expected a whole number of at least 1$"):
        runner.restore(random_image(3, 3), threads=threads)


def test_a_quota_bounds_the_threads_of_a_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Core:
        scale = colours = 1

        def restore(self, image: Image, out: Image, threads: int) -> None:
            asked.append(threads)

    monkeypatch.setattr(limits, "_quota", lambda: 1)
    engine.Engine(Core()).restore(random_image(3, 3))
    engine.Engine(Core()).restore(random_image(3, 3), threads=5)
    assert asked == [1, 5]


def test_one_engine_serves_many_threads(runner: engine.Engine) -> None:
    images = [random_image(30 + 7 * i, 60 - 5 * i, 1 + i % 4, seed=i) for i in range(8)]
    expected = [runner.restore(image) for image in images]
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        found[i] = [runner.restore(images[i], threads=2) for _ in range(5)]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(np.array_equal(one, expected[i]) for i in range(8) for one in found[i])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_threads_of_its_own(runner: engine.Engine) -> None:
    """Run in a process of its own: pytest's may hold threads that a fork would warn of."""
    code = """
import os, sys, numpy as np
from lutra import engine
from tests.unit.engine.engine_models import DenseLayout, random_image, random_model
runner, image = engine.compile(random_model("mulut", 2, {}, DenseLayout(6))), random_image(90, 40, 3)
expected = runner.restore(image, threads=3)
child = os.fork()
if not child:
    os._exit(not np.array_equal(runner.restore(image, threads=3), expected))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_level_is_chosen_by_argument_and_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("srlut", 2, {}, DENSE)
    assert engine.compile(model).level == LEVELS[-1]
    assert engine.compile(model, level="portable").level == "portable"
    monkeypatch.setenv(engine.LEVEL_VARIABLE, "portable")
    assert engine.compile(model).level == "portable"
    with pytest.raises(ValueError, match="vector level 'mmx': this processor has portable"):
        engine.compile(model, level="mmx")


def test_real_taps_are_refused() -> None:
    model = random_model("autolut", 2, {}, DENSE)
    model = replace(model, description=replace(model.description, tap_bits=None))
    with pytest.raises(ValueError, match="real-valued taps"):
        engine.compile(model)


PUBLISHED = {
    "srlut-x2": ("srlut", 2, "srlut", "Model_S_x2_4bit_int8.npy", "srlut/expected_x2_4bit", "resize/double_x2"),
    **{
        f"srlut-x4-{bits}": (
            "srlut", 4, "srlut", f"Model_S_x4_{bits}bit_int8.npy", f"srlut/expected_x4_{bits}bit", "resize/double_x4",
        )
        for bits in (4, 5, 6, 8)
    },
    "mulut": ("mulut", 4, "mulut", "LUT_ft_*.npy", "mulut/expected_x4", "resize/uint8_x4"),
}  # fmt: skip


@pytest.mark.reference
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_images(reference: Callable[[str], Path], name: str, level: str) -> None:
    family, scale, folder, files, expected, small = PUBLISHED[name]
    runner = engine.compile(read_tables(sorted(reference(folder).glob(files)), family, scale), level=level)
    images = sorted(reference(expected).glob("*.png"))
    assert images
    for path in images:
        assert np.array_equal(runner.restore(read_image(reference(small) / path.name)), read_image(path)), path.name


@pytest.mark.reference
@pytest.mark.parametrize("level", LEVELS)
def test_published_cascade_with_dfc(reference: Callable[[str], Path], level: str) -> None:
    model = read_tables(sorted(reference("spflut/dfc").glob("*.npy")), "spflut", 4)
    got = engine.compile(model, level=level).restore(read_image(reference("spflut/input.png")))
    expected = np.load(reference("spflut/expected_table_dfc.npy")).clip(0, 255)
    assert np.array_equal(got, np.moveaxis(expected, 0, -1))


WRONG = st.sampled_from([-(2**40), -129, -2, -1, 0, 1, 2, 3, 15, 16, 64, 65, 255, 257, 4097, 2**31, 2**40])
NEAR = st.integers(0, 6)
Plan = dict[str, list[Any]]


def valid_plan() -> Plan:
    """The numbers of a plan that runs: two steps, taps of all three kinds."""
    dense = [5, 0, 0, 0]
    weights = np.zeros((4, 9), np.int16)
    weights[:, 0] = 2**14
    table = np.arange(6561 * 4, dtype=np.int64).astype(np.int8)
    return {
        "builder": [5, 2, False, 0, 6],
        "step 1": [[1, 2, 3, 4], 2, 3, 1, 4],
        "fixed": [0, -1, [0, 0, 0, 0], [(0, 0), (0, 1), (1, 0), (1, 1)], dense, table.reshape(6561, 4)],
        "sampled": [0, 0, [1, 2, 3, 4], weights, dense, table.reshape(6561, 4)],
        "step 2": [[], 1, 0, 2, 1],
        "channel": [[1, 2, 3, 4], dense, table.reshape(6561, 4)],
    }


def run_plan(plan: Plan) -> bool:
    """Run it; return whether it was accepted."""
    from lutra._core import _lutra as core

    try:
        built = core.Builder(*plan["builder"])
        built.step(*plan["step 1"])
        built.fixed(*plan["fixed"])
        built.sampled(*plan["sampled"])
        built.step(*plan["step 2"])
        built.channel(*plan["channel"])
        runner = core.Engine(built)
        image = np.random.default_rng(0).integers(0, 256, (2, 9, 70), dtype=np.uint8).reshape(9, 70, 2)
        runner.restore(image, np.zeros((9 * runner.scale, 70 * runner.scale, 2), np.uint8), 2)
    except (ValueError, TypeError):
        return False
    return True


def test_the_plan_that_is_mutated_runs() -> None:
    assert run_plan(valid_plan())


@settings(max_examples=int(os.environ.get("LUTRA_EXAMPLES", 300)), deadline=None)
@given(data=st.data())
def test_no_plan_crashes_the_core(data: st.DataObject) -> None:
    """Whatever one or two numbers of a plan that runs are changed to, the core runs it or raises."""
    plan = valid_plan()
    for _ in range(data.draw(st.sampled_from([1, 1, 2]))):
        numbers = plan[data.draw(st.sampled_from(sorted(plan)))]
        place = data.draw(st.integers(0, len(numbers) - 1))
        _change(numbers, place, data)
    event("ran" if run_plan(plan) else "refused")


def _change(numbers: list[Any], place: int, data: st.DataObject) -> None:
    value = numbers[place]
    if isinstance(value, np.ndarray):
        shape = tuple(data.draw(st.sampled_from([0, 1, max(0, size - 1), size, size + 1])) for size in value.shape)
        numbers[place] = np.resize(value, shape) if np.prod(shape) else np.zeros(shape, value.dtype)
    elif isinstance(value, list) and value:
        inner = data.draw(st.integers(0, len(value) - 1))
        value = numbers[place] = list(value)
        pair = isinstance(value[inner], tuple)
        value[inner] = (data.draw(NEAR), data.draw(NEAR)) if pair else data.draw(NEAR | WRONG)
    elif isinstance(value, bool):
        numbers[place] = not value
    elif isinstance(value, int):
        numbers[place] = data.draw(NEAR | WRONG | st.integers(value - 1, value + 1))


def test_core_checks_images() -> None:
    runner: Any = engine.compile(random_model("srlut", 2, {}, DENSE))._core
    image = np.zeros((3, 4, 2), np.uint8)
    for out in (np.zeros((6, 8, 3), np.uint8), np.zeros((6, 7, 2), np.uint8), np.zeros((0, 0, 0), np.uint8)):
        with pytest.raises(ValueError, match="output"):
            runner.restore(image, out, 1)
    with pytest.raises(TypeError):
        runner.restore(image.astype(np.int16), np.zeros((6, 8, 2), np.uint8), 1)
