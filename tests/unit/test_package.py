"""The names that `import lutra` offers, each imported when it is first used."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lutra
from lutra import zoo
from lutra.evaluation import evaluating, protocols, scoring
from lutra.imaging import metrics, resize
from lutra.imaging.folders import find_images
from lutra.imaging.images import write_image
from lutra.restore import anyform, axes, modules, restorer
from tests.golden import cases


def test_dir_shows_what_users_need() -> None:
    names = ["Restorer", "__version__", "as_module", "evaluate", "imresize", "load", "models", "psnr", "ssim"]
    assert dir(lutra) == names
    assert lutra.psnr is metrics.psnr and lutra.ssim is metrics.ssim and lutra.imresize is resize.imresize
    assert lutra.evaluate is evaluating.evaluate and lutra.as_module is modules.as_module
    assert lutra.load is restorer.load and all(getattr(lutra, name).__doc__ for name in names)


def test_importing_the_package_imports_nothing_of_it() -> None:
    names = ("numpy", "PIL", "torch", "importlib.metadata", "lutra.restore")
    code = f"import sys, lutra; print([name for name in {names} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("module", [zoo, axes, anyform, modules], ids=lambda module: module.__name__)
def test_examples_of_docstrings_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted and not found.failed


def test_models_states_what_a_file_holds() -> None:
    found = {model.name: model for model in lutra.models()}
    assert list(found) == list(zoo.models())
    model = found["dn-25"]
    assert (model.task, model.scale, model.options, model.strength) == ("denoise", 1, {"sigma": 25}, 25)
    assert model.bytes == model.path.stat().st_size and model.licence
    assert model.scores["Set12"]["psnr"] == model.rank("Set12") > 29


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", np.kron(cases.image(8, 8), np.ones((4, 4), np.uint8)))
    return tmp_path


def test_evaluate_scores_as_the_protocol_does(folder: Path) -> None:
    found = lutra.evaluate("srlut-x4", folder)
    protocol = protocols.super_resolution(4)
    restore = lutra.load("srlut-x4").restore_planes
    scored = list(scoring.score_set({"m": restore}, find_images(folder), protocol))
    assert found.images == {one.sample.name: one.scores["m"] for one in scored}
    assert found.protocol == protocol and found.mean == protocols.mean(found.images)
    assert lutra.evaluate(lutra.load("srlut-x4"), str(folder)) == found


def test_evaluate_takes_options_and_measures(folder: Path) -> None:
    means = [
        lutra.evaluate("dn-25", folder, options={"sigma": sigma}, more={"zero": lambda a, b: 0.0}).mean
        for sigma in (5, 50)
    ]
    assert means[0]["psnr"] > means[1]["psnr"] and means[0]["zero"] == 0
    assert lutra.evaluate("dn-25", folder, task="deblock", options={"quality": 10}).protocol.luma
    with pytest.raises(ValueError, match="quality: denoise has no such option"):
        lutra.evaluate("dn-25", folder, options={"quality": 3})
