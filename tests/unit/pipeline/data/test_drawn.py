"""Dead leaves that are drawn once: by any number of processes, and again only when they would differ."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from lutra.imaging.images import write_image
from lutra.imaging.resize import imresize
from pipeline import PROJECT, declaration
from pipeline.data import sets
from pipeline.data.leaves import drawn
from pipeline.data.leaves.covering import Leaves
from pipeline.data.leaves.deadleaves import draw
from pipeline.params import DeadLeavesParams, Params
from pipeline.running.job import Job
from pipeline.stages import prepare

PALETTES = [np.random.Generator(np.random.Philox(key=key)).integers(0, 256, (20, 30, 3), np.uint8) for key in range(3)]
SETTINGS = DeadLeavesParams(images=5, size=32, most_radius=20, seed=3)
PHOTOGRAPHS = [
    drawn.Photograph(lambda number=number: str(number), lambda image=image: image)  # type: ignore[misc]
    for number, image in enumerate(PALETTES)
]

Image = NDArray[np.uint8]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the images that are drawn in this process."""
    numbers: list[int] = []

    def counted(leaves: Leaves, palette: Image, number: int, seed: int) -> Image:
        numbers.append(number)
        return draw(leaves, palette, number, seed)

    monkeypatch.setattr(drawn, "draw", counted)
    monkeypatch.setattr(drawn, "threads", lambda: 1)
    return numbers


@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_draws_the_same_images(
    processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "threads", lambda: processes)
    monkeypatch.setattr(drawn, "processors", lambda: processes)
    found = drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path)
    expected = [draw(Leaves(size=32, most_radius=20), PALETTES[number % 3], number, 3) for number in range(5)]
    assert np.array_equal(found, expected)
    assert all(np.array_equal(drawn.image(SETTINGS, PHOTOGRAPHS, number), expected[number]) for number in range(5))


def test_a_process_that_is_killed_ends_the_drawing_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "threads", lambda: 2)
    monkeypatch.setattr(drawn, "processors", lambda: 2)
    monkeypatch.setattr(drawn, "_follow_parent", os.abort)
    with pytest.raises(ValueError, match="a process that draws them was killed; if memory ran out, set"):
        drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["deadleaves.lock"]


def test_images_are_drawn_once(tmp_path: Path, count: list[int]) -> None:
    first = np.array(drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path))
    assert sorted(count) == [0, 1, 2, 3, 4]
    assert np.array_equal(drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path), first)
    assert len(count) == 5


def test_of_several_at_a_time_one_draws_and_others_wait(
    tmp_path: Path, count: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    waiting = threading.Semaphore(0)

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("waiting"):
            waiting.release()
        else:  # the one that draws begins when the others wait
            assert waiting.acquire(timeout=60) and waiting.acquire(timeout=60)

    monkeypatch.setattr(drawn, "_say", say)
    many = [threading.Thread(target=drawn.images, args=(SETTINGS, PHOTOGRAPHS, tmp_path)) for _ in range(3)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    assert sorted(count) == [0, 1, 2, 3, 4]
    assert said.count("waiting for another preparation, which draws the dead leaves") == 2 and len(said) == 3


@pytest.mark.parametrize("changes", [{"seed": 4}, {"images": 4}, {"size": 33}, {"exponent": 2.5}])
def test_other_parameters_give_other_images_which_take_their_place(
    changes: dict[str, Any], tmp_path: Path, count: list[int]
) -> None:
    drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path)
    other = SETTINGS.model_copy(update=changes)
    found = drawn.images(other, PHOTOGRAPHS, tmp_path)
    assert np.array_equal(found[3], drawn.image(other, PHOTOGRAPHS, 3))
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_other_photographs_or_code_draw_again(
    tmp_path: Path, count: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = tmp_path / "photographs", tmp_path / "cache"
    settings = SETTINGS.model_copy(update={"colours": str(folder)})
    for number, palette in enumerate(PALETTES):
        write_image(folder / f"{number}.png", palette)
    sets.resolve("deadleaves", leaves=settings, cache=cache)
    sets.resolve("deadleaves", leaves=settings, cache=cache)
    assert len(count) == 5
    write_image(folder / "1.png", 255 - PALETTES[1])
    changed = sets.resolve("deadleaves", leaves=settings, cache=cache)
    assert len(count) == 10
    assert np.array_equal(changed[1].read(), draw(Leaves(size=32, most_radius=20), 255 - PALETTES[1], 1, 3))
    monkeypatch.setattr(declaration, "content_hash", lambda *_: "changed")
    sets.resolve("deadleaves", leaves=settings, cache=cache)
    assert len(count) == 15


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_a_damaged_file_is_replaced(content: bytes | None, tmp_path: Path, count: list[int]) -> None:
    first = np.array(drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path))
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    assert np.array_equal(drawn.images(SETTINGS, PHOTOGRAPHS, tmp_path), first)
    assert len(count) == 10


def test_two_tasks_read_the_same_images(tmp_path: Path, count: list[int]) -> None:
    for number, palette in enumerate(PALETTES):
        write_image(tmp_path / "photographs" / f"{number}.png", imresize(palette, 2.0))
    folder = str(tmp_path / "photographs")
    leaves = {"images": 5, "size": 32, "most_radius": 20, "seed": 3, "colours": folder}
    params = Params.model_validate(
        {
            "data": {"train": "deadleaves", "evaluate": [folder], "validate": 1, "deadleaves": leaves},
            "tasks": {"x2": {"task": "sr", "scale": 2}, "denoise": {"task": "denoise", "sigma": 25}},
            "tracking": {"enabled": False},
            "experiments": {},
        }
    )
    for task in params.tasks:
        prepare.run(Job.of("prepare", params, tmp_path / "root", task=task))
    assert sorted(count) == [0, 1, 2, 3, 4]


SCRIPT = """
import sys
from pathlib import Path
from pipeline.data import sets
from pipeline.data.leaves import drawn

drawn.threads = drawn.processors = lambda: 2
if __name__ == "__main__":
    settings = drawn.DeadLeavesParams(images=400, colours="samples")
    sets.resolve("deadleaves", leaves=settings, cache=Path(sys.argv[1]))
"""


def test_a_kill_leaves_no_process_and_no_part_of_a_file(tmp_path: Path) -> None:
    cache, script = tmp_path / "cache", tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(cache)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(PROJECT)}) as process:
        workers: list[psutil.Process] = []
        while len(workers) < 3:  # the two that draw, and one of multiprocessing's own
            assert process.poll() is None
            workers = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(workers, timeout=60)[1]
    assert not list(cache.glob("*.npy"))
    assert list(cache.glob(".*.tmp")), "killed while it drew"
    drawn.images(SETTINGS, PHOTOGRAPHS, cache)
    assert len(list(cache.iterdir())) == 2  # the images and the lock
