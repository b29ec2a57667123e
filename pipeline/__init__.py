"""The pipeline: photographs in, a measured table out. Runs from the checkout; not part of the wheel."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout that this code lies in."""


class _Beside(MetaPathFinder):
    """Finds `lutra` in this checkout, before any installation finds another one.

    An editable installation leads to the checkout it was made from; DVC's queued experiments, worktrees and second
    clones share its environment, and would run that checkout's library. What this checkout does not hold, the compiled
    core, is found by the installation.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "lutra":
            return PathFinder.find_spec(name, [str(PROJECT)])
        return PathFinder.find_spec(name, path) if name.startswith("lutra.") else None


sys.meta_path.insert(0, _Beside())

from lutra.limits import wait_passively  # noqa: E402 (it is found by the line above)

wait_passively()  # before a stage imports torch
