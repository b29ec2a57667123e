"""The environment that the project's commands give to the programs that they start."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_python_keeps_what_it_compiles() -> None:
    """Without that, each start of a stage or test compiles torch and MLflow again."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    rule = 'shown:\n\t@echo "$${PYTHONDONTWRITEBYTECODE-unset}"'
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = ["make", "--silent", "--no-print-directory", "--eval", rule, "shown"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "unset\n"
