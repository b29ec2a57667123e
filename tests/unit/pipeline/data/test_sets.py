"""The catalogue, folders of images, packed images and patches."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.imaging.images import read_image, write_image
from lutra.imaging.resize import imresize
from lutra.training.sampler import PatchSampler
from pipeline.data import sets as datasets
from pipeline.data.catalogue import File, Packaged, catalogue
from pipeline.data.packed import PackedImages
from pipeline.params import Params, set_name
from pipeline.running.job import Job
from pipeline.stages import prepare
from tests.golden.cases import image

SIDES = ((40, 52), (64, 48), (41, 67))


def settings_for(train: Path | str, evaluate: list[str], validate: int = 1, **data: Any) -> Params:
    return Params.model_validate(
        {
            "data": {"train": str(train), "evaluate": evaluate, "validate": validate, **data},
            "tasks": {"x2": {"task": "sr", "scale": 2}, "noise": {"task": "denoise", "sigma": [15, 50]}},
            "tracking": {"enabled": False},
            "experiments": {},
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("folder of images")
    for number, (height, width) in enumerate(SIDES):
        write_image(
            made / f"{number}.png", np.stack([image(height, width + shift)[:, :width] for shift in range(3)], -1)
        )
    write_image(made / "gray.png", image(50, 50))
    return made


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare.run(
        Job.of("prepare", settings_for(folder, [str(folder)]), tmp_path_factory.mktemp("root"), task="x2")
    )


def test_the_catalogue_resolves_and_its_files_are_the_pinned_ones() -> None:
    sets = catalogue()
    assert {"photos", "samples"} <= set(sets)
    assert [source.name for source in datasets.resolve("samples")] == ["astronaut.png", "chelsea.png", "coffee.png"]
    assert datasets.resolve("samples")[0].read().shape == (512, 512, 3)
    photos = datasets.resolve("photos")
    assert len(photos) == 45
    halved = next(source for source in photos if source.name == "church.png").read()
    assert halved.shape == (426, 640, 3)


def test_unknown_sets_and_changed_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'photos'"):
        datasets.resolve("photo")
    with pytest.raises(ValueError, match="found no image"):
        datasets.resolve(str(tmp_path))
    write_image(tmp_path / "a.png", image(4, 4))
    with pytest.raises(ValueError, match=r"a\.png: sha256 is .*, expected 0000"):
        datasets._pinned(tmp_path, File(name="a.png", sha256="0" * 64))
    missing = Packaged(title="a", home="https://a.org", licence="a", package="no-such-package", folder="", files=())
    with pytest.raises(ValueError, match="pip install no-such-package"):
        datasets._packaged(missing)


def test_prepared_images_are_the_originals_cropped_and_resized(folder: Path, prepared: Path) -> None:
    packed = PackedImages(prepared / "evaluate" / set_name(str(folder)))
    assert packed.names == ["0.png", "1.png", "2.png", "gray.png"]
    for index, name in enumerate(packed.names):
        original = np.atleast_3d(read_image(folder / name))
        hr = packed.target(index).transpose(1, 2, 0)
        assert np.array_equal(hr, original[: hr.shape[0], : hr.shape[1]])
        assert hr.shape[0] == original.shape[0] // 2 * 2
        lr = np.atleast_3d(imresize(np.ascontiguousarray(hr), 0.5))
        assert np.array_equal(packed.input(index).transpose(1, 2, 0), lr)


def test_photographs_to_train_on_are_shrunk_and_those_to_score_are_not(folder: Path, tmp_path: Path) -> None:
    params = settings_for(folder, [str(folder)], mix=["deadleaves"], shrink=0.75, deadleaves={"images": 2, "size": 32})
    sets = datasets.image_sources(params, "x2")
    by_name = {source.name: source for source in sets["train"] + sets["validate"]}
    whole = read_image(folder / "1.png")
    assert np.array_equal(by_name["1.png"].read(), imresize(whole, 0.75))
    assert by_name["1.png"].shape() == (36, 48, 3) == (*imresize(whole, 0.75).shape[1::-1], 3)
    plain = {source.name: source for source in sets[f"evaluate/{set_name(str(folder))}"]}
    assert np.array_equal(plain["1.png"].read(), whole)
    assert plain["1.png"].identity() != by_name["1.png"].identity()
    assert by_name["deadleaves-00001"].read().shape == (32, 32, 3)


def test_shrunk_photographs_do_not_go_with_degraded_ones(folder: Path) -> None:
    params = settings_for(folder, [str(folder)], shrink=0.5)
    assert (params.shrink("x2"), params.shrink("noise")) == (0.5, 0.5)
    params.tasks["x2"] = params.tasks["x2"].model_copy(update={"pairs": True, "shrink": 0.25})
    assert (params.shrink("x2"), params.shrink("noise")) == (0.25, 0.5)
    with pytest.raises(ValueError, match=r"data.shrink: found 0.25 with .*expected 1"):
        datasets.image_sources(params, "x2")


def test_photographs_are_trained_on_at_every_size(folder: Path) -> None:
    leaves = {"images": 2, "size": 32}
    params = settings_for(folder, [str(folder)], mix=["deadleaves"], shrink=0.8, scales=[1, 0.5], deadleaves=leaves)
    sets = datasets.image_sources(params, "x2")
    assert [source.name.split(" at ") for source in sets["validate"]] == [["2.png", "0.8"], ["2.png", "0.4"]]
    names = [source.name for source in sets["train"]]
    assert names[:6] == [f"{name} at {size}" for size in (0.8, 0.4) for name in ("0.png", "1.png", "gray.png")]
    assert names[6:] == ["deadleaves-00000", "deadleaves-00001"]
    assert np.array_equal(sets["train"][4].read(), imresize(read_image(folder / "1.png"), 0.4))
    assert next(iter(sets[f"evaluate/{set_name(str(folder))}"])).name == "0.png"
    params.tasks["x2"] = params.tasks["x2"].model_copy(update={"scales": (0.25,)})
    assert params.factors("x2") == (0.2,) and params.factors("noise") == (0.8, 0.4)


def test_sets_of_the_catalogue_may_be_read_at_half_their_size(tmp_path: Path) -> None:
    (tmp_path / "data" / "budgie").mkdir(parents=True)
    write_image(tmp_path / "data" / "budgie" / "a.png", image(40, 60))
    (source,) = datasets.resolve("budgie", project=tmp_path)
    assert source.shape() == (30, 20, 1) and source.name == "a.png"
    assert np.array_equal(source.read(), imresize(image(40, 60), 0.5))


def test_patches_come_from_sets_by_their_shares(folder: Path, tmp_path: Path) -> None:
    """Sets of flat images tell where a patch comes from; the largest has the fewest patches."""
    for name, level, count in (("dark", 10, 1), ("light", 200, 1), ("middle", 100, 3)):
        (tmp_path / name).mkdir()
        for number in range(count):
            write_image(tmp_path / name / f"{number}.png", np.full((40, 40 * (level // 10)), level, np.uint8))
    dark, light, middle = (str(tmp_path / name) for name in ("dark", "light", "middle"))
    params = settings_for(folder, [str(folder)], mix=[light, dark, middle], shares={light: 0.1, dark: 0.6})
    out = prepare.run(Job.of("prepare", params, tmp_path / "root", task="x2"))
    images = PackedImages(out / "train")
    assert [count for count, _ in images.shares] == [3, 1, 1, 3]
    own = sum(images.input(number).size for number in range(3))
    rest = {folder: own, middle: sum(images.input(number).size for number in range(5, 8))}
    expected = [0.3 * rest[folder] / sum(rest.values()), 0.1, 0.6, 0.3 * rest[middle] / sum(rest.values())]
    assert [share for _, share in images.shares] == pytest.approx(expected)

    _, target = PatchSampler(images, 16, 4000, seed=1).batch_at(0)
    flat = target.reshape(4000, -1)
    seen = np.where(flat.std(axis=1) == 0, flat[:, 0], 0)
    found = [float((seen == wanted).mean()) for wanted in (0, 200, 10, 100)]
    assert found == pytest.approx(expected, abs=0.03), "four standard deviations of 4,000 draws"
    parts = json.loads((out / "index.json").read_text())["parts"]
    assert [list(share) for share in images.shares] == parts["train"]["shares"], "trainings depend on them"


def test_shares_of_all_sets_need_not_be_one(folder: Path, tmp_path: Path) -> None:
    params = settings_for(folder, [str(folder)], mix=["samples"], shares={str(folder): 0.2, "samples": 0.6})
    out = prepare.run(Job.of("prepare", params, tmp_path, task="x2"))
    assert [share for _, share in PackedImages(out / "train").shares] == pytest.approx([0.25, 0.75])


def test_validation_images_are_held_out(prepared: Path) -> None:
    train, validate = PackedImages(prepared / "train"), PackedImages(prepared / "validate")
    assert len(train) == 3 and len(validate) == 1
    assert not set(train.names) & set(validate.names)


def test_a_failed_preparation_keeps_what_was_there(folder: Path, prepared: Path, tmp_path: Path) -> None:
    root = prepared.parents[1]
    before = sorted(path.name for path in (root / "prepare").iterdir())
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "1.png").write_bytes((folder / "1.png").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"1\.png: found a damaged"):
        prepare.run(Job.of("prepare", settings_for(broken, [str(folder)]), root, task="x2"))
    assert sorted(path.name for path in (root / "prepare").iterdir()) == before
    write_image(broken / "1.png", image(6, 60))
    with pytest.raises(ValueError, match=r"1\.png: too small: 60x6 pixels, expected at least 16"):
        prepare.run(Job.of("prepare", settings_for(broken, [str(folder)]), root, task="x2"))
    with pytest.raises(ValueError, match="expected fewer than the 4 images"):
        prepare.run(Job.of("prepare", settings_for(folder, [str(folder)], validate=4), root, task="x2"))


@settings(deadline=None, max_examples=30)
@given(step=st.integers(0, 2**40), seed=st.integers(0, 2**32 - 1), patch=st.integers(1, 20))
def test_patches_are_windows_of_the_images(prepared: Path, step: int, seed: int, patch: int) -> None:
    images = PackedImages(prepared / "train")
    lr, hr = PatchSampler(images, patch, 6, seed).batch_at(step)
    assert lr.shape == (6, 1, patch, patch) and hr.shape == (6, 1, 2 * patch, 2 * patch)
    for small, large in zip(lr[:, 0], hr[:, 0], strict=True):
        assert any(_found(images, small, large, index) for index in range(len(images)))


def _found(images: PackedImages, small: np.ndarray, large: np.ndarray, index: int) -> bool:
    """Whether the pair of patches lies, in one of its eight orientations, in a plane of the image."""
    side = len(small)
    for turn in range(8):
        back_small, back_large = (np.rot90(array.T if turn & 4 else array, turn & 3) for array in (small, large))
        for plane_lr, plane_hr in zip(images.input(index), images.target(index), strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(plane_lr, (side, side))
            for row, column in np.argwhere((windows == back_small).all(axis=(2, 3))):
                window = plane_hr[2 * row : 2 * (row + side), 2 * column : 2 * (column + side)]
                if np.array_equal(window, back_large):
                    return True
    return False


def test_batches_depend_on_seed_and_step_alone_and_are_shared_out(prepared: Path) -> None:
    images = PackedImages(prepared / "train")
    sampler = PatchSampler(images, 8, 6, seed=3)
    whole = sampler.batch_at(7)
    again = PatchSampler(images, 8, 6, seed=3).batch_at(7)
    assert all(np.array_equal(one, two) for one, two in zip(whole, again, strict=True))
    shares = [sampler.batch_at(7, rank, 3) for rank in range(3)]
    assert np.array_equal(np.concatenate([share[0] for share in shares]), whole[0])
    assert not np.array_equal(sampler.batch_at(8)[0], whole[0])
    assert not np.array_equal(PatchSampler(images, 8, 6, seed=4).batch_at(7)[0], whole[0])
    with pytest.raises(ValueError, match="multiple of the 4 processes"):
        sampler.batch_at(0, 0, 4)


def test_patches_larger_than_an_image_are_refused(prepared: Path) -> None:
    with pytest.raises(ValueError, match="expected at least the patch of 21x21"):
        PatchSampler(PackedImages(prepared / "train"), 21, 1, 0)


def test_noise_is_drawn_anew_for_every_patch_and_shared_out(folder: Path, tmp_path: Path) -> None:
    out = prepare.run(Job.of("prepare", settings_for(folder, [str(folder)]), tmp_path, task="noise"))
    sampler = PatchSampler(PackedImages(out / "train"), 16, 6, seed=3)
    noisy, clean = sampler.batch_at(7)
    deviations = [(part.astype(float) - whole).std() for part, whole in zip(noisy, clean, strict=True)]
    assert min(deviations) > 8 and max(deviations) < 55 and max(deviations) > 1.2 * min(deviations)
    again = PatchSampler(PackedImages(out / "train"), 16, 6, seed=3).batch_at(7)
    assert np.array_equal(noisy, again[0]) and not np.array_equal(noisy, sampler.batch_at(8)[0])
    shares = [sampler.batch_at(7, rank, 3) for rank in range(3)]
    assert np.array_equal(np.concatenate([share[0] for share in shares]), noisy)


def test_a_set_that_was_not_fetched_says_how(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'DIV2K': not here yet: run `python -m pipeline fetch DIV2K`"):
        datasets.resolve("DIV2K", project=tmp_path)
    (tmp_path / "data" / "Set5").mkdir(parents=True)
    write_image(tmp_path / "data" / "Set5" / "a.png", image(20, 20))
    assert [source.name for source in datasets.resolve("Set5", project=tmp_path)] == ["a.png"]
    with pytest.raises(ValueError, match="'photos': has no degraded images, expected pairs"):
        datasets.resolve("photos", pairs=True)
