"""Units that read several colours: DnLUT as its paper has it, tables of three axes, and their training."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lutra.imaging.degrade import Noise
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.layouts import DenseLayout
from lutra.reference.convert import from_artifact, to_artifact
from lutra.reference.lookup import lookup, using
from lutra.restore.restorer import Restorer
from lutra.training.extremes import keep_extremes
from lutra.training.fitting import Settings, fit
from lutra.training.multigrid import without_grids
from lutra.training.pairs import Images
from lutra.training.quickstart import new_tables
from tests.unit.engine.engine_models import random_image, random_model

MODEL = random_model("dnlut", 1, {}, DenseLayout(5), seed=3)


def blended(table: NDArray[Any], interval: int, taps: tuple[int, ...]) -> float:
    """Walk from the base node along the axes, the largest remainder first; a node weighs what the remainder falls."""
    step, side = 1 << interval, (1 << (8 - interval)) + 1
    node = [tap // step for tap in taps]
    rest = [tap % step for tap in taps]
    order = sorted(range(len(taps)), key=lambda axis: -rest[axis])
    falls = [step, *(rest[axis] for axis in order), 0]
    total = 0.0
    for place in range(len(taps) + 1):
        if place:
            node[order[place - 1]] += 1
        weight = falls[place] - falls[place + 1]
        if weight:
            total += weight * int(table[np.ravel_multi_index(node, (side,) * len(taps))])
    return total / step


def stepped(model: Artifact, names: tuple[str, str, str], taps: Any, image: NDArray[np.int64], turns: int) -> Any:
    """Sum a step's lookups over the rotations of the image; `taps` gives the (colour, row, column) that each reads."""
    total = np.zeros(image.shape)
    for turn in range(turns):
        turned = np.rot90(image, turn)
        around = np.pad(turned, ((0, 1), (0, 1), (0, 0)), mode="edge")
        found = np.zeros(turned.shape)
        for row, column, colour in np.ndindex(turned.shape):
            read = tuple(int(around[row + y, column + x, (colour + c) % 3]) for c, y, x in taps)
            found[row, column, colour] = blended(model.table(names[colour])[:, 0], 5, read)
        total += np.rot90(found, -turn)
    return total


def test_dnlut_is_that_of_the_paper() -> None:
    """PCM: the second colour at x and x + 1, the first at x + 1 and x; L: (0, 0), (0, 1), (1, 1); Q: three colours."""
    pair = ((1, 0, 0), (1, 0, 1), (0, 0, 1), (0, 0, 0))
    corner = ((0, 0, 0), (0, 0, 1), (0, 1, 1))
    pixel = ((0, 0, 0), (1, 0, 0), (2, 0, 0))
    image = random_image(4, 5, 3, seed=1).astype(np.int64)
    found = image
    for name in ("mix1", "l1", "l2", "l3", "pixel", "l4", "mix2", "l5"):
        names = (f"{name}_rg", f"{name}_gb", f"{name}_br") if name.startswith("mix") else (name,) * 3
        taps = pair if name.startswith("mix") else pixel if name == "pixel" else corner
        turns = 1 if name == "pixel" else 4
        total = stepped(MODEL, names, taps, found, turns)
        total = total if name == "l5" else total / turns + 127
        found = np.rint(total).clip(0, 255).astype(np.int64)
    assert np.array_equal(from_artifact(MODEL).restore_image(image.astype(np.uint8)), found)


def test_the_tables_take_518_kilobytes() -> None:
    assert random_model("dnlut", 1, {}, DenseLayout(4)).table_bytes == 6 * 83521 + 6 * 4913
    assert families.describe("dnlut", 1).radius == 7


@pytest.mark.parametrize("interval", [4, 6, 8])
def test_tables_of_three_axes_have_the_same_values_and_gradients(interval: int) -> None:
    generator = torch.Generator().manual_seed(interval)
    layout = DenseLayout(interval, 3)
    table = torch.randint(-128, 128, (layout.entries, 2), generator=generator).double().requires_grad_()
    taps = (torch.rand(200, 3, generator=generator, dtype=torch.float64) * 255).requires_grad_()
    weights = torch.rand(200, 2, generator=generator, dtype=torch.float64)
    found = []
    for implementation in ("compiled", "reference"):
        with using(implementation):
            values = lookup(taps, table, layout)
            found.append([values, *torch.autograd.grad((values * weights).sum(), [table, taps])])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-9)


def test_a_front_mixes_colours_before_any_family_of_units() -> None:
    image = random_image(9, 11, 3, seed=2)
    for family, scale in itertools.product(("srlut", "mulut", "spflut"), (1, 2)):
        model = random_model(family, scale, {"front": "pairwise"}, DenseLayout(6))
        changed = image.copy()
        changed[..., 1] //= 2
        before, after = (from_artifact(model).restore_image(one) for one in (image, changed))
        assert before.shape == (9 * scale, 11 * scale, 3)
        assert (before[..., 0] != after[..., 0]).any() and np.array_equal(before[..., 2], after[..., 2])
        with using("reference"):
            assert np.array_equal(from_artifact(model).restore_image(image), before)


def test_it_trains_and_keeps_black_and_white() -> None:
    noise = Noise((25, 25))
    clean = [random_image(4, 3, 3, seed=seed).repeat(10, axis=0).repeat(10, axis=1) for seed in range(3)]
    images = Images.of([(f"{n}.png", noise.apply(one, n, 1), one) for n, one in enumerate(clean)], noise)
    train, held_out = images.split(1)
    model = new_tables("dnlut", 1, DenseLayout(5))
    settings = Settings(steps=30, batch=6, patch=12, learning_rate=0.005, average=0.5, validate_every=10)
    rows = fit(model, train, held_out, settings)
    assert rows[-1]["val_psnr"] > rows[0]["val_psnr"] + 0.5
    kept = Restorer(to_artifact(keep_extremes(without_grids(model), "denoise-colour"), task="denoise-colour"))
    for level in (0, 255):
        assert (kept.restore(np.full((9, 9, 3), level, np.uint8)) == level).all()
