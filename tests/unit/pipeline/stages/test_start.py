"""Training that starts from a model: from its tables or vectors, and only where they fit the experiment."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.model import artifact
from pipeline.params import Params, TrainParams
from pipeline.running.job import Job
from pipeline.stages import export, train
from pipeline.tools import dvcfile

FAMILIES: dict[str, dict[str, Any]] = {
    "shiftlut": {"model": {"blocks": 1, "channels": 4}, "table": {"depthwise": 4, "pointwise": 2}},
    "srlut": {"network": {"width": 4}, "table": {"interval": 6}},
}


def job_of(stage: str, root: Path, family: str, init: str | Path, **changes: Any) -> Job:
    """A job of an experiment that trains nothing, or only from `init` on."""
    block: dict[str, Any] = {name: {} for name in ("model", "network", "table", "finetune", "evaluate")}
    block |= {"family": family, "task": "x2", "train": {"init": str(init)}} | FAMILIES[family] | changes
    settings = Params.model_validate(
        {
            "data": {"train": "images", "evaluate": ["images"], "validate": 1},
            "tasks": {"x2": {"task": "sr", "scale": 2}},
            "tracking": {"enabled": False},
            "experiments": {"one": block},
        }
    )
    return Job.of(stage, settings, root, experiment="one")


def exported(root: Path, family: str, init: str | Path, **changes: Any) -> Path:
    """The file of the model after the stages train and export."""
    train.run(job_of("train", root, family, init, **changes))
    job = job_of("export", root, family, init, **changes)
    export.run(job)
    return job.outputs["model"]


def drawn(root: Path, family: str, file: Path) -> Path:
    """A file of an exported model with random values."""
    model, generator = artifact.load(exported(root, family, "interpolation")), np.random.default_rng(7)
    tensors = {name: generator.integers(-90, 90, one.shape, np.int8) for name, one in model.tensors.items()}
    artifact.save(file, replace(model, tensors=tensors))
    return file


@pytest.fixture
def root(data: Path) -> Path:
    """Holds the prepared images."""
    return data.parents[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_starts_from_the_models_values(family: str, root: Path, tmp_path: Path) -> None:
    start = drawn(root, family, tmp_path / "a.safetensors")
    one, other = artifact.load(start), artifact.load(exported(root, family, start))
    assert one.tensors.keys() == other.tensors.keys()
    assert all(np.array_equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())
    files = artifact.load(job_of("export", root, family, start).inputs["network"]).provenance["inputs"]["files"]
    assert list(files) == ["a.safetensors"]


def test_vectors_may_be_stored_at_other_steps(root: Path, tmp_path: Path) -> None:
    start = drawn(root, "shiftlut", tmp_path / "a.safetensors")
    coarse = artifact.load(start)
    fine = artifact.load(exported(root, "shiftlut", start, table={"depthwise": 2, "pointwise": 1}))
    assert fine.table_bytes > coarse.table_bytes
    for _, layer in coarse.description.layers():
        kept = {"depthwise": 4, "pointwise": 2}[layer.kind] if layer.name != "dw0_low" else 1
        (one, by), (other, times) = (model.vectors(layer.name) for model in (coarse, fine))
        assert np.array_equal(one[..., ::kept] * times, other[..., ::kept] * by)


def test_steps_train_on_from_there(root: Path, tmp_path: Path) -> None:
    start = drawn(root, "srlut", tmp_path / "a.safetensors")
    steps = {"steps": 8, "batch": 2, "patch": 8, "learning_rate": 0.02, "validate_every": 4}
    trained = artifact.load(exported(root, "srlut", start, train=steps | {"init": str(start)}))
    before = artifact.load(start).tensors
    assert any(not np.array_equal(tensor, before[name]) for name, tensor in trained.tensors.items())


def test_what_does_not_fit_is_refused(root: Path, tmp_path: Path) -> None:
    start = drawn(root, "srlut", tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"one\.train\.init: .*a\.safetensors: found a model of scale 2 and family"):
        train.run(job_of("train", root, "shiftlut", start))
    with pytest.raises(ValueError, match=r"init: .*found .*interval=6.* of unit .*, expected .*interval=5"):
        train.run(job_of("train", root, "srlut", start, table={"interval": 5}))
    with pytest.raises(FileNotFoundError, match=r"one\.train\.init: gone\.safetensors: not found, expected the file"):
        train.run(job_of("train", root, "srlut", "gone.safetensors"))


def test_a_model_is_a_name_that_ships_or_a_file() -> None:
    shipped = TrainParams(init="shift-s-x4").start
    assert shipped is not None and shipped.is_file()
    assert TrainParams(init="mine.safetensors").start == Path("mine.safetensors")
    assert TrainParams(init="random").start is None
    with pytest.raises(ValueError, match=r"init: found 'interpolaton', .* did you mean 'interpolation'\?"):
        TrainParams(init="interpolaton")
    with pytest.raises(ValueError, match=r"init: shift-s-x4 makes tables: expected method: table"):
        TrainParams(init="shift-s-x4", method="network")


def test_dvc_watches_models_that_no_stage_writes(tmp_path: Path) -> None:
    inside, outside = tmp_path / "project", tmp_path / "other.safetensors"
    starts = [Path("mine/a.safetensors"), inside / "lutra/b.safetensors", outside, Path("runs/dvc/c.safetensors")]
    found = dvcfile.watched_models(starts, inside)
    assert found == sorted([str(outside), "lutra/b.safetensors", "mine/a.safetensors"])
    _, _, stages = dvcfile.text(starts=found).partition("\n  train:\n")
    entries, _, others = stages.partition("\n  export:\n")
    assert all(f"        - {path}\n" in entries and path not in others for path in found)
