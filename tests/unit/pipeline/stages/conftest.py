"""Packed images that the tests of training share."""

from pathlib import Path

import numpy as np
import pytest

from lutra.imaging.images import write_image
from pipeline import params
from pipeline.running.job import Job
from pipeline.stages import prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared x2 data of a few smooth images."""
    folder = tmp_path_factory.mktemp("images")
    rows, columns = np.mgrid[0:48, 0:56]
    for number in range(4):
        waves = [127 + 100 * np.sin((rows * (1 + number) + columns * channel) / 9) for channel in range(3)]
        write_image(folder / f"{number}.png", np.stack(waves, axis=-1).astype(np.uint8))
    settings = params.Params.model_validate(
        {
            "data": {"train": str(folder), "evaluate": [str(folder)], "validate": 1},
            "tasks": {"x2": {"task": "sr", "scale": 2}},
            "tracking": {"enabled": False},
            "experiments": {},
        }
    )
    return prepare.run(Job.of("prepare", settings, tmp_path_factory.mktemp("root"), task="x2"))
