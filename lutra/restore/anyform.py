"""Further inputs and outputs of a restorer: arrays with other axes, floats, and files."""

from __future__ import annotations

import math
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.imaging.folders import image_size
from lutra.imaging.images import check_writable, read_picture, write_picture
from lutra.restore import compressed
from lutra.restore.axes import Axes, as_batch, axes_of, from_batch, from_uint8, to_uint8
from lutra.restore.running import Restores
from lutra.restore.sizes import Size, Target

MAX_PIXELS = 1 << 28
"""The largest result of a file, in pixels (three quarters of a gigabyte in RGB)."""


class AnyForm:
    """Methods of `Restorer` that restore arrays of any axes, and files."""

    @property
    def task(self: Restores) -> str:
        """The task that the model was trained for, such as "sr"."""
        return self.artifact.task

    def restore_array(
        self: Restores,
        images: NDArray[Any],
        axes: Axes | None = None,
        *,
        size: Size | Target | None = None,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Restore one image or a batch, as bytes or as floats.

        Args:
            images: uint8 0..255, or float16, float32 or float64 in 0..1, with 1 to 4 channels as for `restore`. Floats
                are multiplied by 255 and rounded half to even: models work on 8 bits.
            axes: the order of the axes, such as "NCHW" (N images, C channels, H rows, W columns), "NHWC" or "NHW" for
                gray images; None if the shape has only one reading. (8, 3, 48, 48) is NCHW. (8, 3, 48, 3) may also
                be NHWC, and (3, 48, 48) may be CHW or NHW: these raise ValueError.
            size, threads: as for `restore`.

        Returns:
            The same type and axes; floats are bytes divided by 255.

        Raises:
            ValueError: the axes do not fit the shape or are not clear, the type is another one, or floats lie outside
                of 0..1.

        Example:
            >>> import lutra, numpy
            >>> batch = numpy.zeros((2, 3, 32, 32), numpy.float32)
            >>> lutra.load("srlut-x4").restore_array(batch, "NCHW").shape
            (2, 3, 128, 128)
        """
        images = np.asarray(images)
        axes = axes_of(images.shape) if axes is None else axes
        pixels = to_uint8(as_batch(images, axes))
        flat = pixels[..., 0] if pixels.shape[3] == 1 else pixels
        restored = [self.restore(np.ascontiguousarray(image), size=size, threads=threads) for image in flat]
        whole: NDArray[np.uint8] = np.stack(restored)
        return from_uint8(from_batch(whole.reshape(*whole.shape[:3], -1), axes), images.dtype)

    def restore_file(
        self: Restores,
        source: str | PathLike[str],
        target: str | PathLike[str],
        *,
        size: Size | Target | None = None,
        threads: int | None = None,
        quality: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        """Restore an image file, turned upright, and write the result whole or not at all, with its metadata.

        Args:
            source: PNG, JPEG, WebP, TIFF or BMP of 8 bits per channel.
            target: the file to write; its suffix chooses the format.
            size: width and height of the result; None for the model's scale.
            threads: the number of threads, as for `restore`.
            quality: the quality of JPEG and WebP, as for `write_picture`.
            max_pixels: refuse a picture with a larger result before it is decoded; None for `MAX_PIXELS`.

        Raises:
            ValueError, OSError: the source cannot be read, the result not be written; names the file.
        """
        source, target = Path(source), Path(target)
        wanted = size if isinstance(size, Target | None) else Target.of(size)
        width, height = image_size(source)
        sizes = _allowed_sizes(self, source, (width, height), wanted, max_pixels or MAX_PIXELS)
        picture = read_picture(source, max_pixels=width * height)
        check_writable(target, picture.pixels, side=max(sizes[-1]))
        try:
            own = wanted is None and compressed.keeps_luma(self)
            restored = compressed.restore_jpeg(self, source, picture.pixels, threads) if own else None
            if restored is None:
                restored = self.restore(picture.pixels, size=wanted, threads=threads)
        except MemoryError:
            raise OSError(f"{source}: not enough memory to restore it") from None
        write_picture(target, replace(picture, pixels=restored), quality=quality)

    def __repr__(self: Restores) -> str:
        """Return the model's name and what it is."""
        model = self.artifact
        kind = f"{model.task} x{self.scale}" if self.scale > 1 else model.task
        held = f"{model.table_bytes} bytes of tables" if model.is_tables else "a network"
        return f"<Restorer {self.name or 'without a name'}: {kind}, {model.description.family}, {held}, {self.backend}>"


def _allowed_sizes(
    restorer: Restores, source: Path, size: Size, target: Target | None, most_pixels: int
) -> tuple[Size, Size]:
    """Return the sizes that `Restores.sizes` returns; raises ValueError if one has more pixels than are allowed."""
    width, height = size
    limit = most_pixels // restorer.scale**2
    if target is None and width * height > limit:
        found = f"{width} x {height} pixels, more than the {limit} that are allowed"
        raise ValueError(f"{source}: found {found}; --max-pixels {width * height * restorer.scale**2} allows them")
    sizes = restorer.sizes(width, height, target)
    across, down = max(sizes, key=math.prod)
    most = across * down
    if target is not None and most > most_pixels:
        found = f"found {width} x {height} pixels, of which {across} x {down} are made for size {target}"
        raise ValueError(f"{source}: {found}, more than are allowed; --max-pixels {most} allows them")
    return sizes
