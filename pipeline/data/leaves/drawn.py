"""Dead leaves, drawn once for all tasks: a file under the root keeps them, and every preparation reads it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from lutra.files import write_whole
from lutra.imaging.colour import to_three_channels
from lutra.limits import processors, threads
from pipeline import PROJECT, code, declaration
from pipeline.data.leaves.covering import Leaves
from pipeline.data.leaves.deadleaves import draw
from pipeline.data.locking import locked
from pipeline.params import DeadLeavesParams

Image = NDArray[np.uint8]
_CODE = "pipeline.data.sets"
"""Module that reads the photographs and, through this one, draws."""
_PARAMETERS = {"least_radius", "most_radius", "exponent", "rich"}
_MOST_PROCESSES = 8  # each takes memory
_PROCESS = 60 << 20  # bytes: Python, NumPy and Pillow
_PIXEL = 140  # bytes for every pixel of the canvas that an image is drawn on
_AHEAD = 4  # images for each process that are waited for or being drawn, so that memory does not grow with the set


@dataclass(frozen=True)
class Photograph:
    """An image that dead leaves take their colours from."""

    identity: Callable[[], str]
    """Returns text that differs where the pixels do."""
    read: Callable[[], Image]


def images(settings: DeadLeavesParams, photographs: Sequence[Photograph], cache: Path) -> Image:
    """Return the dead leaves that params.yaml describes, after drawing those that the cache does not hold.

    The first preparation draws them under a lock, and others that run at the same time wait for it. Images that were
    drawn with other parameters, photographs or code are removed.

    Args:
        settings: the parameters.
        photographs: the images that give the colours; image i takes those of photograph i modulo their number.
        cache: the folder that keeps the images; it need not exist.

    Returns:
        (N, size, size, 3) uint8, memory-mapped.

    Raises:
        ValueError, OSError: a photograph cannot be read, a process was ended, or the images cannot be written.
    """
    path = cache / f"deadleaves-{_key(settings, photographs)}.npy"
    shape = (settings.images, settings.size, settings.size, 3)
    cache.mkdir(parents=True, exist_ok=True)
    with locked(
        cache / "deadleaves.lock", lambda: _say("waiting for another preparation, which draws the dead leaves")
    ):
        if (found := _read(path, shape)) is not None:
            return found
        for other in (*cache.glob("deadleaves-*.npy"), *cache.glob(".deadleaves-*.tmp")):  # those of killed runs
            other.unlink(missing_ok=True)
        write_whole(path, lambda file: _write(file, shape, _drawn(settings, photographs)))
    found = _read(path, shape)
    assert found is not None
    return found


def image(settings: DeadLeavesParams, photographs: Sequence[Photograph], number: int) -> Image:
    """Draw one of the images that `images` returns: (size, size, 3) uint8."""
    palette = to_three_channels(photographs[number % len(photographs)].read())
    return draw(_leaves(settings), palette, number, settings.seed)


def processes(settings: DeadLeavesParams) -> int:
    """Return how many processes draw the images: one for each thread of the stage, at most eight."""
    return min(threads(), processors(), settings.images, _MOST_PROCESSES)


def disk(settings: DeadLeavesParams) -> int:
    """Return how many bytes the images take on disk."""
    return settings.images * settings.size**2 * 3


def memory_needed(settings: DeadLeavesParams) -> int:
    """Return about how many bytes the processes that draw the images take in memory, all together."""
    return processes(settings) * (_PROCESS + _PIXEL * (settings.size * _leaves(settings).oversampling) ** 2)


def _key(settings: DeadLeavesParams, photographs: Sequence[Photograph]) -> str:
    """Return a hash of all that the images depend on."""
    parts = {
        "settings": settings.model_dump(mode="json"),
        "photographs": [photograph.identity() for photograph in photographs],
        "code": declaration.content_hash(code.files_of(_CODE, PROJECT)),
        "versions": [version(package) for package in ("numpy", "pillow")],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path, shape: tuple[int, ...]) -> Image | None:
    """Return the images of a file, memory-mapped; None if it is not there or not whole."""
    try:
        found: Image = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found if found.dtype == np.uint8 and found.shape == shape else None


def _write(file: BinaryIO, shape: tuple[int, ...], drawn: Iterator[tuple[int, Image]]) -> None:
    """Write a .npy file of images that come in any order, with their numbers."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    start = file.tell()
    for number, image in drawn:
        file.seek(start + number * image.nbytes)
        file.write(image.tobytes())


def _drawn(settings: DeadLeavesParams, photographs: Sequence[Photograph]) -> Iterator[tuple[int, Image]]:
    """Yield all images with their numbers, photograph after photograph, so that each is read once."""
    count = processes(settings)
    _say(f"drawing {settings.images} dead leaves in {count} process{'es' if count > 1 else ''}, once for all tasks")
    tasks = (
        (_leaves(settings), palette, number, settings.seed)
        for first, photograph in enumerate(photographs)
        if first < settings.images
        for palette in (to_three_channels(photograph.read()),)
        for number in range(first, settings.images, len(photographs))
    )
    results = _in_this_process(tasks) if count == 1 else _in_processes(tasks, count)
    hidden = not sys.stderr.isatty()
    yield from track(results, "dead leaves", settings.images, console=Console(stderr=True), disable=hidden)


def _leaves(settings: DeadLeavesParams) -> Leaves:
    return Leaves(settings.size, **settings.model_dump(include=_PARAMETERS))


_Task = tuple[Leaves, Image, int, int]


def _in_this_process(tasks: Iterator[_Task]) -> Iterator[tuple[int, Image]]:
    for task in tasks:
        yield task[2], draw(*task)


def _in_processes(tasks: Iterator[_Task], count: int) -> Iterator[tuple[int, Image]]:
    """Yield what processes draw. NumPy's short steps hold Python's lock, so that threads would wait for one another."""
    waiting: deque[tuple[int, Future[Image]]] = deque()
    try:
        with ProcessPoolExecutor(count, get_context("spawn"), _follow_parent) as pool:
            for task in tasks:
                waiting.append((task[2], pool.submit(draw, *task)))
                if len(waiting) > _AHEAD * count:
                    number, future = waiting.popleft()
                    yield number, future.result()
            for number, future in waiting:
                yield number, future.result()
    except BrokenProcessPool:
        advice = "if memory ran out, set OMP_NUM_THREADS to 1, or lower data.deadleaves.size"
        raise ValueError(f"dead leaves: a process that draws them was killed; {advice}") from None


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent process, and end when that ends, even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
