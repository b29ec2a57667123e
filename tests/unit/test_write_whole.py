"""Files appear whole or not at all."""

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from lutra.files import write_whole


def test_a_file_is_written_whole_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, "text")
    write_whole(path, b"bytes")
    assert path.read_bytes() == b"bytes"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_is_named_and_keeps_what_was_there(tmp_path: Path) -> None:
    def full(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    write_whole(path, b"before")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_whole(path, full)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
