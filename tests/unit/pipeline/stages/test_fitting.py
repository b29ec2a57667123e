"""Fitting: which state is the result, what ranks, what is logged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lutra.imaging.metrics import CEILING
from lutra.training import checkpoint
from lutra.training.fitting import validate
from lutra.training.pairs import interleaved
from lutra.training.tabulate import to_tables
from pipeline.data.packed import PackedImages
from pipeline.params import FinetuneParams, TrainParams
from pipeline.stages import learn
from tests.unit.pipeline.pages import noise, packed
from tests.unit.pipeline.stages.fits import LAYOUT, PROTOCOL, SETTINGS, fitted, network, silent


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
    """The rate is constant and there is noise: the average scores better than where the steps happen to end."""
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
