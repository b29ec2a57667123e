"""The installed distribution of this library: its version, and the commands that install it again or add to it."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit

NAME = "lutra-restore"
"""The distribution's name. Another project owns the name of the import, `lutra`, on the Python Package Index."""


def version() -> str:
    """Return the installed version, or 0.0.0 for a source tree that was never installed."""
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


def pip_install(extra: str = "", *, rebuild: bool = False) -> str:
    """Return the command that installs the library with an extra: from its checkout if it came from one, else by name.

    Args:
        extra: one of the extras in pyproject.toml; empty for none.
        rebuild: replace what is installed, and leave the dependencies as they are.
    """
    checkout, editable = _checkout()
    wanted = f"{checkout or NAME}[{extra}]" if extra else str(checkout or NAME)
    options = [*(["--force-reinstall", "--no-deps"] if rebuild else []), *(["-e"] if editable else [])]
    return shlex.join(["pip", "install", *options, wanted])


def _checkout() -> tuple[Path | None, bool]:
    """Return the folder that the library was installed from, or None, and whether its modules are used in place."""
    try:
        record = json.loads(importlib.metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    except importlib.metadata.PackageNotFoundError:  # a source tree that was never installed
        return Path(__file__).resolve().parents[1], True
    from urllib.request import url2pathname  # slow to import

    folder = Path(url2pathname(urlsplit(record.get("url", "")).path))
    if "dir_info" not in record or not (folder / "pyproject.toml").is_file():
        return None, False
    return folder, bool(record["dir_info"].get("editable"))
