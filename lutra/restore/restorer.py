"""Restore arrays and Pillow images by a model: on the compiled engine where there is one, else through torch."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from os import PathLike
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lutra import _core, engine, limits
from lutra.imaging.alpha import enlarge_alpha, fill_hidden
from lutra.imaging.colour import rgb_to_y, with_luma
from lutra.imaging.decoding import Refused
from lutra.imaging.images import is_opaque, to_pixels
from lutra.imaging.resize import imresize
from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.restore import sources

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels, int | None, Pixels | None], Pixels]

SLOW = (
    "the compiled engine is not installed, so torch restores, many times slower; "
    "`pip install --force-reinstall --no-deps lutra` builds it where there is a C++ compiler"
)
_torch_lock = threading.Lock()  # the whole process shares torch's number of threads


def _renew_lock() -> None:
    """Replace the lock in a forked child, because a thread that only the parent has may hold it."""
    global _torch_lock
    _torch_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def load(model: str | PathLike[str], *, device: str = "cpu") -> Restorer:
    """Load a model, ready to restore.

    Args:
        model: a model file, a name that `lutra models` lists, or an address (`lutra.restore.sources.find`).
        device: "cpu", or a device of torch such as "cuda".

    Raises:
        ValueError: the model is damaged or unknown, or nothing is installed that could run it there.
        OSError: it cannot be read.
    """
    path = sources.find(model)
    loaded = artifact.load(path)
    try:
        return Restorer(loaded, device=device)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class Restorer:
    """A model ready to restore. It may be used from several threads at once, and is best kept from image to image."""

    def __init__(self, model: Artifact, *, device: str = "cpu") -> None:
        """Take a loaded artifact; `load` takes a file. Raises ValueError if nothing installed runs it on `device`."""
        self.artifact = model
        self.device = device
        self.backend = "engine" if device == "cpu" and engine.available() and _suits_engine(model) else "torch"
        self._run = _engine_run(model) if self.backend == "engine" else _torch_run(model, device)

    def __reduce__(self) -> tuple[Callable[[Artifact, str], Restorer], tuple[Artifact, str]]:
        """Let another process, which gets a copy, compile the model there."""
        return _restorer, (self.artifact, self.device)

    @property
    def scale(self) -> int:
        """The factor by which each side of an image grows."""
        return self.artifact.description.scale

    @overload
    def restore(self, image: Pixels, *, threads: int | None = None, out: Pixels | None = None) -> Pixels: ...

    @overload
    def restore(self, image: Image.Image, *, threads: int | None = None) -> Image.Image: ...

    def restore(
        self, image: Pixels | Image.Image, *, threads: int | None = None, out: Pixels | None = None
    ) -> Pixels | Image.Image:
        """Restore a picture in the planes that the model was trained on.

        Most models restore red, green and blue separately. Those that were trained on luma restore the luma and keep
        the chroma. Alpha is not restored: it is enlarged by bicubic interpolation, and hidden colours are filled
        from the visible ones near them.

        Args:
            image: uint8 (H, W) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha, 0..255; or
                a Pillow image, whose palette or 1-bit pixels are converted first. EXIF orientation is not applied.
            threads: the number of threads; None for one per processor that this process may use. The result does not
                depend on it.
            out: a C-contiguous uint8 array that takes the result of an array and is returned, such as one that is
                kept from frame to frame of a video; it shares no memory with `image`.

        Returns:
            The same kind: an array of `scale` times the height and width and as many channels, or a Pillow image
            with the ICC profile and EXIF of `image`.

        Raises:
            ValueError: the image or `out` has another type, shape or mode, or `threads` is no positive whole
                number.
        """
        engine.check_threads(threads)
        if not isinstance(image, Image.Image):
            return self._restore(np.asarray(image), threads, out)
        if out is not None:
            raise ValueError("out is for arrays, and the image is a Pillow image")
        try:
            restored = Image.fromarray(self._restore(to_pixels(image), threads, None))
        except Refused as refusal:
            raise ValueError(f"image has {refusal}, expected 8 bits, gray or RGB, with or without alpha") from None
        restored.info = {key: image.info[key] for key in ("icc_profile", "exif") if key in image.info}
        return restored

    def restore_planes(self, image: Pixels, *, threads: int | None = None) -> Pixels:
        """Restore planes that are already those the model was trained on, such as the luma of a protocol.

        Args:
            image: uint8 (H, W) or (H, W, 3), each plane by itself.
            threads: the number of threads, as for `restore`.

        Returns:
            (H * scale, W * scale), or with 3 channels, uint8.

        Raises:
            ValueError: the image has another type or shape.
        """
        if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)) or image.size == 0:
            found = f"{image.dtype} of shape {image.shape}"
            raise ValueError(f"image is {found}, expected uint8 (H, W) or (H, W, 3), not empty")
        return self._run(image, threads, None)

    def _restore(self, pixels: Pixels, threads: int | None, out: Pixels | None) -> Pixels:
        known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
        if pixels.dtype != np.uint8 or not known or pixels.size == 0:
            found = f"{pixels.dtype} of shape {pixels.shape}"
            raise ValueError(f"image is {found}, expected uint8 (H, W) or (H, W, 2..4), not empty")
        if out is not None:
            engine.check_out(out, pixels, (pixels.shape[0] * self.scale, pixels.shape[1] * self.scale))
        if pixels.ndim == 2 or pixels.shape[2] == 3:
            return self._restore_colour(pixels, threads, out)
        alpha = pixels[:, :, -1]
        colour = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :-1])
        if is_opaque(alpha):
            enlarged = np.full((alpha.shape[0] * self.scale, alpha.shape[1] * self.scale), 255, np.uint8)
        else:
            reach = self.artifact.description.radius + 2  # the model's, and that of bicubic alpha
            colour, enlarged = fill_hidden(colour, alpha, reach), enlarge_alpha(alpha, self.scale)
        restored = self._restore_colour(colour, threads, None)
        return np.concatenate([np.atleast_3d(restored), enlarged[:, :, None]], axis=2, out=out)

    def _restore_colour(self, colour: Pixels, threads: int | None, out: Pixels | None) -> Pixels:
        """Restore (H, W) or (H, W, 3): each of its planes, or its luma."""
        if self.artifact.trained_planes == "each":
            return self._run(colour, threads, out)
        luma = _luma(colour)
        stored = np.rint(luma).astype(np.uint8)
        restored = self._run(stored, threads, None)
        base = imresize(colour, self.scale) if self.scale > 1 else colour
        # Where sizes stay, a luma that the model does not change must stay, so its rounding does not count as a change.
        before = _luma(base) if self.scale > 1 else stored.astype(np.float64)
        changed = with_luma(base, restored - before)
        if out is None:
            return changed
        out[...] = changed
        return out


def _luma(image: Pixels) -> NDArray[np.float64]:
    """Return the luma of gray or RGB, in 16..235: (H, W)."""
    return rgb_to_y(image) if image.ndim == 3 else 16 + image.astype(np.float64) * (219 / 255)


def _restorer(model: Artifact, device: str) -> Restorer:
    return Restorer(model, device=device)


def _suits_engine(model: Artifact) -> bool:
    """Return whether a model is all tables, in fixed point."""
    real = model.description.tap_bits is None and any(name.endswith((".sampler", ".adarl")) for name in model.tensors)
    return model.is_tables and not real


def _engine_run(model: Artifact) -> Run:
    compiled = engine.compile(model)
    return lambda pixels, threads, out: compiled.restore(pixels, threads=threads, out=out)


def _torch_run(model: Artifact, device: str) -> Run:
    limits.wait_passively()
    try:
        import torch

        from lutra.reference.convert import from_artifact
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError(f"{_why_torch(model, device)}; `pip install 'lutra[train]'` installs torch") from None
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device is {device!r}, expected cpu or cuda") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but torch finds no CUDA device here")
    if device == "cpu" and not engine.available() and not _core.broken:  # else a warning has told why
        warnings.warn(SLOW, RuntimeWarning, stacklevel=4)
    ready = from_artifact(model).to(place)

    def run(pixels: Pixels, threads: int | None, out: Pixels | None) -> Pixels:
        with _torch_lock:
            before = torch.get_num_threads()
            torch.set_num_threads(threads or min(before, limits.processors()))
            try:
                restored = ready.restore_image(pixels)
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
