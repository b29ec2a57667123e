"""Run a model's planes: on the compiled engine, or through torch."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lutra import _core, distribution, engine, limits
from lutra.model.anysize import Geometry
from lutra.model.artifact import Artifact
from lutra.restore.sizes import Size, Target

Pixels = NDArray[np.uint8]


class RunsPlanes(Protocol):
    """Protocol of a function that runs a model."""

    def __call__(
        self, pixels: Pixels, threads: int | None, out: Pixels | None, layout: Geometry | None = None
    ) -> Pixels:
        """Restore planes (H, W) or (H, W, 3), into `out` where there is one; `layout` None: at the model's scale."""
        ...


class Restores(Protocol):
    """Protocol of an object that restores one picture."""

    artifact: Artifact
    name: str
    backend: str

    @property
    def scale(self) -> int:
        """The factor by which each side of an image grows."""
        ...

    def sizes(self, width: int, height: int, target: Target | None) -> tuple[Size, Size]:
        """Return the size of the model's output for a picture of that size, and the size of the result."""
        ...

    def restore_planes(self, image: Pixels, *, threads: int | None = None) -> Pixels:
        """Restore planes that are already those the model was trained on."""
        ...

    def restore(self, image: Any, *, size: Size | Target | None = None, threads: int | None = None) -> Any:
        """Restore a picture."""
        ...


torch_lock = threading.Lock()  # the whole process shares torch's number of threads
_parent_had_torch = False


def _after_fork() -> None:
    """Replace the lock in a forked child, because a thread that only the parent has may hold it.

    OpenMP's threads do not exist there either, and GCC's OpenMP would wait for them, so torch computes with one thread.
    """
    global torch_lock, _parent_had_torch
    torch_lock, _parent_had_torch = threading.Lock(), "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def suits_engine(model: Artifact) -> bool:
    """Return whether a model is all tables, in fixed point."""
    real = model.description.tap_bits is None and any(name.endswith((".sampler", ".adarl")) for name in model.tensors)
    return model.is_tables and not real


def engine_run(model: Artifact) -> RunsPlanes:
    """Return what runs a model on the compiled engine."""
    compiled = engine.compile(model)

    def run(pixels: Pixels, threads: int | None, out: Pixels | None, layout: Geometry | None = None) -> Pixels:
        if layout is None:
            return compiled.restore(pixels, threads=threads, out=out)
        assert isinstance(compiled, engine.AnySizeEngine)
        return compiled.restore_at(pixels, layout, threads=threads, out=out)

    return run


def torch_run(model: Artifact, device: str) -> RunsPlanes:
    """Return what runs a model through torch; raises ValueError if nothing that is installed runs it on that device."""
    limits.wait_passively()
    try:
        import torch

        from lutra.reference.convert import from_artifact
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError(f"{_why_torch(model, device)}; `{distribution.pip_install('train')}` installs torch") from None
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device is {device!r}, expected cpu or cuda") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but torch finds no CUDA device here")
    if device == "cpu" and not engine.available() and not _core.broken:  # otherwise a warning has stated why
        slow = "the compiled engine is not installed, so torch restores, many times slower"
        way = f"`{distribution.pip_install(rebuild=True)}` builds it where there is a C++ compiler"
        warnings.warn(f"{slow}; {way}", RuntimeWarning, stacklevel=4)
    ready = from_artifact(model).to(place)

    def run(pixels: Pixels, threads: int | None, out: Pixels | None, layout: Geometry | None = None) -> Pixels:
        with torch_lock:
            before = torch.get_num_threads()
            wanted = threads or min(before, limits.processors())
            torch.set_num_threads(1 if _parent_had_torch else wanted)
            try:
                restored = ready.restore_image(pixels, layout)
            finally:
                torch.set_num_threads(before)
        if out is None:
            return restored
        out[...] = restored
        return out

    return run


def _why_torch(model: Artifact, device: str) -> str:
    if device != "cpu":
        return f"device {device!r} needs torch"
    if not engine.available():
        why = f"{_core.reason}; reinstall" if _core.broken else "reinstall"
        return f"restoring needs the compiled engine ({why} lutra where there is a C++ compiler) or torch"
    return "the model is a network or samples real-valued taps, which needs torch"
