"""The core's threads where memory runs out: a C++ program of its own, for Python cannot fail single allocations."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CORE = HERE.parents[2] / "lutra" / "_core"


@pytest.mark.skipif(not shutil.which("c++") or sys.platform == "win32", reason="needs a C++ compiler and fork")
def test_the_pool_survives_every_failing_allocation(tmp_path: Path) -> None:
    program = tmp_path / "trial"
    sources = [HERE / "pool_trial.cpp", CORE / "pool.cpp", CORE / "process.cpp"]
    flags = ["-std=c++20", "-O1", "-pthread", "-I", str(CORE), *os.environ.get("CXXFLAGS", "").split()]
    subprocess.run(["c++", *flags, *sources, "-o", program], check=True)
    ended = subprocess.run([program], capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stdout) == (0, "")
