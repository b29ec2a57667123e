"""Prepared images: in batches of one size, read when they are asked for; damaged ones are named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.training.pairs import Stacked
from lutra.training.sampler import PatchSampler
from pipeline.data.packed import PackedImages
from pipeline.running import footprint

SHAPES = [(3, 8, 10), (1, 8, 8), (3, 8, 10), (3, 8, 10)]


@pytest.fixture
def images(tmp_path: Path) -> PackedImages:
    rng = np.random.default_rng(0)
    size = sum(int(np.prod(shape)) for shape in SHAPES)
    np.save(tmp_path / "input.npy", rng.integers(0, 256, size, dtype=np.uint8))
    np.save(tmp_path / "target.npy", rng.integers(0, 256, 4 * size, dtype=np.uint8))
    listed = [{"name": str(number), "input_shape": shape} for number, shape in enumerate(SHAPES)]
    (tmp_path / "index.json").write_text(json.dumps({"scale": 2, "images": listed}))
    return PackedImages(tmp_path)


@pytest.mark.parametrize(
    ("pixels", "batches"), [(1, [[1], [0], [2], [3]]), (500, [[1], [0, 2], [3]]), (10_000, [[1], [0, 2, 3]])]
)
def test_every_image_is_in_one_batch_of_its_size(images: PackedImages, pixels: int, batches: list[list[int]]) -> None:
    stacked = Stacked(images, pixels)
    assert len(stacked) == len(batches)
    for (degraded, target), numbers in zip(stacked, batches, strict=True):
        assert np.array_equal(degraded, np.concatenate([images.input(number) for number in numbers]))
        assert np.array_equal(target, np.concatenate([images.target(number) for number in numbers]))
    assert len(stacked[1:]) == len(batches) - 1
    assert np.array_equal(stacked[-1][0], stacked[len(batches) - 1][0])


def test_a_batch_is_read_again_each_time(images: PackedImages) -> None:
    stacked = Stacked(images)
    assert stacked[0][0] is not stacked[0][0]


Content = dict[str, Any]
HUGE = 10**30
INDEXES: dict[str, Callable[[Content], object]] = {
    "scale is text": lambda index: index.update(scale="2"),
    "scale is a fraction": lambda index: index.update(scale=2.5),
    "scale is missing": lambda index: index.pop("scale"),
    "scale is huge": lambda index: index.update(scale=HUGE),
    "images are missing": lambda index: index.pop("images"),
    "images are none": lambda index: index.update(images=[]),
    "images are text": lambda index: index.update(images="abc"),
    "an image is null": lambda index: index.update(images=[None]),
    "a name is a number": lambda index: index["images"][0].update(name=3),
    "a shape is missing": lambda index: index["images"][0].pop("input_shape"),
    "a shape has two sides": lambda index: index["images"][0].update(input_shape=[8, 10]),
    "a side is negative": lambda index: index["images"][0].update(input_shape=[3, -8, -10]),
    "a side is huge": lambda index: index["images"][0].update(input_shape=[3, HUGE, HUGE]),
    "a side is text": lambda index: index["images"][0].update(input_shape=[3, "8", 10]),
    "sha256 is a list": lambda index: index.update(sha256=["a"]),
    "shares are text": lambda index: index.update(shares="all"),
    "shares are of other images": lambda index: index.update(shares=[[1, 0.5], [1, 0.5]]),
    "a share is zero": lambda index: index.update(shares=[[4, 0.0]]),
    "drawn_anew is text": lambda index: index.update(drawn_anew="noise"),
    "drawn_anew has no task": lambda index: index.update(drawn_anew={"options": {}}),
    "drawn_anew is no task": lambda index: index.update(drawn_anew={"task": "x", "options": {}}),
    "drawn_anew has odd options": lambda index: index.update(drawn_anew={"task": "denoise", "options": {"sigma": "a"}}),
}


@pytest.mark.parametrize("damage", INDEXES)
def test_a_damaged_index_is_named(images: PackedImages, tmp_path: Path, damage: str) -> None:
    content = json.loads((tmp_path / "index.json").read_text())
    INDEXES[damage](content)
    (tmp_path / "index.json").write_text(json.dumps(content))
    for read in (PackedImages, footprint.input_sizes):
        with pytest.raises(ValueError, match=r"index\.json: damaged: ") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value) and "prepare" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_an_index_that_is_no_json_object_is_named(images: PackedImages, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.json: damaged: ") as caught:
        PackedImages(tmp_path)
    assert "\n" not in str(caught.value)


ARRAYS: dict[str, Callable[[Path, Any], object]] = {
    "two dimensions": lambda path, data: np.save(path, data.reshape(4, -1)),
    "int8": lambda path, data: np.save(path, data.view(np.int8)),
    "float64": lambda path, data: np.save(path, data.astype(np.float64)),
    "objects": lambda path, data: np.save(path, data[:3].astype(object)),
    "no values": lambda path, data: np.save(path, data[:0]),
    "fewer": lambda path, data: np.save(path, data[:-1]),
    "an archive": lambda path, data: shutil.move(path.with_suffix(".npz"), path),
    "empty": lambda path, data: path.write_bytes(b""),
    "cut": lambda path, data: path.write_bytes(path.read_bytes()[:-100]),
    "text": lambda path, data: path.write_text("hello"),
    "header": lambda path, data: path.write_bytes(path.read_bytes().replace(b"'shape'", b"'shap('")),
}


@pytest.mark.parametrize("file", ["input.npy", "target.npy"])
@pytest.mark.parametrize("damage", ARRAYS)
def test_a_damaged_array_is_named(images: PackedImages, tmp_path: Path, file: str, damage: str) -> None:
    data = np.load(tmp_path / file)
    np.savez(tmp_path / Path(file).with_suffix(".npz"), data)
    ARRAYS[damage](tmp_path / file, data)
    with pytest.raises(ValueError, match=rf"{file}: found .*, expected uint8 of shape \({len(data)},\)") as caught:
        PackedImages(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_array_is_named(images: PackedImages, tmp_path: Path) -> None:
    (tmp_path / "target.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"target\.npy: not found; run"):
        PackedImages(tmp_path)


def test_the_last_position_of_a_patch_is_drawn(images: PackedImages) -> None:
    """The largest patch of images of 8 rows has one row of positions; all of them come."""
    sampler = PatchSampler(images, 8, 400, 0)
    located = {
        tuple(int(part) for part in place) for place in zip(*sampler._locate(np.arange(sampler._ends[-1])), strict=True)
    }
    assert len(located) == sampler._ends[-1] == 3 * 3 * 3 + 1
    drawn = sampler.batch_at(0)[0]
    last = images.input(3)[2, :, 2:10]
    turned = [np.rot90(part, turns) for part in (last, last.T) for turns in range(4)]
    assert any(np.array_equal(patch[0], way) for patch in drawn for way in turned)
