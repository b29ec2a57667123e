"""Export of vectors: at the steps asked for, or at those that lose least within a number of bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.imaging.images import write_image
from lutra.model import artifact
from lutra.model.vectors import VectorLayout
from pipeline.params import Params
from pipeline.running.job import Job
from pipeline.stages import export, prepare, train


def settings(folder: Path, **table: Any) -> Params:
    block: dict[str, Any] = {name: {} for name in ("network", "finetune", "evaluate")}
    block |= {"family": "shiftlut", "task": "x2", "model": {"blocks": 1, "channels": 4}, "table": table}
    block["train"] = {"steps": 40, "batch": 4, "patch": 12, "learning_rate": 0.02, "validate_every": 20}
    return Params.model_validate(
        {
            "data": {"train": str(folder), "evaluate": [str(folder)], "validate": 1},
            "tasks": {"x2": {"task": "sr", "scale": 2}},
            "tracking": {"enabled": False},
            "experiments": {"one": block},
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The images, and the root that holds vectors trained from them."""
    folder, root = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("root")
    rows, columns = np.mgrid[0:48, 0:56]
    for number in range(3):
        write_image(
            folder / f"{number}.png", (127 + 100 * np.sin((rows * (1 + number) + columns) / 5)).astype(np.uint8)
        )
    prepare.run(Job.of("prepare", settings(folder), root, task="x2"))
    train.run(Job.of("train", settings(folder), root, experiment="one"))
    return folder, root


def exported(trained: tuple[Path, Path], **table: Any) -> artifact.Artifact:
    folder, root = trained
    job = Job.of("export", settings(folder, **table), root, experiment="one")
    export.run(job)
    return artifact.load(job.outputs["model"])


def test_vectors_are_stored_at_the_steps_asked_for(trained: tuple[Path, Path]) -> None:
    found = exported(trained, depthwise=4, pointwise=2)
    steps = {name: layout.steps for name, layout in found.functions.items() if isinstance(layout, VectorLayout)}
    assert steps == {"dw0_low": 1, "dw0": 4, "pw0": 2, "up": 2}


def test_vectors_fit_into_the_bytes_asked_for(trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    whole = exported(trained).table_bytes
    found = exported(trained, bytes=whole // 3)
    assert whole // 8 < found.table_bytes <= whole // 3
    assert "steps: dw0 " in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"^experiments.one.table.bytes: vectors at the largest steps take 280 bytes"):
        exported(trained, bytes=100)
