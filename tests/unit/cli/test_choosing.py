"""`lutra restore` where no model is named: it is chosen by task and scale."""

from pathlib import Path

import numpy as np

import lutra as library
from lutra.imaging.images import read_image, write_image
from tests.golden import cases
from tests.unit.cli.calls import lutra, run


def test_restore_chooses_a_model_by_task_and_scale(tmp_path: Path) -> None:
    image = cases.image(9, 7)
    write_image(tmp_path / "in.png", image)
    for task in (None, "denoise"):
        options = ("--task", task) if task else ()
        done = run("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *options)
        chosen = library.load(task=task)
        assert done.returncode == 0 and done.stderr == f"model: {chosen.name}\n" and not done.stdout
        assert np.array_equal(read_image(tmp_path / "out.png"), chosen.restore(image))
    lutra("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--scale", 2)
    expected = library.load(scale=2).restore(image, size=(2 * image.shape[1], 2 * image.shape[0]))
    assert np.array_equal(read_image(tmp_path / "out.png"), expected)


def test_a_task_without_models_and_a_task_with_a_model_are_mistakes(tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    arguments = ("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--task")
    assert "task is 'nothing', expected one that the library has models of: " in lutra(*arguments, "nothing", code=2)
    assert "found model srlut-x4 and a task" in lutra(*arguments, "sr", "-m", "srlut-x4", code=2)
