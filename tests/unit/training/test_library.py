"""Training from the library: the lines of docs/library.md, and the images that they read."""

import re
from pathlib import Path

import numpy as np
import pytest

import lutra
from lutra.evaluation import protocols
from lutra.imaging.images import write_image
from lutra.imaging.resize import imresize
from lutra.training import Images, Settings, Watcher, fit, new_tables, read_images, save
from lutra.training.checkpoint import Checkpoint
from lutra.training.extremes import keep_extremes
from lutra.training.multigrid import without_grids

DOCS = Path(__file__).parents[3] / "docs" / "library.md"
TASK = protocols.of("sr", {"scale": 4})


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six smooth images of 201 x 198 pixels."""
    folder = tmp_path_factory.mktemp("parent") / "photographs"
    folder.mkdir()
    rows, columns = np.mgrid[0:198, 0:201]
    for number in range(6):
        waves = [127 + 100 * np.sin((rows * (1 + number) + columns * (2 + channel)) / 19) for channel in range(3)]
        write_image(folder / f"{number}.png", np.stack(waves, axis=-1).astype(np.uint8))
    return folder


def test_the_lines_of_the_documentation_train_a_model(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lines,) = re.findall(r"runs these lines -->\n```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) <= 10
    monkeypatch.chdir(photographs.parent)
    exec(lines.replace("steps=500", "steps=20, batch=4, patch=16, validate_every=10"), {})
    model = lutra.load("mine.safetensors")
    image = np.full((9, 7, 3), 255, np.uint8)
    assert np.array_equal(model.restore(image), np.full((36, 28, 3), 255, np.uint8))


def test_training_improves_on_interpolation_and_tells_its_watcher(photographs: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    class Recorder(Watcher):
        def stepped(self, point: Checkpoint, loss: float) -> None:
            told.append(("stepped", point.step))

        def validated(self, point: Checkpoint) -> None:
            told.append(("validated", point.step))

    train, held_out = read_images(photographs, TASK).split(held_out=2)
    model = new_tables("srlut", scale=4)
    settings = Settings(steps=30, batch=8, patch=24, validate_every=20)
    curve = fit(model, train, held_out, settings, score=TASK.rank, watcher=Recorder())
    assert [row["step"] for row in curve] == [0, 20, 30]
    assert curve[-1]["val_psnr"] > curve[0]["val_psnr"] + 0.1
    assert [step for event, step in told if event == "stepped"] == list(range(1, 31))
    assert [step for event, step in told if event == "validated"] == [0, 20, 30]


def test_a_watcher_stops_a_training(photographs: Path) -> None:
    class Impatient(Watcher):
        def stopped(self) -> bool:
            return True

    images = read_images(photographs, TASK)
    with pytest.raises(KeyboardInterrupt):
        fit(new_tables("srlut", scale=4), images, images, Settings(steps=5, batch=1, patch=8), watcher=Impatient())


def test_images_of_a_folder_are_degraded_by_the_task(photographs: Path) -> None:
    images = read_images(photographs, TASK)
    assert images.names == [f"{number}.png" for number in range(6)]
    target = images.target(3).transpose(1, 2, 0)
    assert target.shape == (196, 200, 3)  # cropped to a multiple of 4
    assert np.array_equal(images.input(3).transpose(1, 2, 0), imresize(target, 1 / 4))
    noisy = read_images(photographs, protocols.of("denoise", {"sigma": 25}))
    assert noisy.per_patch is not None and noisy.split(1)[0].per_patch is not None
    assert noisy.split(1)[1].per_patch is None  # held-out images stay the same from validation to validation


def test_images_that_are_held_out_are_evenly_spaced(photographs: Path) -> None:
    train, held_out = read_images(photographs, TASK).split(held_out=2)
    assert held_out.names == ["1.png", "4.png"] and train.names == ["0.png", "2.png", "3.png", "5.png"]
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"held_out: found {count}, expected 1 to 5 of 6 images"):
            read_images(photographs, TASK).split(count)


def test_pairs_whose_sizes_do_not_fit_are_named() -> None:
    small, large = np.zeros((4, 5), np.uint8), np.zeros((8, 9), np.uint8)
    with pytest.raises(ValueError, match=r"b: found a target of shape \(1, 8, 9\), expected \(1, 8, 10\)"):
        Images.of([("a", small, np.zeros((8, 10), np.uint8)), ("b", small, large)])
    with pytest.raises(ValueError, match="images: found none"):
        Images.of([])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 0}, "batch: found 0, expected at least 1"),
        ({"accumulate": 5}, "accumulate: found 5, expected a divisor of the batch of 32"),
        ({"final_learning_rate": 1.0}, "final_learning_rate: found 1 after 0.02"),
        ({"average": 1.0}, "average: found 1, expected 0 or more and less than 1"),
        ({"steps": -1}, "steps: found -1, expected 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)  # type: ignore[arg-type]


def test_saved_tables_know_their_task(tmp_path: Path) -> None:
    save(tmp_path / "model.safetensors", new_tables("srlut", scale=1), "denoise", {"sigma": 25})
    assert lutra.load(tmp_path / "model.safetensors").scale == 1


def test_sums_of_vectors_train_too(photographs: Path, tmp_path: Path) -> None:
    train, held_out = read_images(photographs, TASK).split(held_out=2)
    model = new_tables("shiftlut", scale=4)
    settings = Settings(steps=40, batch=4, patch=16, learning_rate=0.008, validate_every=40, average=0.9)
    curve = fit(model, train, held_out, settings, score=TASK.rank)
    assert curve[-1]["val_psnr"] > curve[0]["val_psnr"] + 1
    save(tmp_path / "sums.safetensors", model)
    restorer = lutra.load(tmp_path / "sums.safetensors")
    image = np.ascontiguousarray(held_out.input(0).transpose(1, 2, 0))
    kept = keep_extremes(without_grids(model), "sr")
    assert np.array_equal(restorer.restore(image), kept.restore_image(image))
    assert (restorer.restore(np.full((9, 7, 3), 255, np.uint8)) == 255).all()
