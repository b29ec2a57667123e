"""Checkpoints: a training that was interrupted resumes as if it had not been; what is damaged or another's is kept."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lutra.training import checkpoint
from lutra.training.checkpoint import Kept
from pipeline.params import FitParams
from tests.unit.pipeline.stages.fits import SETTINGS, STARTS, fitted, network, silent


@pytest.mark.parametrize("start", STARTS)
def test_an_interrupted_training_ends_as_an_uninterrupted_one(data: Path, tmp_path: Path, start: str) -> None:
    whole = STARTS[start]()
    curve = fitted(whole, SETTINGS, data, tmp_path / "a" / "c.safetensors", "f", silent)

    class Crash(Exception):
        pass

    def crash(metrics: dict[str, float], step: int) -> None:
        if step == 9:
            raise Crash

    resume = tmp_path / "b" / "c.safetensors"
    with pytest.raises(Crash):
        fitted(STARTS[start](), SETTINGS, data, resume, "f", crash)
    kept = checkpoint.load(Kept(resume, "f"))
    assert kept is not None and kept.step == 5
    resumed = STARTS[start]()
    assert fitted(resumed, SETTINGS, data, resume, "f", silent) == curve
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())


def test_a_checkpoint_of_another_run_is_not_resumed(data: Path, tmp_path: Path) -> None:
    resume = tmp_path / "c.safetensors"
    point = checkpoint.Checkpoint("other", 3, {}, {}, {"state": {}, "param_groups": []}, 0.0, [])
    checkpoint.save(resume, point)
    assert checkpoint.load(Kept(resume, "mine")) is None
    resume.write_bytes(b"damaged")
    assert checkpoint.load(Kept(resume, "other")) is None


def stopped(data: Path, resume: Path, fingerprint: str, settings: FitParams = SETTINGS) -> None:
    """Train to step 9, with a checkpoint of step 5."""

    class Crash(Exception):
        pass

    def crash(metrics: dict[str, float], step: int) -> None:
        if step == 9:
            raise Crash

    with pytest.raises(Crash):
        fitted(STARTS["finetune"](), settings, data, resume, fingerprint, crash)


def test_another_runs_checkpoint_is_kept_and_told_and_goes_on_later(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fitted(STARTS["finetune"](), SETTINGS, data, tmp_path / "whole.safetensors", "a", silent)
    resume = tmp_path / "c" / "checkpoint.safetensors"
    stopped(data, resume, "a")
    capsys.readouterr()
    stopped(data, resume, "b")
    kept = resume.with_name("checkpoint-a.safetensors")
    said = capsys.readouterr().err
    assert f"found a checkpoint of step 5 of other parameters, images or code, kept as {kept}; starting" in said
    assert checkpoint.load(Kept(resume, "a")) is not None and checkpoint.load(Kept(resume, "b")) is not None
    curve = fitted(STARTS["finetune"](), SETTINGS, data, resume, "a", silent)
    assert "resuming at step 5" in capsys.readouterr().err and curve == whole
    checkpoint.remove(Kept(resume, "a"))
    assert [path.name for path in resume.parent.iterdir()] == ["checkpoint-b.safetensors"]
    checkpoint.remove(Kept(resume, "b"))
    assert not resume.parent.exists()


def edited(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]) -> None:
    """Rewrite a checkpoint with other tensors, or another description."""
    with safe_open(path, framework="pt") as file:
        meta = json.loads(file.metadata()["checkpoint"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    change(tensors, meta)
    save_file(tensors, path, {"checkpoint": json.dumps(meta)})


DAMAGES: dict[str, Callable[[dict[str, torch.Tensor], dict[str, Any]], object]] = {
    "step": lambda tensors, meta: meta.update(step="5"),
    "negative": lambda tensors, meta: meta.update(step=-1),
    "best": lambda tensors, meta: meta.pop("best"),
    "infinite": lambda tensors, meta: meta.update(best=float("inf")),
    "history": lambda tensors, meta: meta.update(history=[]),
    "row": lambda tensors, meta: meta["history"][0].update(val_psnr=None),
    "loss": lambda tensors, meta: meta.update(loss=[1.0]),
    "list": lambda tensors, meta: meta.update(fingerprint=["f"]),
    "state": lambda tensors, meta: tensors.pop(next(name for name in tensors if name.startswith("state."))),
    "best state": lambda tensors, meta: tensors.pop(next(name for name in tensors if name.startswith("best."))),
    "average": lambda tensors, meta: [tensors.pop(name) for name in list(tensors) if name.startswith("average.")],
    "moment": lambda tensors, meta: tensors.pop("optimizer.0.exp_avg"),
    "counter": lambda tensors, meta: tensors.pop("optimizer.0.step"),
    "number": lambda tensors, meta: tensors.update({"optimizer.x.step": torch.zeros(1)}),
    "shape": lambda tensors, meta: tensors.update({"optimizer.0.exp_avg": torch.zeros(3)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_and_kept_and_changes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    short = SETTINGS.model_copy(update={"steps": 10, "validate_every": 9})
    resume = tmp_path / "c" / "checkpoint.safetensors"
    stopped(data, resume, "f", short)
    edited(resume, DAMAGES[damage])
    content = resume.read_bytes()
    model = STARTS["finetune"]()
    capsys.readouterr()
    curve = fitted(model, short, data, resume, "f", silent)
    assert "found a checkpoint that is damaged, kept as" in capsys.readouterr().err
    assert [row["step"] for row in curve] == [0, 9, 10]
    assert resume.with_name("checkpoint-damaged.safetensors").read_bytes() == content
    checkpoint.remove(Kept(resume, "f"))
    assert not resume.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_request_leaves_a_checkpoint(data: Path, tmp_path: Path, number: int) -> None:
    resume = tmp_path / "c.safetensors"

    def stop(metrics: dict[str, float], step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        fitted(network(), SETTINGS, data, resume, "f", stop)
    kept = checkpoint.load(Kept(resume, "f"))
    assert kept is not None and kept.step == 3
