"""Prepared images in batches of one size, read when they are asked for."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.packed import PackedImages, Stacked

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
