"""The core built for browsers, once in a checkout, for tests that run it."""

import runpy
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.unit.liblutra.building import ROOT, SANITIZE, run


@pytest.fixture(scope="session")
def core() -> Path:
    """lutra.wasm; skips where emscripten or a program that it needs is missing."""
    missing = [name for name in ("emcmake", "cmake", "ninja", "node") if not shutil.which(name)]
    if missing:
        pytest.skip(f"the web core needs {', '.join(missing)}, which is not installed")
    if SANITIZE:
        pytest.skip("sanitizers do not run in WebAssembly")
    folder = ROOT / "build" / "wasm"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        run("emcmake", "cmake", "-G", "Ninja", "-S", ROOT, "-B", folder)
        run("cmake", "--build", folder)
    return folder / "lutra.wasm"


@pytest.fixture(scope="session")
def folder(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that `make web` builds."""
    made = tmp_path_factory.mktemp("web")
    runpy.run_path(str(ROOT / "web" / "build.py"))["build"](core, made)
    return made
