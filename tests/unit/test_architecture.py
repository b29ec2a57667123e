"""The rules of the house, by folder: who may import whom, where torch and MLflow are imported, how large things are."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.structure import ROOMS, ROOT, Module, arrows, folders, modules

MODULES = modules()
TESTS = modules("tests")
CALLERS = (
    *("lutra.cli", "lutra.restore", "lutra.video", "lutra.evaluation"),
    *("lutra.model", "lutra.imaging", "lutra.engine"),
)
TORCH = (
    *("lutra.reference", "lutra.training"),
    *("pipeline.tools.bench_methods", "pipeline.tools.bench_training", "pipeline.tools.shiftlut_network"),
)
"""Rooms and modules that import torch when they are imported: the library's two, and the pipeline's training."""

SHARED = {
    *("describe", "read", "write", "load", "save", "run", "lookup", "restored"),
    *("of_stage", "holds_all_rows", "results_table"),
}
"""Functions that several modules have, one for each thing: called with the module's name, such as `artifact.load`."""


def imports(module: Module, *packages: str) -> set[str]:
    return {
        name for name in module.imported() for package in packages if name == package or name.startswith(package + ".")
    }


def test_rooms_import_only_what_lies_below_them() -> None:
    wrong = {
        f"{source} -> {target}"
        for source, target in arrows(MODULES)
        if source in ROOMS and source.split(".")[0] == target.split(".")[0] and target not in ROOMS[source]
        if target not in ("lutra", "pipeline")  # the library's version, the project's folder
    }
    assert not wrong


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_arrows_between_packages(module: Module) -> None:
    if module.name.startswith("lutra"):
        assert not imports(module, "pipeline", "mlflow", "dvc", "snakemake")
    if module.room != "pipeline.tracking":
        assert not imports(module, "mlflow")


def test_no_circle() -> None:
    names = {module.name for module in MODULES} - {"lutra", "pipeline"}
    graph = {m.name: (m.imported() & names) - {m.name, m.name.rpartition(".")[0]} for m in MODULES}
    while free := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in free}
    assert not graph, "modules that import each other"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_torch_is_imported_where_numbers_are_defined_and_trained_alone(module: Module) -> None:
    if not any(module.name == name or module.name.startswith(f"{name}.") for name in TORCH):
        assert not {name for name in module.imported_at_once() if name.split(".")[0] == "torch"}


@pytest.mark.parametrize("room", CALLERS)
def test_imports_without_torch(room: str) -> None:
    if room == "lutra.video":
        pytest.importorskip("av", reason="needs PyAV, the extra `video`")
    names = [m.name for m in MODULES if m.name == room or m.name.startswith(f"{room}.")]
    assert names
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_files_and_functions_fit_their_limits() -> None:
    assert not {m.name: m.lines for m in MODULES if m.lines > 300}
    assert not {f"{m.name}.{name}": lines for m in MODULES for name, lines in m.functions() if lines > 60}


def test_files_and_functions_of_the_tests_fit_the_same_limits() -> None:
    assert not {m.name: m.lines for m in TESTS if m.lines > 300}
    assert not {f"{m.name}.{name}": lines for m in TESTS for name, lines in m.functions() if lines > 60}
    assert not {folder: count for folder, count in folders(TESTS).items() if count > 12}


def test_files_of_the_compiled_core_stay_short() -> None:
    paths = [*(ROOT / "lutra" / "_core").rglob("*.[ch]pp"), *(ROOT / "liblutra").glob("*.[ch]*")]
    lengths = {path.name: len(path.read_text().splitlines()) for path in [*paths, *(ROOT / "examples").rglob("*.c")]}
    assert lengths and not {name: lines for name, lines in lengths.items() if lines > 300}


def test_no_two_modules_have_one_name() -> None:
    names = Counter(m.path.stem for m in MODULES)
    assert {name for name, count in names.items() if count > 1} <= {"__init__", "__main__"}


def test_no_two_public_classes_and_no_two_public_functions_have_one_name() -> None:
    """Commands may have the name of what they call."""
    rooms = ("lutra.cli", "pipeline.commands")
    names = Counter(name for m in MODULES if m.room not in rooms for name in m.public())
    assert {name for name, count in names.items() if count > 1} == SHARED


def test_folders_stay_small() -> None:
    assert not {folder: count for folder, count in folders(MODULES).items() if count > 12}
