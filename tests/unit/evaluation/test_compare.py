"""`lutra compare`: the sheet, its labels and its scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lutra.evaluation import compare, scoring
from lutra.evaluation.protocols import super_resolution
from lutra.evaluation.synthetic import SYSTEMS, synthetic_model, synthetic_photograph
from lutra.imaging import sheet
from lutra.imaging.images import read_image, write_image
from lutra.imaging.resize import imresize
from lutra.model import artifact
from lutra.restore.restorer import Restorer
from tests.golden import cases
from tests.unit.cli.calls import lutra

HR = synthetic_photograph(97, 64)


def test_panels_are_lr_bicubic_the_models_and_hr(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def record(panels: list[sheet.Panel], **options: object) -> str:
        shown.extend(panels)
        assert options == {"title": "fish, x2", "crop": None}
        return "sheet"

    monkeypatch.setattr(scoring, "comparison_sheet", record)
    model = cases.model("mulut-dfc-x2")
    assert compare.draw_sheet(HR, {"own": model}, title="fish") == "sheet"
    assert [label for label, _, _ in shown] == ["LR", "bicubic", "own", "HR"]
    hr = HR[:, :96]  # cut to a multiple of the scale
    lr = imresize(hr, 1 / 2)
    images = [lr, imresize(lr, 2), Restorer(model).restore_planes(lr), hr]
    assert all(np.array_equal(image, panel[2]) for image, panel in zip(images, shown, strict=True))
    scores = super_resolution(2).score(images[2], hr)
    assert shown[2][1] == f"{scores['psnr_y']:.2f} dB / {scores['ssim_y']:.4f}"


def test_the_command_draws_models_of_one_scale_only(tmp_path: Path) -> None:
    image, output = tmp_path / "hr.png", tmp_path / "sheet.png"
    write_image(image, HR)
    for folder, model in (("a", "mulut-dfc-x2"), ("b", "mulut-dfc-x2")):
        artifact.save(tmp_path / folder / "model.safetensors", cases.model(model))
    artifact.save(tmp_path / "c.safetensors", synthetic_model(*SYSTEMS["SR-LUT"]))
    both = ["-m", tmp_path / "a" / "model.safetensors", "-m", tmp_path / "b" / "model.safetensors"]
    lutra("compare", image, *both, "-o", output, "--crop", "0,8,32,32")
    assert read_image(output).shape[2] == 3
    other = lutra("compare", image, *both, "-m", tmp_path / "c.safetensors", "-o", output, code=2)
    assert "a/model sr x2, b/model sr x2, c sr x4, expected one task and scale" in other
    assert "crop" in lutra("compare", image, *both, "-o", output, "--crop", "60,0,32,32", code=2)
    assert "none.safetensors" in lutra("compare", image, "-m", tmp_path / "none.safetensors", "-o", output, code=2)


def test_models_of_one_task_are_compared_by_its_protocol(tmp_path: Path) -> None:
    image, output = tmp_path / "clean.png", tmp_path / "sheet.png"
    write_image(image, HR)
    for name, options in (("a", {"sigma": 25}), ("b", {"sigma": 50})):
        model = replace(cases.model("spflut-dfc-x1"), task="denoise", options=options)
        artifact.save(tmp_path / f"{name}.safetensors", model)
    lutra("compare", image, "-m", tmp_path / "a.safetensors", "-o", output)
    assert read_image(output).shape[2] == 3
    both = ["-m", tmp_path / "a.safetensors", "-m", tmp_path / "b.safetensors"]
    message = lutra("compare", image, *both, "-o", output, code=2)
    assert "a denoise x1 sigma 25, b denoise x1 sigma 50, expected one task" in message


def test_crops_are_four_numbers() -> None:
    assert compare.parse_crop("1, 2,3,4") == sheet.Crop(1, 2, 3, 4)
    for text in ("1,2,3", "1,2,3,x", "-1,2,3,4", ""):
        with pytest.raises(ValueError, match="expected TOP,LEFT,HEIGHT,WIDTH"):
            compare.parse_crop(text)
