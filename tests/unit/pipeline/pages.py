"""Pages of made-up experiments, for the tests of the report's page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lutra.evaluation import protocols
from lutra.imaging.resize import imresize
from lutra.imaging.sheet import Crop
from lutra.restore.restorer import Restorer
from pipeline.reporting import page, papers
from pipeline.reporting.page import Made
from pipeline.reporting.pictures import Example, Version, lossless
from pipeline.reporting.results import Result
from pipeline.reporting.rows import Shown
from pipeline.reporting.speed import Speed

MADE = Made("2025-01-02 03:04 UTC", "0123456789ab", "a processor, 2 cores, Linux x86_64", "3.11.0")
SUPER_RESOLUTION = protocols.of("sr", {"scale": 4})


def shown(name: str, psnr: float, size: int, sets: tuple[str, ...] = ("Set5",)) -> Shown:
    """An experiment whose exported tables score 0.1 dB less than the finetuned ones."""

    def scores(value: float) -> dict[str, dict[str, float]]:
        return {data: {"psnr_y": value, "ssim_y": value / 40} for data in sets}

    kinds = {"bicubic": 28.43, "network": psnr, "exported": psnr - 0.1, "finetuned": psnr}
    found = {kind: scores(value) for kind, value in kinds.items()}
    result = Result(found, "srlut", "sr", {"scale": 4}, SUPER_RESOLUTION.measures, size, SUPER_RESOLUTION.text)
    curves = {"train": [(0.0, psnr - 1)], "finetune": [(0.0, psnr - 1), (100.0, psnr - 0.2), (200.0, psnr)]}
    settings = {"model": "as published", "finetuning": "200 steps"}
    return Shown(name, result, curves, settings, {"numpy": "2.0"})


def picture(seed: int, labels: tuple[str, ...]) -> Example:
    """Noise of 16 x 12, another in every version."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (12, 16, 3), dtype=np.uint8) for _ in labels]
    versions = tuple(Version(label, "", lossless(image)) for label, image in zip(labels, images, strict=True))
    return Example("Set5", f"image{seed}", Crop(0, 0, 12, 16), (16, 12), lossless(images[-1]), versions)


def html(*experiments: Shown, pictures: int = 1) -> str:
    """The page of super-resolution x4."""
    return page.html([section(*experiments, pictures=pictures)], MADE)


def section(*experiments: Shown, pictures: int = 1) -> page.TaskSection:
    """The section of super-resolution x4; milliseconds are 1, 2, 3 and so on."""
    names = [one.name for one in experiments]
    sets = list(experiments[0].result.baseline)
    speed = Speed({name: 1.0 + number for number, name in enumerate(names)}, "made up")
    labels = ("LR", "bicubic", *names, "HR")
    drawn = [picture(seed, labels) for seed in range(pictures)]
    beside = papers.comparable(SUPER_RESOLUTION, sets)
    return page.TaskSection("x4", SUPER_RESOLUTION, experiments, beside, speed, drawn)


def packed(folder: Path, *images: NDArray[np.uint8], scale: int = 4) -> Path:
    """Prepared images, as `prepare` writes them."""
    folder.mkdir(parents=True)
    inputs = [imresize(image, 1 / scale) for image in images]
    planes = [[np.moveaxis(image, 2, 0) for image in group] for group in (inputs, images)]
    index = [{"name": f"{number}.png", "input_shape": image.shape} for number, image in enumerate(planes[0])]
    (folder / "index.json").write_text(json.dumps({"scale": scale, "images": index}))
    for name, group in zip(("input", "target"), planes, strict=True):
        np.save(folder / f"{name}.npy", np.concatenate([image.ravel() for image in group]))
    return folder


def noise(seed: int) -> NDArray[np.uint8]:
    """A colour image of 40 x 48."""
    return np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)


class Nearest:
    """Enlarges by repeating pixels; stands for a model."""

    backend = "engine"

    def restore(
        self, image: NDArray[np.uint8], *, threads: int | None = None, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        enlarged = image.repeat(4, 0).repeat(4, 1)
        if out is None:
            return enlarged
        out[...] = enlarged
        return out

    restore_planes = restore


def models(*names: str) -> Mapping[str, Restorer]:
    """Such models by name."""
    return {name: cast(Restorer, Nearest()) for name in names}
