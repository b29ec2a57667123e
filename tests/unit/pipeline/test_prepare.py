"""Preparation: what is packed for each scale and mode, refused images, and how the folder appears."""

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lutra.imaging.files import write_image
from lutra.imaging.resize import imresize
from pipeline import prepare
from pipeline.datasets import PackedImages
from pipeline.params import Params
from tests.golden.cases import image


def params(train: Path, evaluate: list[Path], **data: Any) -> Params:
    content = {"train": str(train), "evaluate": [str(path) for path in evaluate], "validate": 1, "bicubic": "uint8"}
    return Params.model_validate(
        {"data": content | {"scales": [1, 2, 3, 4]} | data, "tracking": {"enabled": False}, "experiments": {}}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    made.mkdir()
    for number in range(5):
        write_image(made / f"{number}.png", image(40 + number, 45))
    return made


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("bicubic", ["uint8", "double"])
def test_sides_are_multiples_of_the_scale_and_gray_has_one_plane(folder: Path, scale: int, bicubic: Any) -> None:
    out = prepare.run(params(folder, [folder], bicubic=bicubic), scale=scale, root=folder.parent / "root")
    assert out == folder.parent / "root" / "prepare" / f"x{scale}"
    packed = PackedImages(out / "evaluate" / "images")
    for index in range(len(packed)):
        lr, hr = packed.lr(index), packed.hr(index)
        assert lr.shape == (1, (40 + index) // scale, 45 // scale)
        assert hr.shape == (1, lr.shape[1] * scale, lr.shape[2] * scale)
        assert np.array_equal(lr[0], imresize(np.array(hr[0]), Fraction(1, scale), bicubic) if scale > 1 else hr[0])


def test_the_same_images_give_the_same_bytes_and_no_path(folder: Path, tmp_path: Path) -> None:
    first, second = (
        prepare.run(params(folder, [folder]), scale=2, root=tmp_path / name) for name in ("first", "second")
    )
    assert digests(first) == digests(second)
    assert not any(str(tmp_path) in path.read_text() for path in first.rglob("*.json"))


def test_a_new_preparation_replaces_the_old_one_whole(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_image(other / "a.png", image(50, 50))
    prepare.run(params(folder, [folder, other]), scale=2, root=tmp_path)
    out = prepare.run(params(folder, [other]), scale=2, root=tmp_path)
    assert [path.name for path in (out / "evaluate").iterdir()] == ["other"]
    assert [path.name for path in out.parent.iterdir()] == ["x2"]
    index = json.loads((out / "index.json").read_text())
    assert {name: part["images"] for name, part in index["parts"].items()} == {
        "train": 4,
        "validate": 1,
        "evaluate/other": 1,
    }


def test_two_sets_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "elsewhere" / "images"
    twin.mkdir(parents=True)
    write_image(twin / "a.png", image(50, 50))
    with pytest.raises(ValueError, match=r"data\.evaluate: found two sets called 'images'"):
        prepare.run(params(folder, [folder, twin]), scale=2, root=tmp_path)


@pytest.mark.parametrize(("mode", "message"), [("RGBA", "transparent"), ("CMYK", "CMYK"), ("I;16", "more than 8 bits")])
def test_an_image_of_the_wrong_mode_is_named(folder: Path, tmp_path: Path, mode: str, message: str) -> None:
    name = "2.tif" if mode == "CMYK" else "2.png"
    Image.new(mode, (50, 50)).save(folder / name)
    with pytest.raises(ValueError, match=message) as caught:
        prepare.run(params(folder, [folder]), scale=2, root=tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert list((tmp_path / "prepare").iterdir()) == []


@pytest.mark.parametrize(("held", "names"), [(1, "2"), (2, "13"), (4, "0134")])
def test_validation_images_are_spread_evenly(folder: Path, tmp_path: Path, held: int, names: str) -> None:
    out = prepare.run(params(folder, [folder], validate=held), scale=2, root=tmp_path)
    assert PackedImages(out / "validate").names == [f"{name}.png" for name in names]
    assert len(PackedImages(out / "train")) == 5 - held
