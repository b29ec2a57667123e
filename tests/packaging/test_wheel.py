"""The packages: sources that build alone, and a wheel that installs and restores where there is no compiler."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import lutra
from lutra.imaging.images import read_image, write_image

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILT = ROOT / "build" / "packages"
MOST_BYTES = 6 * 2**20
QUICK = ("-Ccmake.define.LUTRA_KERNELS=-O0", "-Ccmake.define.CMAKE_CXX_FLAGS_RELEASE=-O0")
"""Settings with which the core compiles in half the time; tests of the engine run the core as it ships."""

pytestmark = pytest.mark.xdist_group("packages")


@dataclass(frozen=True)
class Python:
    """An interpreter: its path, its minor version."""

    path: str
    minor: int


@cache
def interpreters() -> tuple[Python, ...]:
    """The CPythons of this machine that the library supports and that can make environments, the oldest first."""
    found = {sys.version_info.minor: sys.executable}
    code = "import ensurepip, venv, sys, sysconfig; sysconfig.get_config_var('Py_GIL_DISABLED') and sys.exit(1)"
    for minor in range(11, 20):
        pyenv = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        for path in (shutil.which(f"python3.{minor}"), *pyenv):
            if path and minor not in found and not subprocess.run([path, "-c", code], capture_output=True).returncode:
                found[minor] = str(path)
    return tuple(Python(path, minor) for minor, path in sorted(found.items()))


@cache
def builder() -> Python:
    """The interpreter that builds: the first that builds for the stable ABI, else the one that runs the tests."""
    stable = (python for python in interpreters() if python.minor >= 12)
    return next(stable, Python(sys.executable, sys.version_info.minor))


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True)
    assert not done.returncode, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(python: Python, folder: Path) -> Path:
    """Make an environment that holds nothing, for `pip` below; return its folder of programs."""
    run(python.path, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    return folder / "bin"


def pip(programs: Path, *words: str | Path) -> tuple[str | Path, ...]:
    """Return the command that runs our pip for another environment: to install one of its own would take seconds."""
    return (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", programs / "python", *words)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of sources."""
    pytest.importorskip("build", reason="the package build is not installed")
    folder = tmp_path_factory.mktemp("sources")
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT, cwd=folder)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the archive of sources alone, which takes a minute: once for the same archive."""
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler is installed")
    digest = hashlib.sha256(sources.read_bytes()).hexdigest()
    kept = BUILT / f"{digest}-cp3{builder().minor}"
    if not kept.exists():
        folder = tmp_path_factory.mktemp("wheel")
        programs = environment(builder(), folder / "environment")
        built = folder / "built"
        command = pip(programs, "wheel", "-q", "--no-deps", *QUICK, "-w", built, sources)
        run(*command, cwd=folder, LUTRA_REQUIRE_ENGINE="1")
        shutil.rmtree(BUILT, ignore_errors=True)
        shutil.copytree(built, kept.with_suffix(".part"))
        kept.with_suffix(".part").rename(kept)
    (found,) = kept.glob("*.whl")
    return found


def test_the_sources_are_the_librarys_alone(sources: Path) -> None:
    with tarfile.open(sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sources.name == f"lutra_restore-{PROJECT['version']}.tar.gz"
    if (ROOT / ".git").exists():
        files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
        assert names - set(files) == {"PKG-INFO"}
    assert {"lutra/_core/module.cpp", "liblutra/lutra.h", "LICENSE", "docs/c.md"} <= names
    assert {name.partition("/")[0] for name in names if "/" in name} == {"lutra", "liblutra", "examples", "docs"}


def test_the_wheels_name_and_size(wheel: Path) -> None:
    tags = "cp312-abi3" if builder().minor >= 12 else f"cp3{builder().minor}-cp3{builder().minor}"
    assert wheel.name.startswith(f"lutra_restore-{PROJECT['version']}-{tags}-")
    assert wheel.stat().st_size < MOST_BYTES


def test_the_wheel_holds_no_sources_of_the_core(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"lutra", f"lutra_restore-{PROJECT['version']}.dist-info"}
    assert not [name for name in names if name.endswith((".cpp", ".hpp"))]
    assert len([name for name in names if name.startswith("lutra/_core/") and name.endswith(".so")]) == 1


def test_the_wheel_needs_nothing_but_the_systems_libraries(wheel: Path) -> None:
    """A wheel for manylinux_2_28 needs its image; what other libraries the wheel would need shows here too."""
    pytest.importorskip("auditwheel", reason="the package auditwheel is not installed")
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel, cwd=wheel.parent)
    assert 'consistent with the following platform tag: "manylinux_2_' in " ".join(shown.split())


def test_the_core_keeps_to_the_stable_abi(wheel: Path) -> None:
    pytest.importorskip("abi3audit", reason="the package abi3audit is not installed")
    if builder().minor < 12:
        pytest.skip("needs CPython 3.12 or newer, which builds for the stable ABI")
    report = json.loads(run(sys.executable, "-m", "abi3audit", "--strict", "--report", wheel, cwd=wheel.parent))
    (spec,) = report["specs"].values()
    (core,) = spec["wheel"]
    assert core["result"]["is_abi3"] and core["result"]["baseline"] == "3.12"


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it, of the newest Python that can hold it; its folder of programs.

    No program but its own is on its path, so that nothing can be compiled.
    """
    python = interpreters()[-1] if builder().minor >= 12 else builder()
    folder = tmp_path_factory.mktemp("fresh")
    programs = environment(python, folder / "environment")
    install = pip(programs, "install", "-q", "--only-binary=:all:")
    needed = subprocess.run([*install, *PROJECT["dependencies"]], capture_output=True, text=True)
    if needed.returncode:
        pytest.skip(f"the dependencies cannot be installed here: {needed.stderr.strip()[-200:]}")
    run(*install, "--no-index", wheel, cwd=folder, PATH=str(programs))
    return programs


def test_it_restores_where_there_is_no_compiler_as_it_does_here(fresh: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    write_image(tmp_path / "a.png", image)
    command = (fresh / "lutra", "restore", "-m", "mulut-dfc-x4", "-i", tmp_path / "a.png", "-o", tmp_path / "b.png")
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": str(fresh)}, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert np.array_equal(read_image(tmp_path / "b.png"), lutra.load("mulut-dfc-x4").restore(image))
    code = "import lutra; print(lutra.__file__, lutra.__version__, lutra.load('mulut-dfc-x4').backend)"
    file, version, backend = run(fresh / "python", "-c", code, cwd=tmp_path, PATH=str(fresh)).split()
    assert Path(file).is_relative_to(fresh.parent) and (version, backend) == (PROJECT["version"], "engine")


def test_its_hints_name_the_distribution(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    command = (fresh / "lutra", "restore", "-m", "srlut-x4", "-i", tmp_path / "clip.mp4", "-o", tmp_path / "out.mkv")
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": str(fresh)}, capture_output=True, text=True)
    assert done.returncode == 2 and "`pip install 'lutra-restore[video]'`" in done.stderr
