"""Fixtures that the tests of several rooms share."""

from pathlib import Path

import pytest

from lutra.model import artifact
from tests.golden import cases


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of a small model."""
    path = tmp_path / "model.safetensors"
    artifact.save(path, cases.model("mulut-dfc-x2"))
    return path
