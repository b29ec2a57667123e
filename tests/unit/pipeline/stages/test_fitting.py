"""Training: a resumed run equals an uninterrupted one, no result scores below its start, a stop keeps a checkpoint."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

from lutra.evaluation.protocols import Protocol, super_resolution
from lutra.imaging.images import write_image
from lutra.imaging.metrics import CEILING
from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.layouts import DiagonalLayout
from lutra.reference.build import build
from lutra.reference.interpreter import LutModel
from lutra.training import checkpoint
from lutra.training.checkpoint import Kept
from lutra.training.fitting import Row, Settings, fit, validate
from lutra.training.pairs import interleaved
from lutra.training.tabulate import through_tables, to_tables
from pipeline import params
from pipeline.data.packed import PackedImages
from pipeline.params import FinetuneParams, FitParams, TrainParams
from pipeline.running.job import Job
from pipeline.stages import learn, prepare
from tests.unit.pipeline.pages import noise, packed

SETTINGS = FitParams(
    steps=12, batch=4, patch=8, learning_rate=1e-3, final_learning_rate=1e-4, validate_every=3, checkpoint_every=5
)
PROTOCOL = super_resolution(2)
LAYOUT = DiagonalLayout(5, 1, 6)


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


def network() -> LutModel:
    torch.manual_seed(0)
    return build(families.describe("srlut", 2), NetworkSpec("plain", width=8, depth=1, bound="clamp", linear=True))


STARTS: dict[str, Callable[[], LutModel]] = {
    "network": network,
    "table": lambda: through_tables(network(), LAYOUT),
    "finetune": lambda: to_tables(network(), LAYOUT),
}


def fitted(
    model: LutModel,
    settings: FitParams,
    data: Path,
    resume: Path,
    fingerprint: str,
    log: learn.Log,
    protocol: Protocol = PROTOCOL,
) -> list[Row]:
    """Train as the stages do."""
    train, held_out = PackedImages(data / "train"), PackedImages(data / "validate")
    kept, chosen = Kept(resume, fingerprint), Settings(**settings.settings())
    with learn.Told(settings, log, learn.joined(settings, "settings")) as watcher:
        return fit(model, train, held_out, chosen, score=protocol.rank, watcher=watcher, kept=kept)


def silent(metrics: dict[str, float], step: int) -> None:
    """Log nowhere."""


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


def test_the_result_is_the_best_state(data: Path, tmp_path: Path) -> None:
    model = to_tables(network(), LAYOUT)
    wild = SETTINGS.model_copy(update={"learning_rate": 1.0, "final_learning_rate": 1.0})
    start = validate(model, PackedImages(data / "validate"), PROTOCOL.rank)
    curve = fitted(model, wild, data, tmp_path / "c.safetensors", "f", silent)
    best = max(row["val_psnr"] for row in curve)
    assert validate(model, PackedImages(data / "validate"), PROTOCOL.rank) == best >= start


def blank_among(images: list[NDArray[np.uint8]], folder: Path) -> PackedImages:
    """Prepared x2 images, as many as given and a white one after them."""
    return PackedImages(packed(folder, *images, np.full((40, 48, 3), 255, np.uint8), scale=2))


def test_a_flat_image_among_the_held_out_ones_decides_nothing(tmp_path: Path) -> None:
    """White that becomes 254 loses 50 dB, photographs that improve win one or two."""
    model = to_tables(network(), LAYOUT)
    ordinary = [noise(1), noise(2)]
    alone = PackedImages(packed(tmp_path / "alone", *ordinary, scale=2))
    among = blank_among(ordinary, tmp_path / "among")
    ranks = [
        PROTOCOL.rank(model.restore_image(interleaved(alone.input(place))), interleaved(alone.target(place)))
        for place in range(2)
    ]
    assert validate(model, alone, PROTOCOL.rank) == float(np.mean(ranks))
    assert validate(model, among, PROTOCOL.rank) == validate(model, alone, PROTOCOL.rank)


def test_where_all_held_out_images_are_flat_they_rank(tmp_path: Path) -> None:
    model = to_tables(network(), LAYOUT)
    assert 0 < validate(model, blank_among([], tmp_path / "blank"), PROTOCOL.rank) <= CEILING


def test_flat_images_that_do_not_rank_are_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    shutil.rmtree(folder / "validate")
    blank_among([noise(1)], folder / "validate")
    none = SETTINGS.model_copy(update={"steps": 0})
    fitted(to_tables(network(), LAYOUT), none, folder, tmp_path / "c.safetensors", "f", silent)
    assert "1 of 2 held-out images is flat and ranks no state: 1.png" in capsys.readouterr().err


def test_a_training_that_gains_nothing_returns_its_start(data: Path, tmp_path: Path) -> None:
    """The earlier of two states with equal scores stays."""
    model = to_tables(network(), LAYOUT)
    before = checkpoint.copy_state(model)
    still = SETTINGS.model_copy(update={"learning_rate": 1e-7, "final_learning_rate": 1e-7})
    curve = fitted(model, still, data, tmp_path / "c.safetensors", "f", silent)
    assert len({row["val_psnr"] for row in curve}) == 1 and len(curve) > 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_without_steps_a_model_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    model = to_tables(network(), LAYOUT)
    before = checkpoint.copy_state(model)
    none = SETTINGS.model_copy(update={"steps": 0})
    (row,) = fitted(model, none, data, tmp_path / "c.safetensors", "f", silent)
    assert row["step"] == 0 and row["val_psnr"] > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_is_validated_is_the_running_average(data: Path, tmp_path: Path) -> None:
    """With a constant rate and noise, the average scores better than where the steps happen to end."""
    noisy = SETTINGS.model_copy(
        update={"steps": 80, "validate_every": 80, "learning_rate": 0.05, "final_learning_rate": 0.05}
    )
    plain = noisy.model_copy(update={"average": 0.0})
    scores = []
    for settings in (noisy, plain):
        model = to_tables(network(), LAYOUT)
        curve = fitted(model, settings, data, tmp_path / "c.safetensors", "f", silent)
        scores.append(curve[-1]["val_psnr"])
        assert validate(model, PackedImages(data / "validate"), PROTOCOL.rank) == max(row["val_psnr"] for row in curve)
    assert scores[0] > scores[1]


def test_training_improves_on_interpolation(data: Path, tmp_path: Path) -> None:
    longer = SETTINGS.model_copy(update={"steps": 60, "validate_every": 20})
    curve = fitted(network(), longer, data, tmp_path / "c.safetensors", "f", silent)
    assert [row["step"] for row in curve] == [0, 20, 40, 60]
    assert curve[-1]["val_psnr"] > curve[0]["val_psnr"] + 0.5
    assert curve[-1]["loss"] < curve[1]["loss"]


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


def test_accumulated_parts_give_the_whole_batch(data: Path, tmp_path: Path) -> None:
    parts = SETTINGS.model_copy(update={"accumulate": 2})
    one, two = network(), network()
    fitted(one, SETTINGS, data, tmp_path / "a.safetensors", "f", silent)
    fitted(two, parts, data, tmp_path / "b.safetensors", "f", silent)
    for name, tensor in one.state_dict().items():
        assert torch.allclose(tensor, two.state_dict()[name], atol=1e-4)  # the sum runs in another order


def test_mlflow_follows_what_takes_long_alone() -> None:
    assert not learn.takes_long(TrainParams(steps=0))
    assert learn.takes_long(TrainParams(steps=0, init="least_squares"))
    assert learn.takes_long(TrainParams(steps=1)) and learn.takes_long(FinetuneParams(steps=1))
