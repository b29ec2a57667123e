"""Files appear whole or not at all."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from lutra.files import all_at_once, leftovers, remove_leftovers, temporary_name, write_whole
from pipeline.whole import whole_folder


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


def test_what_is_written_all_at_once_appears_together(tmp_path: Path) -> None:
    first, folder, last = tmp_path / "first", tmp_path / "folder", tmp_path / "last"
    write_whole(first, "before")
    with all_at_once():
        write_whole(first, "after")
        with whole_folder(folder) as new:
            write_whole(new / "file", "in it")
        write_whole(last, "after")
        assert first.read_text() == "before" and not folder.exists() and not last.exists()
    assert first.read_text() == last.read_text() == "after"
    assert (folder / "file").read_text() == "in it"
    assert sorted(tmp_path.rglob("*")) == [first, folder, folder / "file", last]


def test_of_what_is_written_all_at_once_nothing_appears_when_a_part_fails(tmp_path: Path) -> None:
    first, folder = tmp_path / "first", tmp_path / "folder"
    write_whole(first, "before")
    with whole_folder(folder) as new:
        write_whole(new / "file", "before")
    with pytest.raises(RuntimeError), all_at_once():
        write_whole(first, "after")
        with whole_folder(folder) as new:
            write_whole(new / "file", "after")
        raise RuntimeError
    assert first.read_text() == (folder / "file").read_text() == "before"
    assert sorted(tmp_path.rglob("*")) == [first, folder, folder / "file"]
    write_whole(first, "later")
    assert first.read_text() == "later"


def test_many_threads_may_write_one_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 1000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(50):
            write_whole(path, content)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, contents))
    assert path.read_bytes() in contents and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "x" * 249 + ".bytes"])
def test_names_may_be_as_long_as_file_systems_allow(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, b"content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_an_ended_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    code = f"import lutra.files, pathlib; print(lutra.files.temporary_name(pathlib.Path({str(path)!r})))"
    dead = Path(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    mine, other = temporary_name(path), temporary_name(tmp_path / "other.png")
    machine = mine.name.split(".")[3].split("-")[0]
    elsewhere = mine.with_name(dead.name.replace(machine, "0" * 8))
    for left in (dead, mine, other, elsewhere):
        left.touch()
    assert str(os.getpid()) in mine.name
    assert set(leftovers(path)) == {dead, mine, elsewhere}
    remove_leftovers(path)
    assert set(tmp_path.iterdir()) == {mine, other, elsewhere}
