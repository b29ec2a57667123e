"""Preparation: what is packed for each scale and mode, refused images, and how the folder appears."""

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lutra.evaluation import protocols
from lutra.imaging.degrade import Noise
from lutra.imaging.images import read_image, write_image
from lutra.imaging.resize import imresize
from pipeline.data import packed
from pipeline.data.packed import PackedImages
from pipeline.params import Params
from pipeline.running.job import Job
from pipeline.stages import prepare
from tests.golden.cases import image

SR = {
    f"x{scale}-{bicubic}": {"task": "sr", "scale": scale, "bicubic": bicubic}
    for scale in (1, 2, 3, 4)
    for bicubic in ("uint8", "double")
}
OTHERS = {
    "denoise": {"task": "denoise", "sigma": [15, 50]},
    "deblock": {"task": "deblock", "quality": 10},
    "deblur": {"task": "deblur"},
    "pairs": {"task": "deblur", "pairs": True},
    "blind": {"task": "denoise", "sigma": [5, 50], "evaluate_at": [15, 50]},
    "colour": {"task": "denoise-colour", "sigma": 25},
}
TASKS: dict[str, Any] = SR | OTHERS | {"x2": {"task": "sr", "scale": 2}}


def params(train: Path | str, evaluate: list[Path], **data: Any) -> Params:
    content = {"train": str(train), "evaluate": [str(path) for path in evaluate], "validate": 1}
    return Params.model_validate(
        {"data": content | data, "tasks": TASKS, "tracking": {"enabled": False}, "experiments": {}}
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


def test_a_blind_task_is_evaluated_at_each_strength_by_the_protocol_of_that_strength(folder: Path) -> None:
    out = prepare.run(Job.of("prepare", params(folder, [folder]), folder.parent / "root", task="blind"))
    assert sorted(path.name for path in (out / "evaluate").iterdir()) == ["images-sigma15", "images-sigma50"]
    for sigma in (15, 50):
        images = PackedImages(out / "evaluate" / f"images-sigma{sigma}")
        alone = protocols.of("denoise", {"sigma": sigma})
        for number, name in enumerate(images.names):
            assert np.array_equal(images.input(number)[0], alone.input(read_image(folder / name), number))
    drawn = PackedImages(out / "train").per_patch
    assert isinstance(drawn, Noise) and drawn.sigma == (5, 50)


def test_a_gray_image_is_no_image_of_colour_denoising(folder: Path) -> None:
    job = Job.of("prepare", params(folder, [folder]), folder.parent / "root", task="colour")
    with pytest.raises(ValueError, match=r"^[0-4]\.png: found a gray image, expected red, green and blue"):
        prepare.run(job)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("bicubic", ["uint8", "double"])
def test_sides_are_multiples_of_the_scale_and_gray_has_one_plane(folder: Path, scale: int, bicubic: Any) -> None:
    out = prepare.run(Job.of("prepare", params(folder, [folder]), folder.parent / "root", task=f"x{scale}-{bicubic}"))
    assert out == folder.parent / "root" / "prepare" / f"x{scale}-{bicubic}"
    packed = PackedImages(out / "evaluate" / "images")
    for index in range(len(packed)):
        lr, hr = packed.input(index), packed.target(index)
        assert lr.shape == (1, (40 + index) // scale, 45 // scale)
        assert hr.shape == (1, lr.shape[1] * scale, lr.shape[2] * scale)
        assert np.array_equal(lr[0], imresize(np.array(hr[0]), Fraction(1, scale), bicubic) if scale > 1 else hr[0])


def test_the_same_images_give_the_same_bytes_and_no_path(folder: Path, tmp_path: Path) -> None:
    first, second = (
        prepare.run(Job.of("prepare", params(folder, [folder]), tmp_path / name, task="x2"))
        for name in ("first", "second")
    )
    assert digests(first) == digests(second)
    assert not any(str(tmp_path) in path.read_text() for path in first.rglob("*.json"))


@pytest.mark.parametrize("file", ["input.npy", "target.npy"])
def test_values_that_prepare_did_not_write_are_told(folder: Path, tmp_path: Path, file: str) -> None:
    out = prepare.run(Job.of("prepare", params(folder, [folder]), tmp_path, task="x2"))
    packed.verify(out, "train", "validate", "evaluate/images")
    content = bytearray((out / "train" / file).read_bytes())
    content[-7] ^= 1
    (out / "train" / file).write_bytes(content)
    packed.verify(out, "validate")
    with pytest.raises(ValueError, match=rf"train/{file}: sha256 is [0-9a-f]+, expected [0-9a-f]+; run"):
        packed.verify(out, "validate", "train")


@pytest.mark.parametrize(("task", "side"), [("denoise", 10), ("deblock", 15), ("x2", 15)])
def test_an_image_too_small_to_score_is_named_before_training(
    folder: Path, tmp_path: Path, task: str, side: int
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    write_image(small / "tiny.png", image(side, 45))
    with pytest.raises(ValueError, match=rf"tiny\.png: too small: 45x{side} pixels, expected at least {side + 1} on"):
        prepare.run(Job.of("prepare", params(folder, [small]), tmp_path, task=task))


def test_a_new_preparation_replaces_the_old_one_whole(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_image(other / "a.png", image(50, 50))
    prepare.run(Job.of("prepare", params(folder, [folder, other]), tmp_path, task="x2"))
    out = prepare.run(Job.of("prepare", params(folder, [other]), tmp_path, task="x2"))
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
        prepare.run(Job.of("prepare", params(folder, [folder, twin]), tmp_path, task="x2"))


@pytest.mark.parametrize(("mode", "message"), [("RGBA", "transparent"), ("CMYK", "CMYK"), ("I;16", "more than 8 bits")])
def test_an_image_of_the_wrong_mode_is_named(folder: Path, tmp_path: Path, mode: str, message: str) -> None:
    name = "2.tif" if mode == "CMYK" else "2.png"
    Image.new(mode, (50, 50)).save(folder / name)
    with pytest.raises(ValueError, match=message) as caught:
        prepare.run(Job.of("prepare", params(folder, [folder]), tmp_path, task="x2"))
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert list((tmp_path / "prepare").iterdir()) == []


def test_a_damaged_image_is_named_whatever_its_decoder_raises(folder: Path, tmp_path: Path) -> None:
    Image.new("P", (50, 50)).save(folder / "2.png")
    content = (folder / "2.png").read_bytes()
    start, end = content.index(b"PLTE") - 4, content.index(b"IDAT") - 4
    (folder / "2.png").write_bytes(content[:start] + content[end:])  # for Pillow an AssertionError
    with pytest.raises(ValueError, match=r"2\.png: found a damaged or unreadable file") as caught:
        prepare.run(Job.of("prepare", params(folder, [folder]), tmp_path, task="x2"))
    assert "\n" not in str(caught.value) and list((tmp_path / "prepare").iterdir()) == []


@pytest.mark.parametrize(("held", "names"), [(1, "2"), (2, "13"), (4, "0134")])
def test_validation_images_are_spread_evenly(folder: Path, tmp_path: Path, held: int, names: str) -> None:
    out = prepare.run(Job.of("prepare", params(folder, [folder], validate=held), tmp_path, task="x2"))
    assert PackedImages(out / "validate").names == [f"{name}.png" for name in names]
    assert len(PackedImages(out / "train")) == 5 - held


@pytest.mark.parametrize("task", ["denoise", "deblock", "deblur"])
def test_other_tasks_are_degraded_by_their_protocol(tmp_path: Path, task: str) -> None:
    colour = tmp_path / "colour"
    colour.mkdir()
    for number in range(3):
        planes = [image(40 + number, 45 + plane)[:, :45] for plane in range(3)]
        write_image(colour / f"{number}.png", np.stack(planes, -1))
    settings = params(colour, [colour])
    out = prepare.run(Job.of("prepare", settings, tmp_path, task=task))
    protocol = settings.tasks[task].protocol()
    packed = PackedImages(out / "evaluate" / "colour")
    for number in range(3):
        target = protocol.target(read_image(colour / f"{number}.png"))
        assert np.array_equal(packed.target(number), np.atleast_3d(target).transpose(2, 0, 1))
        degraded = protocol.input(target, number)
        assert np.array_equal(packed.input(number), np.atleast_3d(degraded).transpose(2, 0, 1))
    # the two images that are trained on, numbers 0 and 2, are degraded by another seed than the protocol's
    train = PackedImages(out / "train")
    assert (train.per_patch is not None) == (task == "denoise")
    if task != "deblock":
        assert not np.array_equal(train.input(0), packed.input(0))


def test_a_set_called_train_is_evaluated_by_the_protocols_seed(folder: Path, tmp_path: Path) -> None:
    named = folder.rename(tmp_path / "train")
    out = prepare.run(Job.of("prepare", params(named, [named]), tmp_path, task="denoise"))
    protocol = params(named, [named]).tasks["denoise"].protocol()
    packed = PackedImages(out / "evaluate" / "train")
    assert packed.per_patch is None
    assert np.array_equal(packed.input(1)[0], protocol.input(packed.target(1)[0], 1))


def test_pairs_are_packed_as_they_are(tmp_path: Path) -> None:
    for kind in ("sharp", "blur"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
    for number in range(3):
        write_image(tmp_path / "pairs" / "sharp" / f"{number}.png", image(40, 45 + number))
        write_image(tmp_path / "pairs" / "blur" / f"{number}.png", 255 - image(40, 45 + number))
    out = prepare.run(Job.of("prepare", params(tmp_path / "pairs", [tmp_path / "pairs"]), tmp_path, task="pairs"))
    for folder in ("train", "validate", "evaluate/pairs"):
        packed = PackedImages(out / folder)
        assert np.array_equal(packed.input(0), 255 - packed.target(0))
    (tmp_path / "pairs" / "blur" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.png"):
        prepare.run(Job.of("prepare", params(tmp_path / "pairs", [tmp_path / "pairs"]), tmp_path, task="pairs"))


def test_sets_are_mixed_and_the_first_gives_the_images_held_out(folder: Path, tmp_path: Path) -> None:
    leaves = {"images": 3, "size": 64, "colours": str(folder)}
    out = prepare.run(
        Job.of("prepare", params(folder, [folder], mix=["deadleaves"], deadleaves=leaves), tmp_path, task="x2")
    )
    train, validate = PackedImages(out / "train"), PackedImages(out / "validate")
    assert train.names[-3:] == ["deadleaves-00000", "deadleaves-00001", "deadleaves-00002"] and len(train) == 7
    assert validate.names == ["2.png"]
    alone = prepare.run(
        Job.of("prepare", params("deadleaves", [folder], deadleaves=leaves), tmp_path / "alone", task="x2")
    )
    assert PackedImages(alone / "validate").names == ["deadleaves-00001"]
    assert np.array_equal(PackedImages(alone / "train").target(0), train.target(4))
