"""The models that come with the library score what their cards say."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import lutra
from lutra import zoo
from lutra.evaluation import protocols, scoring
from lutra.imaging.folders import find_images
from lutra.imaging.metrics import psnr
from lutra.model import artifact
from lutra.restore.restorer import Restorer


def test_every_model_has_a_card_and_scores() -> None:
    for name, path in zoo.models().items():
        assert path.with_suffix(".md").read_text().startswith(f"# {name}\n")
        assert all(zoo.facts(path)) and zoo.facts(path)[-1] in ("free", "research")
        allowed = "May I ship it? Yes" in path.with_suffix(".md").read_text()
        assert (zoo.facts(path)[-1] == "free") == allowed


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("name", zoo.models())
def test_black_and_white_stay_exact(name: str, channels: tuple[int, ...], level: int) -> None:
    """Alone, and next to noise: where all that a pixel sees is black or white."""
    model = lutra.load(name)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, *channels), dtype=np.uint8)
    alone = np.full_like(image, level)
    image[:, 24:] = level
    if channels in ((2,), (4,)):
        image[..., -1] = alone[..., -1] = 255
    colours = slice(None) if channels in ((), (3,)) else slice(-1)
    assert (model.restore(alone)[..., colours] == level).all()
    flat = (24 + model.artifact.description.radius + 2) * model.scale
    restored = model.restore(image)[:, flat:]
    assert restored.size and (restored[..., colours] == level).all()


@pytest.mark.reference
def test_the_model_of_any_size_scores_as_documented_at_every_scale(dataset: Callable[[str], Path]) -> None:
    folder = dataset("Set5")
    for scale, expected in ((1.5, 39.114), (2, 36.300), (3, 32.134)):  # the published tables: 38.39, 35.73 and 32.03
        found = lutra.evaluate("any-scale", folder, options={"scale": scale})
        assert found.mean["psnr_y"] == pytest.approx(expected, abs=1e-3)


def test_deblocking_a_white_page_gains() -> None:
    page = Image.new("RGB", (160, 96), "white")
    draw = ImageDraw.Draw(page)
    draw.text((8, 8), "Deblocking", fill="black")
    draw.rectangle((20, 40, 90, 80), fill=(200, 30, 30))
    compressed = io.BytesIO()
    page.save(compressed, "JPEG", quality=10)
    damaged, clean = np.asarray(Image.open(compressed)), np.asarray(page)
    assert psnr(lutra.load("spf-light-deblock10").restore(damaged), clean) > psnr(damaged, clean) + 0.3


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("srlut-x4", "Set5"),
        ("mulut-dfc-x4", "Set5"),
        ("shift-s-x4", "Set5"),
        ("any-scale", "Set5"),
        ("dn-25", "Set12"),
        ("spf-light-deblock10", "classic5"),
        ("spf-light-deblur", "Set5"),
    ],
)
def test_a_models_scores_are_its_own(dataset: Callable[[str], Path], name: str, data: str) -> None:
    folder = dataset(data)
    model = artifact.load(zoo.models()[name])
    protocol = scoring.protocol_of(model)
    methods = {"model": Restorer(model).restore_planes}
    found = scoring.score_set(methods, find_images(folder, protocol.border), protocol)
    means = protocols.mean({one.sample.name: one.scores["model"] for one in found})
    assert means == pytest.approx(model.metrics["finetuned"][data], abs=1e-6)


Model = tuple[str, str, int, dict[str, float], int, dict[str, object]]
"""Name, task, scale, PSNR-Y by image set, bytes and options."""


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that these models come with the library: name, task, scale, PSNR-Y by image set, bytes, options."""

    def ship(*models: Model) -> None:
        facts = [
            zoo.Facts(name, Path(name), task, options, scale, False, size, by_set(psnr), "", "")
            for name, task, scale, psnr, size, options in models
        ]
        monkeypatch.setattr(zoo, "listed", lambda: facts)

    def by_set(psnr: dict[str, float]) -> dict[str, dict[str, float]]:
        return {data: {"psnr_y": value} for data, value in psnr.items()}

    return ship


def test_the_best_model_of_task_and_scale_is_chosen(shipped: Callable[..., None]) -> None:
    shipped(
        ("small-x4", "sr", 4, {"easy": 40, "Set5": 30.5}, 10, {}),
        ("best-x4", "sr", 4, {"Set5": 31.0}, 99, {}),
        ("as-good-x4", "sr", 4, {"Set5": 31.0, "easy": 35}, 50, {}),
        ("x2", "sr", 2, {"Set5": 36.0}, 10, {}),
        ("blur", "deblur", 1, {}, 10, {"length": [5, 10]}),
    )
    chosen = [zoo.choose(None, scale).name for scale in (None, 4, 3, 2, 1.5, 9)]
    assert chosen == ["as-good-x4", "as-good-x4", "as-good-x4", "x2", "x2", "as-good-x4"]
    assert zoo.choose("deblur").name == zoo.choose("deblur", 2).name == "blur"
    with pytest.raises(ValueError, match="task is 'denoise', expected one that the library has models of: deblur, sr"):
        zoo.choose("denoise")
    shipped()
    with pytest.raises(ValueError, match="this installation has no models"):
        zoo.choose()


def test_a_task_without_models_of_the_scale_gives_way(shipped: Callable[..., None]) -> None:
    shipped(("photo-x2", "photo", 2, {}, 10, {}), ("x4", "sr", 4, {}, 10, {}), ("x3", "sr", 3, {}, 10, {}))
    chosen = [zoo.choose(None, scale).name for scale in (None, 1, 2, 2.5, 4, 9)]
    assert chosen == ["photo-x2", "photo-x2", "photo-x2", "x3", "x4", "x4"]
    assert zoo.choose("photo", 4).name == "photo-x2"


def test_models_that_remove_noise_of_several_strengths_are_not_chosen_from(shipped: Callable[..., None]) -> None:
    shipped(("d15", "denoise", 1, {}, 10, {"sigma": 15}), ("d50", "denoise", 1, {}, 10, {"sigma": 50}))
    with pytest.raises(ValueError, match=r"denoise has models of several strengths \(d15, d50\), expected the name"):
        zoo.choose("denoise")


def test_a_range_of_strengths_is_shown_by_its_ends() -> None:
    assert zoo.facts(zoo.FOLDER / "dn-colour-blind.safetensors")[0] == "denoise-colour 5..50"


def test_a_model_for_a_range_of_strengths_is_chosen(shipped: Callable[..., None]) -> None:
    one: Model = ("d15", "denoise", 1, {}, 10, {"sigma": 15})
    shipped(one, ("blind", "denoise", 1, {}, 10, {"sigma": [5, 50]}))
    assert zoo.choose("denoise").name == "blind"
    shipped(one)
    assert zoo.choose("denoise").name == "d15"


def test_a_model_and_a_task_do_not_go_together() -> None:
    assert lutra.load(task="sr", scale=4).name == zoo.choose("sr", 4).name
    for wanted in ({"task": "sr"}, {"scale": 4}):
        with pytest.raises(ValueError, match="found model srlut-x4 and a task or scale"):
            lutra.load("srlut-x4", **wanted)
