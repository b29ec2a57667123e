"""The compiled core: an extension module. It is absent where nothing built it, and broken where it does not load."""

from __future__ import annotations

import importlib
import warnings
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lutra._core import _lutra as core

__all__ = ["available", "broken", "core", "reason"]

_NAME = f"{__name__}._lutra"

NOT_BUILT = "it was not built"

broken = False
"""Whether there is a compiled core that does not load."""
reason = ""
"""Why there is no core, in words; empty where there is one."""


def available() -> bool:
    """Return whether the core was loaded; `reason` says why not."""
    return not reason


def _built_for_another_python() -> str:
    """Return the name of a compiled core that this Python does not look at, or ""."""
    names = sorted(path.name for folder in __path__ for path in Path(folder).glob("_lutra.*.*"))
    others = (name for name in names if name.removeprefix("_lutra") not in EXTENSION_SUFFIXES)
    return next((name for name in others if name.endswith((".so", ".pyd"))), "")


try:
    core = importlib.import_module(_NAME)
except ImportError as error:
    core = None  # type: ignore[assignment]
    if not isinstance(error, ModuleNotFoundError) or error.name != _NAME:
        reason = " ".join(str(error).split())
    elif other := _built_for_another_python():
        reason = f"{other} was built for another Python"
    else:
        reason = NOT_BUILT
    if broken := reason != NOT_BUILT:
        from lutra import distribution

        warnings.warn(
            f"the compiled core does not load ({reason}), so Python and torch do its work, many times slower; "
            f"`{distribution.pip_install(rebuild=True)}` with a C++ compiler at hand builds it again",
            RuntimeWarning,
            stacklevel=2,
        )
