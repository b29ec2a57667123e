"""An installed liblutra is found by CMake and pkg-config, in C and C++, and the example restores as Python does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lutra
from lutra import engine
from lutra.engine.plan_file import write_plan
from lutra.model import artifact
from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.restore.sizes import Target
from tests.golden.cases import COLOUR_UNITS, COLOURED, LAYERED, OUTPUTS, image, input_of, model
from tests.unit.engine.engine_models import random_image, random_model
from tests.unit.liblutra.building import ARM, CLANG, GCC, GOLDEN, ROOT, SANITIZE, SHIPPED, Toolchain, installed, run

pytestmark = [
    pytest.mark.xdist_group("liblutra"),
    pytest.mark.skipif(sys.platform != "linux", reason="liblutra's tests know the names of files on Linux"),
]
TOOLCHAINS = pytest.mark.parametrize("toolchain", [GCC, CLANG, ARM], ids=lambda toolchain: toolchain.cc)
SANITIZED = pytest.mark.skipif(bool(SANITIZE), reason="a program without sanitizers does not load the library")
RANDOM: tuple[tuple[str, int, dict[str, Any], Layout], ...] = (
    ("srlut", 4, {}, DenseLayout(4)),
    ("mulut", 2, {"patterns": "sdy", "stages": 2}, DiagonalLayout(4, 2, 5)),
    ("mulut", 1, {"patterns": "sd", "stages": 2}, DenseLayout(8)),
    ("spflut", 4, {"patterns": "sd"}, DiagonalLayout(5, 1, 6)),
    ("autolut", 4, {"kernel": 5}, DenseLayout(6)),
    ("autolut", 2, {"base": "spflut", "kernel": 2}, DiagonalLayout(4, 2, 6)),
    ("dnlut", 1, {}, DenseLayout(4)),
)
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off")


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example by toolchain, once it was asked for."""
    return {"folder": tmp_path_factory.mktemp("examples")}


def example(toolchain: Toolchain, examples: dict[str, Path]) -> tuple[str | Path, ...]:
    """The command that runs the example, linked with the static library for another processor, else with the shared."""
    where = installed(toolchain)
    if toolchain.cc not in examples:
        program = examples["folder"] / toolchain.cc
        library = [where / "lib" / "liblutra.a", "-static"] if toolchain.runner else [where / "lib" / "liblutra.so"]
        compiled, source = program.with_suffix(".o"), ROOT / "examples/c/restore.c"
        run(toolchain.cc, *STRICT, f"-I{where}/include", "-c", source, "-o", compiled)
        run(toolchain.cxx, compiled, *library, f"-Wl,-rpath,{where}/lib", "-pthread", "-lm", "-o", program)
        examples[toolchain.cc] = program
    return (*toolchain.runner[:1], examples[toolchain.cc]) if toolchain.runner else (examples[toolchain.cc],)


def save_pnm(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Path:
    """Write a PPM or PGM image with a comment in its header."""
    kind = b"P5" if pixels.ndim == 2 else b"P6"
    path.write_bytes(kind + b"\n# a comment\n%d %d\n255\n" % pixels.shape[1::-1] + pixels.tobytes())
    return path


def load_pnm(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    found = re.fullmatch(rb"P([56])\n(\d+) (\d+)\n255\n(.*)", path.read_bytes(), re.DOTALL)
    assert found
    shape = (int(found[3]), int(found[2]), *([3] if found[1] == b"6" else []))
    return np.frombuffer(found[4], np.uint8).reshape(shape)


@SANITIZED
@TOOLCHAINS
def test_the_example_restores_as_python_does(tmp_path: Path, toolchain: Toolchain, examples: dict[str, Path]) -> None:
    """Every model of the zoo: gray and RGB, those of luma too."""
    command = example(toolchain, examples)
    generator = np.random.default_rng(1)
    for name, path in SHIPPED.items():
        write_plan(tmp_path / "model.lut", artifact.load(path))
        for shape in ((33, 41), (29, 37, 3)):
            pixels = generator.integers(0, 256, shape, dtype=np.uint8)
            save_pnm(tmp_path / "in.ppm", pixels)
            run(*command, tmp_path / "model.lut", tmp_path / "in.ppm", tmp_path / "out.ppm", "2")
            assert np.array_equal(load_pnm(tmp_path / "out.ppm"), lutra.load(name).restore(pixels)), name


@SANITIZED
@TOOLCHAINS
def test_the_example_makes_any_size(tmp_path: Path, toolchain: Toolchain, examples: dict[str, Path]) -> None:
    """A size or a factor, growing and shrinking."""
    command, own = example(toolchain, examples), lutra.load("any-scale")
    write_plan(tmp_path / "model.lut", own.artifact)
    for shape in ((33, 41), (29, 37, 3)):
        pixels = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
        save_pnm(tmp_path / "in.ppm", pixels)
        files = [tmp_path / name for name in ("model.lut", "in.ppm", "out.ppm")]
        for size in ((62, 122), (57, 20), (11, 13)):
            run(*command, *files, "--size", f"{size[0]}x{size[1]}", "2")
            assert np.array_equal(load_pnm(files[-1]), own.restore(pixels, size=size))
        for scale in (1.1, 2.3, 0.4):
            run(*command, *files, "--scale", str(scale))
            assert np.array_equal(load_pnm(files[-1]), own.restore(pixels, size=Target(scale=scale)))


@SANITIZED
@pytest.mark.parametrize(
    ("toolchain", "level"),
    [(CLANG, "portable"), (CLANG, "avx2"), (CLANG, "avx512"), (ARM, "portable"), (ARM, "neon")],
    ids=lambda value: value if isinstance(value, str) else value.cc,
)
def test_golden_outputs(tmp_path: Path, toolchain: Toolchain, level: str, examples: dict[str, Path]) -> None:
    """Build the example; gcc's are tested without it."""
    if toolchain == CLANG and level not in engine.levels():
        pytest.skip(f"this processor does not run {level}")
    command = example(toolchain, examples)
    golden = np.load(OUTPUTS)
    for name in GOLDEN:
        write_plan(tmp_path / "model.lut", model(name))
        save_pnm(tmp_path / "in.pgm", input_of(name, 9, 7))
        run(*command, tmp_path / "model.lut", tmp_path / "in.pgm", tmp_path / "out.pgm", "1", LUTRA_SIMD=level)
        assert np.array_equal(load_pnm(tmp_path / "out.pgm"), golden[f"{name}/9x7"]), name
        if model(name).description.any_size:
            run(
                *command,
                *(tmp_path / file for file in ("model.lut", "in.pgm", "out.pgm")),
                "--size",
                "20x13",
                LUTRA_SIMD=level,
            )
            assert np.array_equal(load_pnm(tmp_path / "out.pgm"), golden[f"{name}/9x7 to 13x20"]), name


@SANITIZED
def test_neon_restores_what_this_machine_does(tmp_path: Path, examples: dict[str, Path]) -> None:
    """Wider than a chunk of pixels and a strip, by random models of every kernel."""
    command = example(ARM, examples)
    random = [random_model(*case, seed=seed) for seed, case in enumerate(RANDOM)]
    for number, drawn in enumerate([*random, *(model(name) for name in (*LAYERED, *COLOURED, *COLOUR_UNITS))]):
        write_plan(tmp_path / "model.lut", drawn)
        colours = drawn.description.colours
        pixels = random_image(9, 530, colours, seed=number, smooth=number % 2 == 0)
        pixels = pixels.reshape(pixels.shape[: 2 if colours == 1 else 3])
        save_pnm(tmp_path / "in.pgm", pixels)
        run(*command, tmp_path / "model.lut", tmp_path / "in.pgm", tmp_path / "out.pgm", "2", LUTRA_SIMD="neon")
        expected = engine.compile(drawn).restore(pixels)
        assert np.array_equal(load_pnm(tmp_path / "out.pgm"), expected), (number, drawn.description.family)


@SANITIZED
def test_the_example_refuses_what_it_cannot_read(tmp_path: Path, examples: dict[str, Path]) -> None:
    command = [str(word) for word in example(GCC, examples)]
    write_plan(tmp_path / "model.lut", model("srlut-x2-8bit"))
    save_pnm(tmp_path / "in.pgm", image(9, 7))
    cut = (tmp_path / "in.pgm").read_bytes()
    for content in (cut[:-1], b"P5 9 7 65535\n", b"P5 999999999 7 255\n", b"P5 90000000 90000000 255\n", b"", b"P5 # "):
        (tmp_path / "bad.pgm").write_bytes(content)
        words = [*command, *(str(tmp_path / name) for name in ("model.lut", "bad.pgm", "out.pgm"))]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ended.returncode == 1 and ended.stderr.count("\n") == 1 and "bad.pgm: no PPM" in ended.stderr
    files = [str(tmp_path / name) for name in ("model.lut", "in.pgm", "out.pgm")]
    for asked in (["--size", "9"], ["--size", "0x9"], ["--scale", "-1"], ["--scale", "2", "--size", "9x9"], ["2", "3"]):
        ended = subprocess.run([*command, *files, *asked], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr.split(":")[0]) == (2, "usage"), asked
    ended = subprocess.run([*command, *files, "--scale", "1.5"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "the model restores at one scale alone\n")
    words = [*command, str(tmp_path / "in.pgm"), str(tmp_path / "in.pgm"), "out.pgm"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (
        1,
        f"{tmp_path}/in.pgm: plan file: it does not begin as a plan file does\n",
    )


@SANITIZED
@pytest.mark.parametrize("target", ["lutra::lutra", "lutra::static"])
def test_cmake_finds_it(tmp_path: Path, target: str) -> None:
    where = installed(GCC)
    shutil.copytree(ROOT / "examples" / "c", tmp_path / "c")
    listing = tmp_path / "c" / "CMakeLists.txt"
    listing.write_text(listing.read_text().replace("lutra::lutra", target))
    options = ("-DCMAKE_PREFIX_PATH=" + str(where), "-DCMAKE_C_COMPILER=gcc")
    run("cmake", "-G", "Ninja", "-S", tmp_path / "c", "-B", tmp_path / "build", *options)
    run("cmake", "--build", tmp_path / "build")
    ended = subprocess.run([tmp_path / "build" / "restore"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.split(":")[0]) == (2, "usage")


@SANITIZED
@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("kind", ["shared", "static"])
def test_pkg_config_finds_it(tmp_path: Path, language: str, kind: str) -> None:
    """The page's program, docs/c.md, as C and as C++."""
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config is not installed")
    where = installed(GCC)
    (program,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "c.md").read_text(), re.DOTALL)
    (tmp_path / "program.c").write_text(program)
    write_plan(tmp_path / "mulut.lut", artifact.load(SHIPPED["mulut-dfc-x4"]))

    def pkg_config(*words: str) -> list[str]:
        return run("pkg-config", *words, "lutra", PKG_CONFIG_PATH=str(where / "lib" / "pkgconfig")).split()

    compiler = {"c": ("gcc", "-std=c99", "-Wpedantic"), "c++": ("g++", "-std=c++11", "-x", "c++")}[language]
    run(*compiler, "-Wall", "-Werror", *pkg_config("--cflags"), "-c", "program.c", "-o", "program.o", cwd=tmp_path)
    if kind == "static":
        libraries = [word.replace("-llutra", "-l:liblutra.a") for word in pkg_config("--libs", "--static")]
    else:
        libraries = [*pkg_config("--libs"), f"-Wl,-rpath,{where}/lib"]
    run("gcc", "program.o", *libraries, "-o", "program", cwd=tmp_path)
    assert re.fullmatch(r"mulut x4, sr, by \w+\n", run(tmp_path / "program", cwd=tmp_path))
    version = pkg_config("--modversion")
    assert version == [lutra.__version__]


@SANITIZED
@pytest.mark.parametrize("toolchain", [GCC, CLANG], ids=lambda toolchain: toolchain.cc)
def test_the_shared_library_exports_its_functions_alone(toolchain: Toolchain) -> None:
    listing = run("nm", "-D", "--defined-only", installed(toolchain) / "lib" / "liblutra.so")
    header = (ROOT / "liblutra" / "lutra.h").read_text()
    declared = set(re.findall(r"LUTRA_API .*?(lutra_\w+)\(", header))
    assert {line.split()[-1] for line in listing.splitlines()} == declared
    assert (installed(toolchain) / "lib" / "liblutra.so.1").resolve().exists()


@SANITIZED
def test_the_library_may_be_closed_while_its_threads_wait(tmp_path: Path) -> None:
    """They stay until the process ends, so their code must."""
    write_plan(tmp_path / "model.lut", model("srlut-x2-8bit"))
    program = """
import _ctypes, sys, time
from pathlib import Path
import numpy as np
from tests.unit.liblutra.bound import Library
library = Library(Path(sys.argv[1]))
model = library.load(Path(sys.argv[2]))
model.restore(np.zeros((300, 300), np.uint8), threads=4)
del model
_ctypes.dlclose(library.c._handle)
time.sleep(0.2)
"""
    path = installed(GCC) / "lib" / "liblutra.so"
    run(sys.executable, "-c", program, path, tmp_path / "model.lut", cwd=ROOT)
