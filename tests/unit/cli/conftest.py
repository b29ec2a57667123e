"""Models and pictures that the tests of the commands share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lutra.imaging.images import write_image
from lutra.model import artifact
from tests.golden import cases


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a subfolder, and a broken one between them."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    write_image(folder / "a.png", cases.image(9, 7))
    write_image(folder / "sub" / "c.webp", np.dstack([cases.image(9, 7)] * 3))
    (folder / "sub" / "b.png").write_text("broken")
    return folder


@pytest.fixture
def denoiser(tmp_path: Path) -> Path:
    path = tmp_path / "denoiser.safetensors"
    artifact.save(path, replace(cases.model("spflut-dfc-x1"), task="denoise", options={"sigma": 25}))
    return path
