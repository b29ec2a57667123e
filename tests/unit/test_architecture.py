"""The arrows of the design: workflow -> pipeline -> lutra, and their order inside lutra."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "lutra").rglob("*.py")) + sorted((ROOT / "pipeline").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def of(path: Path, *packages: str) -> set[str]:
    return {name for name in imports(path) for package in packages if name == package or name.startswith(package + ".")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_arrows(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name.startswith("lutra/"):
        assert not of(path, "pipeline", "mlflow", "dvc", "snakemake")
        if name != "lutra/cli.py":
            assert not of(path, "lutra.cli")
    if name.startswith("lutra/imaging/"):
        # imaging stands alone, but for the module that writes files whole
        own = of(path, "lutra.imaging", "lutra.files")
        assert of(path, "lutra") - own <= {"lutra"}
    if name in ("lutra/description.py", "lutra/layouts.py", "lutra/simplex.py", "lutra/units.py", "lutra/sampling.py"):
        assert not of(path, "lutra.models", "lutra.artifact", "lutra.export")
    if not name.startswith("pipeline/tracking/"):
        assert not of(path, "mlflow")


@pytest.mark.parametrize(
    "module",
    [
        "lutra",
        "lutra.description",
        "lutra.layouts",
        "lutra.artifact",
        "lutra.published",
        "lutra.models.registry",
        "lutra.imaging.metrics",
        "lutra.imaging.resize",
        "lutra.imaging.sheet",
        "lutra.restoring",
        "lutra.batch",
        "lutra.cli",
    ],
)
def test_imports_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
