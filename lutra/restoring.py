"""Ready to restore: a model file in, arrays or Pillow images through; the compiled engine where it is, else torch."""

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

from lutra import _core, artifact, engine, limits, sources
from lutra.artifact import Artifact
from lutra.imaging.files import Refused
from lutra.imaging.pictures import is_opaque, to_pixels

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels, int | None, Pixels | None], Pixels]

SLOW = (
    "the compiled engine is not installed, so torch restores, many times slower; "
    "`pip install --force-reinstall --no-deps lutra` with a C++ compiler at hand builds it"
)
_torch_lock = threading.Lock()  # torch's number of threads belongs to the whole process


def _renew_lock() -> None:
    """Replace the lock, which a thread that a forked child does not have may have held."""
    global _torch_lock
    _torch_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def load(model: str | PathLike[str], *, device: str = "cpu") -> Restorer:
    """Load a model, ready to restore.

    Args:
        model: a model file, a name that `lutra models` lists, or an address (`lutra.sources.find`).
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
        """Let another process, which gets a copy, make what runs the model there."""
        return _restorer, (self.artifact, self.device)

    @property
    def scale(self) -> int:
        """How many times larger the result is, per side."""
        return self.artifact.description.scale

    @overload
    def restore(self, image: Pixels, *, threads: int | None = None, out: Pixels | None = None) -> Pixels: ...

    @overload
    def restore(self, image: Image.Image, *, threads: int | None = None) -> Image.Image: ...

    def restore(
        self, image: Pixels | Image.Image, *, threads: int | None = None, out: Pixels | None = None
    ) -> Pixels | Image.Image:
        """Restore an image, each channel on its own; alpha that is opaque everywhere stays so.

        Args:
            image: uint8 (H, W) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha, 0..255; or
                a Pillow image, whose palette or 1-bit pixels are converted first. EXIF orientation is not applied.
            threads: how many to use; None for one per processor that this process may use. The result does not
                depend on it.
            out: for an array, a C-contiguous uint8 array that takes the result and is returned, such as one kept from
                frame to frame of a video; it shares no memory with `image`.

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

    def _restore(self, pixels: Pixels, threads: int | None, out: Pixels | None) -> Pixels:
        known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
        if pixels.dtype != np.uint8 or not known or pixels.size == 0:
            found = f"{pixels.dtype} of shape {pixels.shape}"
            raise ValueError(f"image is {found}, expected uint8 (H, W) or (H, W, 2..4), not empty")
        if out is not None:
            engine.check_out(out, pixels, self.scale)
        if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and is_opaque(pixels[:, :, -1]):
            # A table may turn a constant 255 into 254, which would let a background shine through.
            colour = self._run(pixels[:, :, :-1], threads, None)
            opaque = np.full((*colour.shape[:2], 1), 255, np.uint8)
            return np.concatenate([colour, opaque], axis=2, out=out)
        return self._run(pixels, threads, out)


def _restorer(model: Artifact, device: str) -> Restorer:
    return Restorer(model, device=device)


def _suits_engine(model: Artifact) -> bool:
    """Whether it is all tables, in fixed point."""
    real = model.description.tap_bits is None and any(name.endswith((".sampler", ".adarl")) for name in model.tensors)
    return model.is_tables and not real


def _engine_run(model: Artifact) -> Run:
    compiled = engine.compile(model)
    return lambda pixels, threads, out: compiled.restore(pixels, threads=threads, out=out)


def _torch_run(model: Artifact, device: str) -> Run:
    try:
        import torch

        from lutra.models.convert import from_artifact
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
    if device == "cpu" and not engine.available() and not _core.broken:  # else it has been said why
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
        return f"restoring needs the compiled engine ({why} lutra with a C++ compiler at hand) or torch"
    return "the model is a network or samples real-valued taps, which needs torch"
