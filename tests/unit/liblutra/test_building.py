"""liblutra for tests takes the objects that pip compiled, where they are of the same sources by the same compiler."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.code import core_hash
from tests.unit.liblutra import building
from tests.unit.liblutra.building import ARM, CLANG, GCC, ROOT, Toolchain, pip_built, restoring_for


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as pip's build of these sources leaves it."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    objects = tmp_path / "CMakeFiles/lutra_restoring.dir/Unity"
    objects.mkdir(parents=True)
    (objects / "unity_units_cxx.cxx.o").touch()
    (tmp_path / "CMakeCache.txt").write_text(f"A:STRING=b\nCMAKE_CXX_COMPILER:STRING={shutil.which('g++')}\n")
    (tmp_path / "_lutra.abi3.so").write_bytes(b"\0" + core_hash(ROOT).encode() + b"\0")
    monkeypatch.setenv("LUTRA_RESTORING", str(tmp_path))
    return tmp_path


def test_objects_of_these_sources_are_taken(folder: Path) -> None:
    assert pip_built() == folder


def test_those_of_other_sources_are_not(folder: Path) -> None:
    (folder / "_lutra.abi3.so").write_bytes(bytes(100))
    assert pip_built() is None


def test_those_of_a_build_that_did_not_end_are_not(folder: Path) -> None:
    module = folder / "_lutra.abi3.so"
    (other,) = folder.glob("**/*.o")
    os.utime(other, (module.stat().st_atime, module.stat().st_mtime + 1))
    assert pip_built() is None


def test_those_of_another_compiler_are_not(folder: Path) -> None:
    (folder / "CMakeCache.txt").write_text("CMAKE_CXX_COMPILER:STRING=/usr/bin/false\n")
    assert pip_built() is None


def test_a_build_that_was_not_configured_has_none(folder: Path) -> None:
    for left in ("CMakeCache.txt", "_lutra.abi3.so"):
        (folder / left).unlink()
    assert pip_built() is None


def test_a_folder_without_objects_has_none(folder: Path) -> None:
    shutil.rmtree(folder / "CMakeFiles")
    assert pip_built() is None


def test_all_is_compiled_once_by_some_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "CLANG", Toolchain(GCC.cc, GCC.cxx))  # programs that are installed here
    assert [restoring_for(toolchain) for toolchain in (GCC, CLANG, ARM)] == [folder, None, None]
    monkeypatch.setattr(building, "CLANG", Toolchain("no-such-clang", "no-such-clang++"))
    assert restoring_for(GCC) is None
