"""The model that MLflow serves: image files in, PNG files out. MLflow copies this file into every logged model.

It needs lutra and MLflow, and nothing of the pipeline. The result is what `lutra restore` writes: upright, with alpha,
ICC profile and EXIF. `unwrap_python_model().restorer.restore` restores arrays.
"""

import base64
import binascii
import ctypes
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

# First bytes of the accepted formats: PNG, JPEG, BMP, TIFF, WebP, PPM and PGM
_SIGNATURES = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"BM",
    b"II",
    b"MM",
    b"RIFF",
    *(b"P%d" % kind for kind in range(1, 7)),
)


LARGE = 1 << 20
"""Pixels of an image from which on its memory is returned to the system."""


class ServedModel(PythonModel):
    """A model of the column `image`: bytes of PNG, JPEG, WebP, TIFF, BMP or PPM (8 bits per channel) in, PNG out.

    In JSON the bytes are base64. Settings (`model_config`): `max_pixels` of one image, and of all images together that
    a process restores at a time; `threads` (None: all processors).
    """

    def load_context(self, context: Any) -> None:
        """Load the model file."""
        try:
            import lutra
        except ModuleNotFoundError as error:
            if error.name != "lutra":
                raise
            message = "lutra is not installed here: install it from its source, and serve with `--env-manager local`"
            raise MlflowException(message) from None
        self.restorer = lutra.load(context.artifacts["model"])
        self.room = Room()

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Restore every image. Raises MlflowException, with one line, for an image that cannot be restored."""
        settings = context.model_config
        restored = []
        for number, content in enumerate(model_input["image"]):
            try:
                restored.append(self._restore(_decoded(bytes(content)), settings["max_pixels"], settings["threads"]))
            except ValueError as error:
                message = f"image {number}: {error}"
                raise MlflowException.invalid_parameter_value(message) from None
        return pd.DataFrame({"image": restored})

    def _restore(self, content: bytes, max_pixels: int, threads: int | None) -> bytes:
        from lutra.imaging.folders import image_size
        from lutra.imaging.images import picture_bytes, read_picture

        folder = Path(tempfile.mkdtemp(prefix="lutra-served-"))
        source = folder / "image"
        try:
            source.write_bytes(content)
            width, height = image_size(source)
            with self.room.taken(min(width * height, max_pixels), max_pixels):
                picture = read_picture(source, max_pixels=max_pixels)
                shutil.rmtree(folder)  # before the long part, so that a kill leaves nothing
                pixels = self.restorer.restore(picture.pixels, threads=threads)
                result: bytes = picture_bytes("restored.png", replace(picture, pixels=pixels))
                del picture, pixels
        except ValueError as error:
            raise ValueError(str(error).removeprefix(f"{source}: ")) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if width * height > LARGE:
            _give_back()
        return result


class Room:
    """A limit on the pixels in work at a time; first come, first served, so that a large image never starves."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._used = 0

    @contextmanager
    def taken(self, pixels: int, most: int) -> Iterator[None]:
        """Wait until there is room for `pixels` below `most`, or nothing else in work; use it during the block."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(
                lambda: self._waiting[0] is ticket and (not self._used or self._used + pixels <= most)
            )
            self._waiting.popleft()
            self._used += pixels
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def _give_back() -> None:
    """Return the memory that a large image needed to the system, if the C library still holds it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _decoded(content: bytes) -> bytes:
    """Return a file's bytes. The server decodes the base64 of `dataframe_*`, but not of `inputs` and `instances`.

    A PPM file in plain numbers could pass for base64, but base64 never begins with the first bytes of a format.
    """
    if content.startswith(_SIGNATURES):
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True) or content
    except binascii.Error:
        return content


set_model(ServedModel())
