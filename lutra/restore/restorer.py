"""Restore arrays and Pillow images by a model: on the compiled engine where there is one, else through torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any, overload

import numpy as np
from PIL import Image

from lutra import engine
from lutra.imaging.alpha import enlarge_alpha, fill_hidden
from lutra.imaging.colour import luma, with_luma
from lutra.imaging.degrade import Unclipped
from lutra.imaging.images import is_opaque
from lutra.model import artifact
from lutra.model.anysize import Geometry, Warp
from lutra.model.artifact import Artifact
from lutra.restore import sources
from lutra.restore.anyform import AnyForm
from lutra.restore.axes import checked, through_pixels
from lutra.restore.running import Pixels, engine_run, suits_engine, torch_run
from lutra.restore.sizes import Size, Target, resized, warp_of, warped


def load(
    model: str | PathLike[str] | None = None,
    *,
    task: str | None = None,
    scale: float | None = None,
    device: str = "cpu",
) -> Restorer:
    """Load a model, ready to restore.

    Args:
        model: a model file, a name that `lutra models` lists, or an address (`lutra.restore.sources.find_model`).
        task, scale: choose a model that comes with the library where no model is named (`lutra.zoo.choose`).
        device: "cpu", or a device of torch such as "cuda".

    Raises:
        ValueError: the model is damaged or unknown, or nothing is installed that could run it there.
        OSError: it cannot be read.
    """
    path = sources.find_or_choose(model, task, scale)
    loaded = artifact.load(path)
    try:
        return Restorer(loaded, device=device, name=sources.name_of(model or path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@dataclass(frozen=True)
class _Way:
    """The way in which planes become planes of another size.

    sides: rows and columns of the result.
    layout: where the model's outputs lie; None for its scale.
    plain: interpolates planes that the model does not restore.
    """

    sides: tuple[int, int]
    layout: Geometry | None
    plain: Callable[[Pixels], Pixels]


class Restorer(AnyForm):
    """A model ready to restore. It may be used from several threads at once, and is best kept from image to image."""

    def __init__(self, model: Artifact, *, device: str = "cpu", name: str = "") -> None:
        """Take a loaded artifact; `load` takes a file. Raises ValueError if nothing installed runs it on `device`."""
        self.artifact = model
        self.device, self.name = device, name
        self.backend = "engine" if device == "cpu" and engine.available() and suits_engine(model) else "torch"
        self._run = engine_run(model) if self.backend == "engine" else torch_run(model, device)

    def __reduce__(self) -> tuple[Callable[[Artifact, str, str], Restorer], tuple[Artifact, str, str]]:
        """Let another process, which gets a copy, compile the model there."""
        return _restorer, (self.artifact, self.device, self.name)

    @property
    def scale(self) -> int:
        """The factor by which each side of an image grows."""
        return self.artifact.description.scale

    @property
    def any_size(self) -> bool:
        """Whether the model makes results of any size itself."""
        return self.artifact.description.any_size is not None

    @overload
    def restore(
        self,
        image: Pixels,
        *,
        size: Size | Target | None = None,
        threads: int | None = None,
        out: Pixels | None = None,
    ) -> Pixels: ...

    @overload
    def restore(
        self, image: Image.Image, *, size: Size | Target | None = None, threads: int | None = None
    ) -> Image.Image: ...

    def restore(
        self,
        image: Pixels | Image.Image,
        *,
        size: Size | Target | None = None,
        threads: int | None = None,
        out: Pixels | None = None,
    ) -> Pixels | Image.Image:
        """Restore a picture in the planes that the model was trained on.

        Most models restore red, green and blue separately, some together: these take gray as three equal colours and
        return the mean of what they become. Models that were trained on luma restore the luma and keep the chroma.
        Alpha is not restored: it is enlarged by bicubic interpolation, and hidden colours are filled
        from the visible ones near them.

        Args:
            image: uint8 (H, W) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha, 0..255; or
                a Pillow image, whose palette or 1-bit pixels are converted first. EXIF orientation is not applied.
            size: width and height of the result, or `Target(scale=2.5)`; None for the model's scale. A model of any
                size makes that size. A model of one scale restores at its scale, and the result is resampled to the
                size: bicubic, antialiased. So does a model of any size along an axis that does not
                grow.
            threads: the number of threads; None for one per processor that this process may use. The result does not
                depend on it.
            out: a C-contiguous uint8 array that takes the result of an array and is returned, such as one that is
                kept from frame to frame of a video; it shares no memory with `image`.

        Returns:
            The same kind: an array of `scale` times the height and width, or of that size, and as many channels, or
            a Pillow image with the ICC profile and EXIF of `image`.

        Raises:
            ValueError: the image or `out` has another type, shape or mode, `size` is out of range, or `threads` is
                no positive whole number.
        """
        engine.check_threads(threads)
        target = size if isinstance(size, Target | None) else Target.of(size)
        if not isinstance(image, Image.Image):
            return self._restore(np.asarray(image), target, threads, out)
        if out is not None:
            raise ValueError("out is for arrays, and the image is a Pillow image")
        return through_pixels(image, lambda pixels: self._restore(pixels, target, threads, None))

    @overload
    def warp(self, image: Pixels, matrix: Any, size: Size, *, threads: int | None = None) -> Pixels: ...

    @overload
    def warp(self, image: Image.Image, matrix: Any, size: Size, *, threads: int | None = None) -> Image.Image: ...

    def warp(
        self, image: Pixels | Image.Image, matrix: Any, size: Size, *, threads: int | None = None
    ) -> Pixels | Image.Image:
        """Restore a picture by a model of any size and show it through a homography, in one step.

        What the homography shrinks is not antialiased. Beyond the picture, the result is 0, and transparent where
        the picture has alpha, which is interpolated.

        Args:
            image, threads: as for `restore`.
            matrix: 3x3, maps (x, y, 1) of a pixel of `image` to that of the result, up to a factor; x counts columns,
                and the centre of the first pixel is (0, 0).
            size: width and height of the result.

        Returns:
            The same kind, of that size.

        Raises:
            ValueError: as `restore` does; or the model has one scale, or the matrix cannot be inverted.
        """
        engine.check_threads(threads)
        if not self.any_size:
            raise ValueError(f"the model restores at x{self.scale} alone, expected one of any size, which can warp")

        def work(pixels: Pixels) -> Pixels:
            warp = warp_of(matrix, size, pixels.shape)
            return self._along(checked(pixels), _Way(warp.shape, warp, partial(warped, warp=warp)), threads, None)

        return through_pixels(image, work) if isinstance(image, Image.Image) else work(np.asarray(image))

    def restore_planes(self, image: Pixels | Unclipped, *, threads: int | None = None) -> Pixels:
        """Restore planes that are already those the model was trained on, such as the luma of a protocol.

        Args:
            image: uint8 (H, W) or (H, W, 3); or int16, whose values may lie beyond 0..255. A model sees them
                clipped; one that adds what it finds to the image adds it to the values as they are.
            threads: the number of threads, as for `restore`.

        Returns:
            (H * scale, W * scale), or with 3 channels, uint8.

        Raises:
            ValueError: the image has another type or shape.
        """
        known = image.dtype in (np.uint8, np.int16) and (image.ndim == 2 or image.shape[2:] == (3,))
        if not known or image.size == 0:
            found = f"{image.dtype} of shape {image.shape}"
            raise ValueError(f"image is {found}, expected uint8 (H, W) or (H, W, 3), not empty")
        if image.dtype == np.uint8:
            return self._restore_planes(image.astype(np.uint8, copy=False), threads, None)
        pixels: Pixels = image.clip(0, 255).astype(np.uint8)
        restored = self._restore_planes(pixels, threads, None)
        if not self.artifact.description.adds_input:
            return restored
        whole: Pixels = (restored + (image - pixels)).clip(0, 255).astype(np.uint8)
        return whole

    def _restore_planes(
        self, image: Pixels, threads: int | None, out: Pixels | None, layout: Geometry | None = None
    ) -> Pixels:
        """Restore (H, W) or (H, W, 3); a gray image as three equal colours, where the model needs three."""
        if image.ndim == 3 or self.artifact.description.colours == 1:
            return self._run(image, threads, out, layout)
        restored = self._run(np.repeat(image[:, :, None], 3, axis=2), threads, None, layout)
        mean: Pixels = ((restored.sum(axis=2, dtype=np.uint16) + 1) // 3).astype(np.uint8)
        if out is None:
            return mean
        out[...] = mean
        return out

    def sizes(self, width: int, height: int, target: Target | None) -> tuple[Size, Size]:
        """Return the size of the model's output for a picture of that size, and the size of the result.

        Raises:
            ValueError: the result would be too large.
        """
        own = width * self.scale, height * self.scale
        if target is None:
            return own, own
        size = target.size(width, height)
        if not self.any_size:
            return own, size
        rows, columns = target.grid(width, height, self.scale).shape
        return (columns, rows), size

    def _restore(self, pixels: Pixels, target: Target | None, threads: int | None, out: Pixels | None) -> Pixels:
        height, width = checked(pixels).shape[:2]
        made, size = self.sizes(width, height, target)
        if out is not None:
            engine.check_out(out, pixels, (size[1], size[0]))
        if target is None or not self.any_size:
            way = _Way((made[1], made[0]), None, partial(enlarge_alpha, scale=self.scale))
        else:
            way = _Way((made[1], made[0]), target.grid(width, height, self.scale), partial(resized, size=made))
        if made == size:
            return self._along(pixels, way, threads, out)
        result = resized(self._along(pixels, way, threads, None), size)
        if out is None:
            return result
        out[...] = result
        return out

    def _along(self, pixels: Pixels, way: _Way, threads: int | None, out: Pixels | None) -> Pixels:
        """Restore any picture: its colours with the model, its alpha by plain interpolation."""
        if pixels.ndim == 2 or pixels.shape[2] == 3:
            return self._restore_colour(pixels, way, threads, out)
        alpha = pixels[:, :, -1]
        colour = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :-1])
        if is_opaque(alpha) and not isinstance(way.layout, Warp):
            enlarged = np.full(way.sides, 255, np.uint8)
        else:
            reach = self.artifact.description.radius + 2  # the model's, and that of bicubic alpha
            colour, enlarged = fill_hidden(colour, alpha, reach), way.plain(alpha)
        restored = self._restore_colour(colour, way, threads, None)
        return np.concatenate([np.atleast_3d(restored), enlarged[:, :, None]], axis=2, out=out)

    def _restore_colour(self, colour: Pixels, way: _Way, threads: int | None, out: Pixels | None) -> Pixels:
        """Restore (H, W) or (H, W, 3): each of its planes, or its luma."""
        if self.artifact.trained_planes == "each":
            return self._restore_planes(colour, threads, out, way.layout)
        stored = np.rint(luma(colour)).astype(np.uint8)
        restored = self._run(stored, threads, None, way.layout)
        base = way.plain(colour)
        # Where sizes stay, a luma that the model does not change must stay, so its rounding does not count as a change.
        before = stored.astype(np.float64) if base is colour else luma(base)
        changed = with_luma(base, restored - before)
        if out is None:
            return changed
        out[...] = changed
        return out


def _restorer(model: Artifact, device: str, name: str) -> Restorer:
    return Restorer(model, device=device, name=name)
