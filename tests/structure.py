"""Measure the structure of the code: modules in each folder, the longest files and functions, imports between rooms.

`make structure` prints it; `tests/unit/test_architecture.py` holds the limits.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lutra", "pipeline")

_BASE = ("lutra.distribution", "lutra.files", "lutra.limits", "lutra.terminal")
_MODEL = ("lutra.model", "lutra._core", *_BASE)
_PIPELINE = (
    *("pipeline", "pipeline.code", "pipeline.declaration"),
    *("pipeline.params", "pipeline.data", "pipeline.running"),
)

ROOMS: dict[str, tuple[str, ...]] = {
    "lutra.distribution": (),
    "lutra.files": (),
    "lutra.limits": (),
    "lutra.terminal": (),
    "lutra._core": ("lutra.distribution",),
    "lutra.imaging": _BASE,
    "lutra.model": _BASE,
    "lutra.zoo": _MODEL,
    "lutra.engine": _MODEL,
    "lutra.reference": ("lutra.imaging", *_MODEL),
    "lutra.training": ("lutra.reference", "lutra.imaging", *_MODEL),
    "lutra.restore": ("lutra.engine", "lutra.reference", "lutra.imaging", "lutra.zoo", *_MODEL),
    "lutra.evaluation": ("lutra.restore", "lutra.engine", "lutra.imaging", *_MODEL),
    "lutra.video": ("lutra.evaluation", "lutra.restore", "lutra.imaging", *_MODEL),
    "lutra.cli": (
        *("lutra.video", "lutra.evaluation", "lutra.restore", "lutra.engine", "lutra.imaging", "lutra.zoo"),
        *_MODEL,
    ),
    "lutra": ("lutra.distribution", "lutra.restore", "lutra.evaluation", "lutra.imaging", "lutra.zoo"),
    "pipeline": (),
    "pipeline.code": ("pipeline",),
    "pipeline.declaration": _PIPELINE[:2],
    "pipeline.params": _PIPELINE[:3],
    "pipeline.data": _PIPELINE[:4],
    "pipeline.running": _PIPELINE[:5],
    "pipeline.tracking": _PIPELINE,
    "pipeline.reporting": _PIPELINE,
    "pipeline.tools": _PIPELINE,
}
"""The rooms of its own package that each room may import; a room that is not listed may import all of them."""


@dataclass(frozen=True)
class Module:
    """A Python file of the library or the pipeline."""

    path: Path
    tree: ast.Module
    lines: int

    @property
    def name(self) -> str:
        """Its dotted name."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """The room it lies in: a folder, or a single module, directly under the package; or the package itself."""
        return ".".join(self.name.split(".")[:2])

    def imported(self) -> set[str]:
        """The dotted names that it imports, at any depth; of `from a import b` both `a` and `a.b`."""
        return {name for node in ast.walk(self.tree) for name in _names(node)}

    def imported_at_once(self) -> set[str]:
        """The dotted names that are imported when the module is: not those in functions or under TYPE_CHECKING."""
        return {name for node in _top_level(self.tree.body) for name in _names(node)}

    def functions(self) -> Iterator[tuple[str, int]]:
        """The functions with their numbers of lines."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1

    def public(self) -> set[str]:
        """The names of its public classes and functions."""
        definitions = (node for node in self.tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))
        return {node.name for node in definitions if not node.name.startswith("_")}


def modules(*packages: str) -> list[Module]:
    """Return every module of the packages [default: the library and the pipeline]."""
    found = []
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            found.append(Module(path, ast.parse(text), len(text.splitlines())))
    return found


def folders(of: list[Module]) -> Counter[str]:
    """Count the modules of each folder, without `__init__.py` and `conftest.py`."""
    own = (m for m in of if m.path.name not in ("__init__.py", "conftest.py"))
    return Counter(m.path.parent.relative_to(ROOT).as_posix() for m in own)


def arrows(of: list[Module]) -> Counter[tuple[str, str]]:
    """Count the imports from one room into another."""
    rooms = {module.room for module in of}
    names = {module.name for module in of}
    found: Counter[tuple[str, str]] = Counter()
    for module in of:
        for name in module.imported():
            room = ".".join(name.split(".")[:2])
            target = room if room in rooms else room.split(".")[0]
            if target in rooms and target != module.room and (name in names or target == room):
                found[module.room, target] += 1
    return found


def _names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from _top_level([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _top_level([*node.body, *(line for handler in node.handlers for line in handler.body)])
        else:
            yield node


def _print() -> None:
    found = modules()
    console = Console(width=110)
    table = Table("folder", "modules", "lines", title="Folders")
    for folder, count in sorted(folders(found).items()):
        lines = sum(m.lines for m in found if m.path.parent.relative_to(ROOT).as_posix() == folder)
        table.add_row(folder, str(count), str(lines))
    console.print(table)
    table = Table("file", "lines", title="The longest files")
    for module in sorted(found, key=lambda m: -m.lines)[:8]:
        table.add_row(module.path.relative_to(ROOT).as_posix(), str(module.lines))
    console.print(table)
    table = Table("function", "lines", title="The longest functions")
    longest = sorted(((lines, m.name, name) for m in found for name, lines in m.functions()), reverse=True)
    for lines, module_name, name in longest[:8]:
        table.add_row(f"{module_name}.{name}", str(lines))
    console.print(table)
    table = Table("room", "imports from", title="Imports between rooms")
    for room in sorted({source for source, _ in arrows(found)}):
        targets = sorted((target, count) for (source, target), count in arrows(found).items() if source == room)
        table.add_row(room, ", ".join(f"{target} ({count})" for target, count in targets))
    console.print(table)


if __name__ == "__main__":
    _print()
