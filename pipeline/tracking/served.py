"""A model as MLflow serves it: image files in, PNG files out. Copied into every logged model, and run from there.

Needs lutra and MLflow, and nothing of the pipeline. The result is what `lutra restore` writes: upright, with alpha,
ICC profile and EXIF. Arrays go to `.restorer.restore` (`unwrap_python_model`).
"""

import base64
import binascii
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

# What begins a file of the formats that are taken: PNG, JPEG, BMP, TIFF, WebP, PPM with PGM
_SIGNATURES = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"BM",
    b"II",
    b"MM",
    b"RIFF",
    *(b"P%d" % kind for kind in range(1, 7)),
)


class Restoration(PythonModel):
    """Column `image` of bytes: PNG, JPEG, WebP, TIFF, BMP or PPM of 8 bits a channel in, PNG out.

    In JSON bytes are base64. Settings (`model_config`): `max_pixels` of an image, `threads` (None: all processors).
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

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Restore every image; MlflowException with one line for one that cannot be."""
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
        from lutra.imaging.pictures import read_picture, write_picture

        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder) / "image", Path(folder) / "restored.png"
            source.write_bytes(content)
            try:
                picture = read_picture(source, max_pixels=max_pixels)
            except ValueError as error:
                raise ValueError(str(error).removeprefix(f"{source}: ")) from None
            pixels = self.restorer.restore(picture.pixels, threads=threads)
            write_picture(result, replace(picture, pixels=pixels))
            return result.read_bytes()


def _decoded(content: bytes) -> bytes:
    """The file, where the server left base64 as it was: it decodes `dataframe_*`, but not `inputs` and `instances`.

    A file in plain numbers may read as base64, but the base64 of a file never begins as a file does.
    """
    if content.startswith(_SIGNATURES):
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True) or content
    except binascii.Error:
        return content


set_model(Restoration())
