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
from lutra.model.anysize import CORRELATION, CURVE, POLYNOMIAL, POWERS, STEEPNESS, Geometry, Grid
from lutra.model.artifact import Artifact

__all__ = ["AnySizeEngine", "Engine", "available", "compile", "levels"]

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
    built = core.Engine(build(artifact, core.Builder), level)
    if artifact.description.any_size:
        numbers = np.stack([STEEPNESS, CORRELATION, CURVE])
        replicate = artifact.description.any_size.border == "replicate"
        resampler = core.Resampler(numbers, POWERS, POLYNOMIAL, replicate, level)
        return AnySizeEngine(built, resampler, artifact.description.scale)
    return Engine(built)


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
    def colours(self) -> int:
        """The number of channels that are restored together."""
        return int(self._core.colours)

    @property
    def level(self) -> str:
        """The level of vector instructions in use."""
        return str(self._core.level)

    def restore(
        self, image: NDArray[np.uint8], *, threads: int | None = None, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Restore an image, each channel on its own, or red, green and blue together if the model reads them so.

        Args:
            image: (H, W) or (H, W, C) uint8, C = 1..4, or 3 for a model of three colours.
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
        image = _checked(image, threads)
        pixels = _with_channels(image)
        if pixels.shape[2] % self.colours:
            raise ValueError(f"image has {pixels.shape[2]} channels, expected {self.colours}")
        height, width = image.shape[:2]
        out = _made(out, image, (height * self.scale, width * self.scale))
        self._core.restore(pixels, _with_channels(out), _count(threads))
        return out


class AnySizeEngine(Engine):
    """A model ready to run that makes results of any size."""

    def __init__(self, core: Any, resampler: Any, scale: int) -> None:
        """Take a compiled plan, the resampling after it, and the factor of calls that ask for no size."""
        super().__init__(core)
        self._resampler, self._scale = resampler, scale

    @property
    def scale(self) -> int:
        """The factor by which each side of an image grows where a call asks for no size."""
        return self._scale

    def restore(
        self, image: NDArray[np.uint8], *, threads: int | None = None, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Restore an image, enlarged by the model's scale, as `Engine.restore` does."""
        image = _checked(image, threads)
        height, width = image.shape[:2]
        return self.restore_at(image, Grid.scaled(height, width, self.scale), threads=threads, out=out)

    def restore_at(
        self,
        image: NDArray[np.uint8],
        layout: Geometry,
        *,
        threads: int | None = None,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Restore an image, with outputs at other places.

        Args:
            image, threads: as in `restore`.
            layout: where the outputs lie.
            out: as in `restore`; of the layout's shape.

        Returns:
            (rows, columns) or (rows, columns, C) uint8; the values do not depend on `threads`.

        Raises:
            ValueError, KeyboardInterrupt: as `restore` does.
        """
        image = _checked(image, threads)
        out = _made(out, image, layout.shape)
        pixels, result = _with_channels(image), _with_channels(out)
        planes = np.empty((pixels.shape[2], 4, *pixels.shape[:2]), np.uint8)
        self._core.planes(pixels, planes, _count(threads))
        row = 0
        for rows, columns in layout.bands():
            band = result[row : row + len(rows.first)]
            resample = self._resampler.grid if rows.first.ndim == 1 else self._resampler.points
            resample(planes, rows.first, rows.distance, columns.first, columns.distance, band, _count(threads))
            row += len(band)
        return out


def _checked(image: NDArray[np.uint8], threads: object) -> NDArray[np.uint8]:
    """Return an image after checking it; raises ValueError."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"image is {image.dtype} of shape {image.shape}, expected uint8 (H, W) or (H, W, C)")
    if image.ndim == 3 and image.shape[2] > 4:
        raise ValueError(f"image has {image.shape[2]} channels, expected 1 to 4")
    check_threads(threads)
    return image


def _made(out: NDArray[np.uint8] | None, image: NDArray[np.uint8], sides: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the array of a result with those rows and columns: a new one, or `out` after checking it."""
    if out is None:
        return np.empty((*sides, *image.shape[2:]), np.uint8)
    check_out(out, image, sides)
    return out


def _with_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image).reshape(*image.shape[:2], -1)


def _count(threads: int | None) -> int:
    return min(threads or limits.processors(), 1024)


def check_threads(threads: object) -> None:
    """Raise ValueError unless `threads` is None or a whole number of at least 1."""
    if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
        raise ValueError(f"threads is {threads!r}, expected a whole number of at least 1")


def check_out(out: NDArray[np.uint8], image: NDArray[np.uint8], sides: tuple[int, int]) -> None:
    """Raise ValueError unless `out` is an array that the restored `image` of those rows and columns fits into."""
    shape = (*sides, *image.shape[2:])
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
