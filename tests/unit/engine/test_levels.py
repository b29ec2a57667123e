"""A level of vector instructions is chosen only where the processor has all that its code may use."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHECKS = (ROOT / "lutra" / "_core" / "engine.cpp").read_text()
BUILD = (ROOT / "CMakeLists.txt").read_text()
INTRINSICS_ALONE = {"crc32", "xsave"}
"""Features that come with the flags, but that compilers use for intrinsics alone, which the kernels do not call."""


def flags_of(level: str) -> list[str]:
    """The flags that CMakeLists.txt compiles a level's kernels with."""
    (options,) = re.findall(rf"level_{level}\.cpp PROPERTIES\s+COMPILE_OPTIONS \"([^\"]*)\"", BUILD)
    return [flag for flag in options.split(";") if re.match(r"-m(?!prefer)", flag)]


def checked(level: str) -> set[str]:
    """The features that the core asks the processor for, for a level."""
    (body,) = re.findall(rf"bool runs_{level}\(\) {{(.*?)}}", CHECKS, re.DOTALL)
    found = {name.replace(".", "_") for name in re.findall(r'__builtin_cpu_supports\("([^"]*)"\)', body)}
    return found.union(*(checked(other) for other in re.findall(r"runs_(\w+)\(\)", body)))


def features(flags: list[str]) -> set[str]:
    """The features that the compiler may use under those flags."""
    command = ["c++", *flags, "-dM", "-E", "-x", "c++", "/dev/null"]
    macros = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"#define __([A-Z][A-Z0-9_]*?)__ 1$", macros, re.MULTILINE))
    return {name.lower() for name in named if re.match(r"(SSE|SSSE|AVX|FMA|BMI|POPCNT|LZCNT|F16C|CRC32|XSAVE)", name)}


@pytest.mark.parametrize("level", ["avx2", "avx512"])
def test_every_flag_of_a_level_is_asked_for(level: str) -> None:
    flags = {flag.removeprefix("-m") for flag in flags_of(level)}
    assert flags and flags <= checked(level)


@pytest.mark.skipif(
    not shutil.which("c++") or platform.machine() not in ("x86_64", "AMD64"), reason="needs a C++ compiler for x86"
)
@pytest.mark.parametrize("level", ["avx2", "avx512"])
def test_everything_that_the_flags_imply_is_asked_for(level: str) -> None:
    implied = features(flags_of(level)) - features([]) - INTRINSICS_ALONE
    assert {"avx2", "fma", "popcnt"} <= implied
    assert implied - checked(level) == set()
