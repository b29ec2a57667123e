"""Images that training and evaluation share are found by what they show."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.commands.inputs import app
from pipeline.data import sets
from pipeline.data.catalogue import DATA
from pipeline.data.copies import ALIKE, shared
from pipeline.data.sets import ImageSource, resolve

FREE = ("photos", "samples", "budgie", "lomiri", "mate", "plasma", "palapeli")


@pytest.fixture(scope="module")
def samples() -> list[ImageSource]:
    return resolve("samples")


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "a smaller size": lambda image: image.resize((150, 140)),
    "a mirror": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "a turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "gray": lambda image: image.convert("L"),
    "compression": compressed,
    "a crop": lambda image: image.crop((4, 4, image.width - 2, image.height - 3)),
    "darkness": lambda image: image.point(lambda level: level // 3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found(samples: list[ImageSource], change: str) -> None:
    cat = samples[1]
    changed = np.asarray(CHANGES[change](Image.fromarray(cat.read())))
    (found,) = shared(samples, [replace(cat, name="copy", read=lambda: changed)])
    assert (found.one, found.other) == ("chelsea.png", "copy") and ALIKE <= found.alike <= 1


def test_other_images_are_not_alike(samples: list[ImageSource]) -> None:
    assert not shared(samples[:1], samples[1:])
    flat = replace(samples[0], read=lambda: np.full((40, 40), 7, np.uint8))
    assert not shared([flat], [flat])


def test_the_command_names_the_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "PROJECT", tmp_path)
    (tmp_path / "mine").mkdir()
    Image.fromarray(resolve("samples")[2].read()).resize((90, 60)).save(tmp_path / "mine/cup.png")
    text = (
        "data: {train: TRAIN, mix: [deadleaves], evaluate: [samples], validate: 1}\ntasks: {x4: {task: sr, scale: 4}}\n"
    )
    params = tmp_path / "params.yaml"
    params.write_text(text.replace("TRAIN", str(tmp_path / "mine")) + "experiments: {}\n")
    result = CliRunner().invoke(app, ["data", "overlap", "--params", str(params)])
    assert result.exit_code == 1
    assert "mine: cup.png shows the same as samples: coffee.png (alike " in result.output
    Image.fromarray(resolve("samples")[2].read()[:80, :80]).save(tmp_path / "mine/cup.png")
    result = CliRunner().invoke(app, ["data", "overlap", "--params", str(params)])
    assert result.exit_code == 0 and result.output.startswith("no image of ")


@pytest.mark.reference
def test_no_free_photograph_is_in_an_evaluation_set(dataset: Callable[[str], Path]) -> None:
    here = [name for name in FREE if name in FREE[:2] or (DATA / name).is_dir()]
    names = ("Set5", "Set14", "B100", "Set12", "classic5", "CBSD68")
    scored = [source for name in names for source in resolve(str(dataset(name)))]
    assert not shared([source for name in here for source in resolve(name)], scored)


@pytest.mark.reference
def test_a_known_copy_is_found_in_the_berkeley_set(dataset: Callable[[str], Path]) -> None:
    (found,) = shared(resolve(str(dataset("bsds400"))), resolve(str(dataset("Set5"))))
    assert (found.one, found.other) == ("302003.jpg", "woman.png")
