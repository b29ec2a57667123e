"""Builds liblutra for tests: once in a checkout, into build/, where later sessions find what has not changed."""

import math
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from lutra import zoo
from pipeline.code import core_hash
from tests.golden.cases import CASES, COLOUR_UNITS, COLOURED, LAYERED

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = (*CASES, *LAYERED, *COLOURED, *COLOUR_UNITS)
"""The golden models, each of which a plan file can hold."""
SHIPPED = {one.name: one.path for one in zoo.listed()}
"""The models of the zoo and their files."""
SANITIZE = os.environ.get("LUTRA_SANITIZE", "")


@dataclass(frozen=True)
class Toolchain:
    """The programs that build for one processor, and the one that runs what they build."""

    cc: str
    cxx: str
    processor: str = ""
    runner: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """The programs that are not installed."""
        wanted = ("cmake", "ninja", self.cc, self.cxx, *self.runner[:1])
        return ", ".join(program for program in wanted if not shutil.which(program))


GCC = Toolchain("gcc", "g++")
CLANG = Toolchain("clang", "clang++")
ARM = Toolchain(
    "aarch64-linux-gnu-gcc",
    "aarch64-linux-gnu-g++",
    "aarch64",
    ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"),
)


def pip_built() -> Path | None:
    """Return the folder where pip built the Python module from these sources by g++: liblutra can have its objects."""
    told, sources = os.environ.get("LUTRA_RESTORING"), core_hash(ROOT).encode()
    for folder in [Path(told)] if told else sorted(ROOT.glob("build/cp3*")):
        objects = list(folder.glob("CMakeFiles/lutra_restoring.dir/**/*.o"))
        modules = [path for path in folder.glob("_lutra.*") if sources in path.read_bytes()]
        # newer objects are of a build that did not end
        newest = max((path.stat().st_mtime for path in objects), default=math.inf)
        if any(path.stat().st_mtime >= newest for path in modules) and _by_gcc(folder):
            return folder
    return None


def restoring_for(toolchain: Toolchain) -> Path | None:
    """Return whose objects a build of liblutra takes: pip's, if clang compiles liblutra's own in the same tests."""
    return pip_built() if toolchain == GCC and not CLANG.missing else None


def _by_gcc(folder: Path) -> bool:
    """Return whether CMake built in the folder with the g++ that liblutra is built with."""
    found = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", (folder / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found is not None and Path(found[1]).resolve() == Path(shutil.which(GCC.cxx) or "").resolve()


@cache
def installed(toolchain: Toolchain) -> Path:
    """Build and install liblutra; return the folder. Skips where a program is missing."""
    if toolchain.missing:
        pytest.skip(f"liblutra needs {toolchain.missing}, which is not installed")
    name = "-".join(filter(None, (toolchain.cc, SANITIZE.replace(",", "-"))))
    folder = ROOT / "build" / "liblutra" / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        build = folder / "build"
        options = [f"-DLUTRA_SANITIZE={SANITIZE}", "-DCMAKE_INSTALL_LIBDIR=lib"]
        if SANITIZE:
            options.append("-DCMAKE_CXX_FLAGS_RELEASE=-O1")
        options.append(f"-DLUTRA_RESTORING={restoring_for(toolchain) or ''}")
        if toolchain.processor:
            options += ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={toolchain.processor}"]
        run("cmake", "-G", "Ninja", "-S", ROOT, "-B", build, *options, CC=toolchain.cc, CXX=toolchain.cxx)
        run("cmake", "--build", build)
        run("cmake", "--install", build, "--prefix", folder / "installed")
    return folder / "installed"


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a program and return what it printed; fail with all of it where it fails."""
    ended = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean() | variables, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def clean() -> dict[str, str]:
    """Return the environment without what would reach into a compiler."""
    return {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "CXXFLAGS", "CFLAGS")}
