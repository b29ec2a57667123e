"""The code that a stage's outputs depend on: Python found by following imports, and the compiled core behind it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CORE = "lutra/_core"
BUILD = "CMakeLists.txt"
"""Holds the compiler's flags, which decide roundings."""

WITHOUT_EFFECT = frozenset(
    {
        "lutra",
        "lutra.distribution",
        "lutra.imaging",
        "lutra.limits",
        "lutra.restore.sources",
        "lutra.terminal",
        "lutra.training",
        "lutra.zoo",
        "pipeline",
        "pipeline.code",
        "pipeline.reporting.logged",
        "pipeline.params.reading",
        "pipeline.running.progress",
        "pipeline.running.provenance",
        "pipeline.running.stopping",
        "pipeline.declaration",
        "pipeline.tracking",
    }
)
"""Modules and packages that a stage loads and that cannot change its outputs, so that an edit must rerun nothing.

They log, word errors, print, count, describe where a result came from, or are a package's empty front.
"""
CHECKS = "pipeline.params"
"""The package that holds the defaults of params.yaml. What it imports from elsewhere checks values and changes none."""

_CALL_THE_CORE = ("lutra.reference.lookup.compiled", "lutra.training.patches")
_CALL_THE_ENGINE = "lutra.engine"
ENGINE_ONLY = (
    *("engine.cpp", "engine.hpp", "module.cpp", "region.cpp", "region.hpp"),
    *("builders.cpp", "builders.hpp", "bind_builders.cpp", "residuals.cpp", "residuals.hpp"),
    "bind_resample.cpp",
    *("layers.cpp", "layers_pack.cpp", "layers_region.cpp", "layers_region.hpp"),
)
"""Files of the core that nothing but `lutra.engine` runs, so that training does not depend on them."""

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+((?:lutra|pipeline)[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*)"
    r"|import[ \t]+((?:lutra|pipeline)[\w.]*))",
    re.MULTILINE,
)
_NAME = re.compile(r"(\w+)(?:[ \t]+as[ \t]+\w+)?")


@cache
def files_of(module: str, project: Path) -> tuple[str, ...]:
    """Return the files that a Python module's results depend on, relative to the project, sorted.

    Args:
        module: dotted, such as "pipeline.stages.train".
        project: the checkout.

    Raises:
        FileNotFoundError: there is no such module.
    """
    if _path_of(module, project) is None:
        raise FileNotFoundError(f"{module}: no such module in {project}")
    reached: set[str] = set()
    ahead = {module}
    while ahead:
        one = ahead.pop()
        reached.add(one)
        if not _is_without_effect(one):
            imported = set(_imported(one, project)) - reached
            ahead |= {name for name in imported if _is_within(name, CHECKS)} if _is_within(one, CHECKS) else imported
    modules = {name for name in reached if not _is_without_effect(name)}
    found = {path.as_posix() for name in modules if (path := _path_of(name, project)) is not None}
    if _CALL_THE_ENGINE in modules:
        found |= {BUILD, *_core(project)}
    elif modules & set(_CALL_THE_CORE):
        found |= {BUILD, *(file for file in _core(project) if Path(file).name not in ENGINE_ONLY)}
    return tuple(sorted(found))


def core_hash(project: Path) -> str:
    """Return the SHA-256 of the core's sources and flags, as CMakeLists.txt computes it for the compiled core."""
    files = sorted([BUILD, *_core(project)])
    digests = (f"{file} {hashlib.sha256((project / file).read_bytes()).hexdigest()}\n" for file in files)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def check_core(project: Path) -> None:
    """Raise ValueError where the compiled core was built from other sources than this checkout's."""
    from lutra import _core as installed

    if installed.available() and getattr(installed.core, "sources", "") != core_hash(project):
        found = f"{installed.core.__file__}: found a compiled core of other sources than {project / CORE}"
        raise ValueError(f"{found}, expected the same; `make setup` or `pip install -e .` in {project} builds it")


def _core(project: Path) -> Iterator[str]:
    """Yield the sources of the compiled core, relative to the project."""
    return (path.relative_to(project).as_posix() for path in (project / CORE).rglob("*.[ch]pp"))


def _is_without_effect(module: str) -> bool:
    return module in WITHOUT_EFFECT or module.startswith("pipeline.tracking.")


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _path_of(module: str, project: Path) -> Path | None:
    path = Path(*module.split("."))
    found = (file for file in (path.with_suffix(".py"), path / "__init__.py") if (project / file).is_file())
    return next(found, None)


@cache
def _imported(module: str, project: Path) -> tuple[str, ...]:
    """Return our modules that a module imports, in its functions too, and the packages around them."""
    path = _path_of(module, project)
    if path is None:
        return ()
    names = {module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)}
    for package, imported, plain in _IMPORT.findall((project / path).read_text(encoding="utf-8")):
        names |= {package or plain} | {f"{package}.{name}" for name in _NAME.findall(imported)}
    return tuple(sorted(name for name in names if _path_of(name, project) is not None))
