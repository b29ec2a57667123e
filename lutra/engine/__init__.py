"""Compiled inference: an artifact becomes a flat plan, the plan runs. Needs no torch; equal to its reference."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra import limits
from lutra._core import available, core, reason
from lutra.engine.layer_plan import build_layers
from lutra.engine.plan import build
from lutra.engine.residual_plan import build_residuals
from lutra.model.artifact import Artifact

__all__ = ["Engine", "available", "compile", "levels"]

LEVEL_VARIABLE = "LUTRA_SIMD"
"""The environment variable that forces a level of vector instructions, one of `levels()`."""


def levels() -> list[str]:
    """Return the levels of vector instructions that this processor runs, slowest first."""
    _require_core()
    return core.levels()


def compile(artifact: Artifact, *, level: str | None = None) -> Engine:
    """Make a model of tables ready to run.

    Args:
        artifact: a model of layers or residuals, or one whose units are all tables, with sampled taps in fixed point.
        level: "portable", "avx2", "avx512" or "neon"; None for $LUTRA_SIMD, or else the best that this processor runs.

    Raises:
        ValueError: the model is a network, or this processor does not run that level.
        RuntimeError: there is no compiled core, or it does not load.
    """
    _require_core()
    level = level if level is not None else os.environ.get(LEVEL_VARIABLE, "")
    if artifact.description.is_layered:
        return Engine(core.Engine(build_layers(artifact, core.LayerBuilder), level))
    if not artifact.description.has_units:
        return Engine(core.Engine(build_residuals(artifact, core.ResidualBuilder), level))
    return Engine(core.Engine(build(artifact, core.Builder), level))


class Engine:
    """A model ready to run. It may be used from several threads at once, and keeps its buffers between calls."""

    def __init__(self, core: Any) -> None:
        """Take a compiled plan; `compile` makes one of a model."""
        self._core = core

    @property
    def scale(self) -> int:
        """The factor by which each side of an image grows."""
        return int(self._core.scale)

    @property
    def level(self) -> str:
        """The level of vector instructions in use."""
        return str(self._core.level)

    def restore(
        self, image: NDArray[np.uint8], *, threads: int | None = None, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Restore an image, each channel on its own.

        Args:
            image: (H, W) or (H, W, C) uint8, C = 1..4.
            threads: the number of threads; None for one per processor that this process may use.
            out: a C-contiguous uint8 array of the result's shape that shares no memory with `image`, or None for a
                new one.

        Returns:
            (scale * H, scale * W) or (scale * H, scale * W, C) uint8; the values do not depend on `threads`.

        Raises:
            ValueError: the image or `out` has another type or shape, or `threads` is no positive whole number.
            KeyboardInterrupt: Ctrl-C was pressed; raised within a fraction of a second on the main thread, where the
                handlers of other signals run too. `out` is then incomplete.
        """
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"image is {image.dtype} of shape {image.shape}, expected uint8 (H, W) or (H, W, C)")
        if image.ndim == 3 and image.shape[2] > 4:
            raise ValueError(f"image has {image.shape[2]} channels, expected 1 to 4")
        check_threads(threads)
        height, width = image.shape[:2]
        shape = (height * self.scale, width * self.scale, *image.shape[2:])
        if out is None:
            out = np.empty(shape, np.uint8)
        else:
            check_out(out, image, self.scale)
        channels = image.shape[2] if image.ndim == 3 else 1
        planar = np.ascontiguousarray(image).reshape(height, width, channels)
        result = out.reshape(*shape[:2], channels)
        self._core.restore(planar, result, min(threads or limits.processors(), 1024))
        return out


def check_threads(threads: object) -> None:
    """Raise ValueError unless `threads` is None or a whole number of at least 1."""
    if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
        raise ValueError(f"threads is {threads!r}, expected a whole number of at least 1")


def check_out(out: NDArray[np.uint8], image: NDArray[np.uint8], scale: int) -> None:
    """Raise ValueError unless `out` is an array that the restored `image` can be written to."""
    shape = (image.shape[0] * scale, image.shape[1] * scale, *image.shape[2:])
    if not isinstance(out, np.ndarray):
        raise ValueError(f"out is {type(out).__name__}, expected an array of contiguous uint8 {shape}")
    if out.dtype != np.uint8 or out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out is {out.dtype} of shape {out.shape}, expected contiguous uint8 {shape}")
    if np.may_share_memory(out, image):
        raise ValueError("out shares memory with the image")


def _require_core() -> None:
    if not available():
        raise RuntimeError(
            f"the compiled engine is not available: {reason}; install lutra where there is a C++ compiler"
        )
