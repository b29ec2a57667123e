"""Models that read red, green and blue together: arrays, gray and alpha, on both backends, and patches to train on."""

import numpy as np
import pytest
import torch

from lutra import engine
from lutra.imaging.degrade import Noise
from lutra.model import families
from lutra.reference.convert import from_artifact, to_artifact
from lutra.restore.restorer import Restorer
from lutra.training import checkpoint
from lutra.training.extremes import keep_extremes
from lutra.training.fitting import Settings, fit
from lutra.training.multigrid import without_grids
from lutra.training.pairs import Images
from lutra.training.quickstart import new_tables
from lutra.training.sampler import PatchSampler
from tests.unit.engine.engine_models import random_image
from tests.unit.engine.layered_models import filled

MODEL = filled(families.describe("shiftlut", 2, {"colours": 3}), np.random.default_rng(0))


def test_a_colour_depends_on_the_others() -> None:
    image = random_image(9, 11, 3)
    changed = image.copy()
    changed[..., 2] //= 2
    before, after = (Restorer(MODEL).restore(one) for one in (image, changed))
    assert before.shape == (18, 22, 3)
    assert (before[..., 0] != after[..., 0]).any()


def test_gray_is_restored_as_three_equal_colours() -> None:
    gray = random_image(9, 11, 1)[..., 0]
    three = Restorer(MODEL).restore(np.repeat(gray[..., None], 3, axis=2)).astype(float)
    expected = np.rint(three.mean(axis=2)).astype(np.uint8)
    out = np.empty_like(expected)
    assert Restorer(MODEL).restore(gray, out=out) is out
    assert np.array_equal(out, expected)
    assert np.array_equal(Restorer(MODEL).restore_planes(gray), expected)


def test_noise_beyond_8_bits_is_added_as_it_is() -> None:
    model = filled(families.describe("shiftlut", 1, {"blocks": 1, "colours": 3}), np.random.default_rng(1))
    noisy = random_image(12, 13, 3).astype(np.int16) * 2 - 128
    seen = noisy.clip(0, 255).astype(np.uint8)
    clipped, whole = (Restorer(model).restore_planes(image) for image in (seen, noisy))
    assert np.array_equal(Restorer(model).restore_planes(seen.astype(np.int16)), clipped)
    added = from_artifact(model)(torch.from_numpy(seen).movedim(-1, 0)[None].float())[0].movedim(0, -1).detach().numpy()
    assert np.array_equal(whole, (added + (noisy - seen)).clip(0, 255)) and (whole != clipped).any()
    enlarging = Restorer(MODEL)  # it adds nothing to its input
    assert np.array_equal(enlarging.restore_planes(noisy), enlarging.restore_planes(seen))


def test_alpha_is_enlarged_and_colours_are_restored() -> None:
    image = random_image(9, 11, 4)
    image[..., 3] = 255
    restored = Restorer(MODEL).restore(image)
    assert np.array_equal(restored[..., :3], Restorer(MODEL).restore(np.ascontiguousarray(image[..., :3])))
    assert (restored[..., 3] == 255).all()


def test_torch_restores_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(9, 11, 3)
    expected = Restorer(MODEL).restore(image)
    monkeypatch.setattr(engine, "available", lambda: False)
    with pytest.warns(RuntimeWarning, match="torch restores"):
        assert np.array_equal(Restorer(MODEL).restore(image), expected)
    with pytest.raises(ValueError, match="image has 2 channels, expected 3"):
        from_artifact(MODEL).restore_image(random_image(4, 4, 2))


def pictures(channels: int) -> Images:
    noise = Noise((25, 25))
    clean = [np.squeeze(random_image(40, 30, channels, seed=seed, smooth=True)) for seed in range(3)]
    return Images.of([(f"{n}.png", noise.apply(one, n, 1), one) for n, one in enumerate(clean)], noise)


def test_patches_hold_the_colours_of_a_pixel() -> None:
    images = pictures(3)
    images.per_patch = None
    degraded, target = PatchSampler(images, 8, 6, seed=2, colours=3).batch_at(4)
    assert degraded.shape == target.shape == (6, 3, 8, 8)
    known = {tuple(pixel) for number in range(3) for pixel in images.target(number).reshape(3, -1).T.tolist()}
    assert {tuple(pixel) for patch in target for pixel in patch.reshape(3, -1).T.tolist()} <= known
    with pytest.raises(ValueError, match=r"0.png: found 1 channels, expected 3"):
        PatchSampler(pictures(1), 8, 6, seed=2, colours=3)


def test_it_trains_and_keeps_black_and_white() -> None:
    model = new_tables("shiftlut", 1, options={"blocks": 1, "colours": 3})
    train, held_out = pictures(3).split(1)
    before = checkpoint.copy_state(model)
    rows = fit(model, train, held_out, Settings(steps=30, batch=8, patch=12, learning_rate=0.01, validate_every=15))
    assert rows[-1]["val_psnr"] > rows[0]["val_psnr"] + 0.5
    assert any((model.state_dict()[name] != value).any() for name, value in before.items())
    kept = Restorer(to_artifact(keep_extremes(without_grids(model), "denoise")))
    for level in (0, 255):
        assert (kept.restore(np.full((9, 9, 3), level, np.uint8)) == level).all()
