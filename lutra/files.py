"""Files appear whole: written to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write to `path`, whole or not at all; makes the folder when it is missing.

    Args:
        path: where the file appears, replacing what was there.
        write: the content, or a function that writes it to the open file.

    Raises:
        OSError: it cannot be written, such as to a full disk; names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            if callable(write):
                write(file)
            else:
                file.write(write.encode() if isinstance(write, str) else write)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # of a write to an open file, which knows no name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
