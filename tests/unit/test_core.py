"""A compiled core that was not built, and one that is there and does not load."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest

from lutra.imaging.images import read_image, write_image

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = "_lutra.cpython-39-x86_64-linux-gnu.so"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder that holds the package, without a compiled core."""
    shutil.copytree(ROOT / "lutra", tmp_path / "lutra", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    return tmp_path


def python(copy: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run with the copy of the package, and without `site`: an editable installation would find its own core."""
    packages = sysconfig.get_paths()["purelib"]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(copy), packages]), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-S", *arguments], env=variables, capture_output=True, text=True, cwd=copy)


def test_a_core_that_was_not_built_is_absent_without_a_word(copy: Path) -> None:
    code = "from lutra._core import available, broken, core, reason; print(available(), broken, core, reason)"
    found = python(copy, "-c", code)
    assert (found.stdout, found.stderr) == ("False False None it was not built\n", "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("_lutra" + EXTENSION_SUFFIXES[0], "_lutra"), (FOREIGN, f"{FOREIGN} was built for another Python")],
    ids=["damaged", "foreign"],
)
@pytest.mark.parametrize("module", ["lutra.engine", "lutra.reference.lookup", "lutra.training.patches"])
def test_a_core_that_does_not_load_is_said_where_it_is_used(copy: Path, name: str, reason: str, module: str) -> None:
    (copy / "lutra" / "_core" / name).write_bytes(b"no extension")
    found = python(copy, "-c", f"import {module}; from lutra import _core; print(_core.available(), _core.broken)")
    assert found.stdout == "False True\n"
    assert "RuntimeWarning: the compiled core does not load (" in found.stderr
    assert found.stderr.count("does not load") == 1 and reason in found.stderr


def test_restore_says_that_the_core_does_not_load_and_goes_on_with_torch(copy: Path) -> None:
    (copy / "lutra" / "_core" / FOREIGN).write_bytes(b"no extension")
    write_image(copy / "a.png", np.zeros((5, 4, 3), np.uint8))
    command = "import sys; from lutra.cli import main; sys.exit(main())"
    found = python(copy, "-c", command, "restore", "-m", "srlut-x4", "-i", copy / "a.png", "-o", copy / "b.png")
    assert found.returncode == 0 and found.stderr.count("\n") == 1
    assert found.stderr.startswith(f"note: the compiled core does not load ({FOREIGN} was built for another Python)")
    assert read_image(copy / "b.png").shape == (20, 16, 3)
