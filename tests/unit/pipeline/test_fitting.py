"""Training: a resumed run equals an uninterrupted one, no result scores below its start, a stop keeps a checkpoint."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lutra.description import NetworkSpec
from lutra.export import through_tables, to_tables
from lutra.imaging.files import write_image
from lutra.layouts import DiagonalLayout
from lutra.models import registry
from lutra.models.build import build
from lutra.models.interpreter import LutModel
from lutra.protocols import super_resolution
from pipeline import checkpoint, fitting, params, prepare
from pipeline.packed import PackedImages
from pipeline.params import FitParams

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
    return prepare.run(settings, task="x2", root=tmp_path_factory.mktemp("root"))


def network() -> LutModel:
    torch.manual_seed(0)
    return build(registry.describe("srlut", 2), NetworkSpec("plain", width=8, depth=1, bound="clamp", linear=True))


STARTS: dict[str, Callable[[], LutModel]] = {
    "network": network,
    "table": lambda: through_tables(network(), LAYOUT),
    "finetune": lambda: to_tables(network(), LAYOUT),
}


def held(data: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    return fitting.held_out(PackedImages(data / "validate"), PROTOCOL)


def silent(metrics: dict[str, float], step: int) -> None:
    """Log nowhere."""


@pytest.mark.parametrize("start", STARTS)
def test_an_interrupted_training_ends_as_an_uninterrupted_one(data: Path, tmp_path: Path, start: str) -> None:
    whole = STARTS[start]()
    curve = fitting.fit(whole, SETTINGS, data, PROTOCOL, tmp_path / "a" / "c.safetensors", "f", silent)

    class Crash(Exception):
        pass

    def crash(metrics: dict[str, float], step: int) -> None:
        if step == 9:
            raise Crash

    resume = tmp_path / "b" / "c.safetensors"
    with pytest.raises(Crash):
        fitting.fit(STARTS[start](), SETTINGS, data, PROTOCOL, resume, "f", crash)
    kept = checkpoint.load(resume, "f")
    assert kept is not None and kept.step == 5
    resumed = STARTS[start]()
    assert fitting.fit(resumed, SETTINGS, data, PROTOCOL, resume, "f", silent) == curve
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())


def test_a_checkpoint_of_another_run_is_not_resumed(data: Path, tmp_path: Path) -> None:
    resume = tmp_path / "c.safetensors"
    point = checkpoint.Checkpoint("other", 3, {}, {}, {"state": {}, "param_groups": []}, 0.0, [])
    checkpoint.save(resume, point)
    assert checkpoint.load(resume, "mine") is None
    resume.write_bytes(b"damaged")
    assert checkpoint.load(resume, "other") is None


def test_the_result_is_the_best_state(data: Path, tmp_path: Path) -> None:
    model = to_tables(network(), LAYOUT)
    wild = SETTINGS.model_copy(update={"learning_rate": 1.0, "final_learning_rate": 1.0})
    start = fitting.validate(model, held(data), PROTOCOL)
    curve = fitting.fit(model, wild, data, PROTOCOL, tmp_path / "c.safetensors", "f", silent)
    best = max(row["val_psnr"] for row in curve)
    assert fitting.validate(model, held(data), PROTOCOL) == best >= start


def test_without_steps_a_model_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    model = to_tables(network(), LAYOUT)
    before = checkpoint.copy_state(model)
    none = SETTINGS.model_copy(update={"steps": 0})
    (row,) = fitting.fit(model, none, data, PROTOCOL, tmp_path / "c.safetensors", "f", silent)
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
        curve = fitting.fit(model, settings, data, PROTOCOL, tmp_path / "c.safetensors", "f", silent)
        scores.append(curve[-1]["val_psnr"])
        assert fitting.validate(model, held(data), PROTOCOL) == max(row["val_psnr"] for row in curve)
    assert scores[0] > scores[1]


def test_training_improves_on_interpolation(data: Path, tmp_path: Path) -> None:
    longer = SETTINGS.model_copy(update={"steps": 60, "validate_every": 20})
    curve = fitting.fit(network(), longer, data, PROTOCOL, tmp_path / "c.safetensors", "f", silent)
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
        fitting.fit(network(), SETTINGS, data, PROTOCOL, resume, "f", stop)
    kept = checkpoint.load(resume, "f")
    assert kept is not None and kept.step == 3


def test_accumulated_parts_give_the_whole_batch(data: Path, tmp_path: Path) -> None:
    parts = SETTINGS.model_copy(update={"accumulate": 2})
    one, two = network(), network()
    fitting.fit(one, SETTINGS, data, PROTOCOL, tmp_path / "a.safetensors", "f", silent)
    fitting.fit(two, parts, data, PROTOCOL, tmp_path / "b.safetensors", "f", silent)
    for name, tensor in one.state_dict().items():
        assert torch.allclose(tensor, two.state_dict()[name], atol=1e-4)  # the sum runs in another order


def test_blank_images_do_not_choose_the_state(tmp_path: Path, data: Path) -> None:
    """Held out together with another image, a blank one changes neither the curve nor what is kept."""
    alone, (degraded, target) = held(data), held(data)[0]
    blank = (np.full_like(degraded, 255), np.full_like(target, 255))
    assert PROTOCOL.says_something(degraded, target) and not PROTOCOL.says_something(*blank)

    class Two:
        scale, names = 2, ["a", "blank"]

        def __len__(self) -> int:
            return 2

        def input(self, index: int) -> NDArray[np.uint8]:
            return np.moveaxis((degraded, blank[0])[index], -1, 0)

        def target(self, index: int) -> NDArray[np.uint8]:
            return np.moveaxis((target, blank[1])[index], -1, 0)

    both = fitting.held_out(cast(PackedImages, Two()), PROTOCOL)
    assert len(both) == 1 and np.array_equal(both[0][1], alone[0][1])
    model = to_tables(network(), LAYOUT)
    assert np.isfinite(fitting.validate(model, [blank], PROTOCOL))
